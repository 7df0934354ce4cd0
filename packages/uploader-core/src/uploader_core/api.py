"""For programs that plan and run releases: training scripts, notebooks, guides, services.

    from uploader_core import api

    request = api.Request(source="./outputs/final_model", plugins=("lora", "gguf"))
    survey = api.plan(request, settings={"gguf": {"quants": ["Q8_0"]}})
    report = api.run(request, settings={"gguf": {"quants": ["Q8_0"]}}, on_event=print)
    api.verify(str(report.plan.output))

A program imports nothing else of core. Importing this module imports nothing more than itself; what
a name stands for is imported when the name is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uploader_core.builtin.local_source.training_runs import (
        TrainingRun,
        describe,
        find_runs,
        shown,
    )
    from uploader_core.cli import OPTIONS, command_names
    from uploader_core.cli import main as run_command_line
    from uploader_core.cli.errors import show as show_error
    from uploader_core.cli.live import left_text, make_renderer
    from uploader_core.cli.perform import perform as run_on_terminal
    from uploader_core.cli.progress import StepProgress, Tracker
    from uploader_core.cli.render import make_console
    from uploader_core.contract.context import FetchedSource
    from uploader_core.contract.settings import Setting, fields_of
    from uploader_core.contract.specs import Finding, UploadSpec
    from uploader_core.destinations.verification import Problem, Verification
    from uploader_core.disk.safe_write import write_json
    from uploader_core.errors import (
        AuthError,
        CancelledError,
        IntegrityError,
        PluginError,
        RefusedError,
        SourceError,
        SpaceError,
        TemporaryError,
        UploaderError,
        UsageError,
    )
    from uploader_core.human_text import count_text, duration_text, size_text, visible
    from uploader_core.planning.plan import Plan, PlannedStep, Survey
    from uploader_core.planning.request import Request
    from uploader_core.plugins.entry_points import ARTIFACTS, PLUGINS, SCHEMES
    from uploader_core.plugins.registry import Plugin, Registry
    from uploader_core.running.events import Event
    from uploader_core.running.report import Outcome, Report
    from uploader_core.user_config.configuration import Config
    from uploader_core.user_config.disabled import make_registry
    from uploader_core.user_config.files import load as load_config

Settings = Mapping[str, Mapping[str, object]]
"""By plugin id and field: ``{"gguf": {"quants": ["Q8_0"]}}``."""

# From names to modules; ``module:name`` where core calls it otherwise.
_WHERE = {
    **dict.fromkeys(("OPTIONS", "command_names"), "cli"),
    "run_command_line": "cli:main",
    "show_error": "cli.errors:show",
    **dict.fromkeys(("left_text", "make_renderer"), "cli.live"),
    "run_on_terminal": "cli.perform:perform",
    "make_console": "cli.render",
    "FetchedSource": "contract.context",
    **dict.fromkeys(("Setting", "fields_of"), "contract.settings"),
    **dict.fromkeys(("Finding", "UploadSpec"), "contract.specs"),
    **dict.fromkeys(("Problem", "Verification"), "destinations.verification"),
    "write_json": "disk.safe_write",
    "from_home": "home",
    **dict.fromkeys(("count_text", "duration_text", "size_text", "visible"), "human_text"),
    **dict.fromkeys(("Plan", "PlannedStep", "Survey"), "planning.plan"),
    "Request": "planning.request",
    **dict.fromkeys(
        ("TrainingRun", "describe", "find_runs", "shown"), "builtin.local_source.training_runs"
    ),
    "Config": "user_config.configuration",
    "load_config": "user_config.files:load",
    **dict.fromkeys(("ARTIFACTS", "PLUGINS", "SCHEMES"), "plugins.entry_points"),
    **dict.fromkeys(("Plugin", "Registry"), "plugins.registry"),
    "make_registry": "user_config.disabled",
    "Event": "running.events",
    **dict.fromkeys(("StepProgress", "Tracker"), "cli.progress"),
    **dict.fromkeys(("Outcome", "Report"), "running.report"),
    **dict.fromkeys(
        (
            "AuthError",
            "CancelledError",
            "IntegrityError",
            "PluginError",
            "RefusedError",
            "SourceError",
            "SpaceError",
            "TemporaryError",
            "UploaderError",
            "UsageError",
        ),
        "errors",
    ),
}

__all__ = [
    "ARTIFACTS",
    "OPTIONS",
    "PLUGINS",
    "SCHEMES",
    "AuthError",
    "CancelledError",
    "Config",
    "Event",
    "FetchedSource",
    "Finding",
    "IntegrityError",
    "Outcome",
    "Plan",
    "PlannedStep",
    "Plugin",
    "PluginError",
    "Problem",
    "RefusedError",
    "Registry",
    "Report",
    "Request",
    "Setting",
    "Settings",
    "SourceError",
    "SpaceError",
    "StepProgress",
    "Survey",
    "TemporaryError",
    "Tracker",
    "TrainingRun",
    "UploadSpec",
    "UploaderError",
    "UsageError",
    "Verification",
    "command_names",
    "count_text",
    "describe",
    "duration_text",
    "fetch",
    "fields_of",
    "find_runs",
    "left_text",
    "load_config",
    "make_console",
    "make_registry",
    "make_renderer",
    "plan",
    "run",
    "run_command_line",
    "run_on_terminal",
    "show_error",
    "shown",
    "size_text",
    "verify",
    "visible",
    "write_json",
]


def plan(
    request: Request,
    *,
    settings: Settings | None = None,
    registry: Registry | None = None,
    jobs: int = 1,
    configured: bool = True,
) -> Survey:
    """Plan a request and check it; nothing is written.

    Args:
        request: What is wanted.
        settings: Of plugins, as their options on the command line.
        registry: Installed plugins, to plan several requests with one; read when None.
        jobs: Heavy steps side by side.
        configured: Take what ``settings`` does not say from files and variables of the user; with
            False it is what plugins have as default.

    Returns:
        The plan, what of it is done already, and the errors that would refuse a run.

    Raises:
        UploaderError: The request cannot be planned at all.
    """
    from uploader_core.running import session
    from uploader_core.user_config.disabled import make_registry

    registry = registry or make_registry()
    config = _config(settings, registry, configured=configured)
    return session.look(request, registry, config, jobs=jobs)


def run(
    request: Request,
    *,
    settings: Settings | None = None,
    registry: Registry | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    confirm: Callable[[Survey], None] = lambda _: None,
    jobs: int | None = None,
    executor: str | None = None,
    fail_fast: bool = False,
    checksum: bool = False,
    configured: bool = True,
) -> Report:
    """Plan a request, check it, and run what is not done yet.

    Args:
        request: What is wanted.
        settings: Of plugins, as their options on the command line.
        registry: Installed plugins; read when None.
        on_event: Called with every event, one at a time, from the threads of the steps. If it has
            a method ``tick``, the calling thread calls that a few times a second.
        confirm: Called with the plan before the first step; what it raises stops the run.
        jobs: Workers side by side; one, or what the executor is set up for, when None.
        executor: Name of the executor whose jobs the steps are; workers of this process when None.
        fail_fast: Start nothing new after a failure.
        checksum: Read everything that is there already instead of believing sizes and times.
        configured: As for :func:`plan`.

    Returns:
        The report; its ``error()`` is None when everything is done and verified.

    Raises:
        UploaderError: Refused before the first step.
        CancelledError: Stopped; finished steps are kept.
    """
    from uploader_core import page
    from uploader_core.jobs.crew import make_crew
    from uploader_core.means import Means
    from uploader_core.running import session
    from uploader_core.running.events import EventStream
    from uploader_core.user_config.disabled import make_registry

    registry = registry or make_registry()
    config = _config(settings, registry, configured=configured)
    crew = None if executor is None else make_crew(executor, registry, config, jobs)
    return session.run(
        request,
        registry,
        config,
        EventStream(on_event),
        jobs=jobs or 1,
        means=Means(crew=crew),
        fail_fast=fail_fast,
        checksum=checksum,
        confirm=confirm,
        observers=(page,),
    )


def fetch(
    reference: str, *, purpose: str = "source", registry: Registry | None = None
) -> FetchedSource | None:
    """Bring a source, or what a release says of itself, to this machine.

    Args:
        reference: As a user writes a source that is no folder (``user/model@revision``).
        purpose: ``source``, ``base``, or ``release``, for its manifest and other small files.
        registry: Installed plugins; read when None.

    Returns:
        Where it is, None when no installed plugin knows such a name.

    Raises:
        UploaderError: What the plugin says.
    """
    import contextlib

    from uploader_core.planning.fetching import Fetcher
    from uploader_core.user_config.disabled import make_registry
    from uploader_core.user_config.files import load
    from uploader_core.workers.pool import Workers

    with contextlib.closing(Workers(load().environment)) as workers:
        return Fetcher(registry or make_registry(), workers, ())(reference, purpose)


def verify(reference: str, *, registry: Registry | None = None, full: bool = True) -> Verification:
    """Compare a release with its manifest; nothing is changed.

    Args:
        reference: A folder, or ``scheme:rest`` of a destination.
        registry: Installed plugins; read when None.
        full: Also compare contents; False looks at names and sizes only.

    Raises:
        UsageError: There is no such folder, or that destination cannot be verified.
        UploaderError: What the destination's plugin says.
    """
    from uploader_core.user_config.disabled import make_registry
    from uploader_core.user_config.files import load
    from uploader_core.verify import verify

    return verify(reference, registry or make_registry(), load(), full=full)


def _config(settings: Settings | None, registry: Registry, *, configured: bool) -> Config:
    """Return the settings of a request, without what the user wrote down where that shall be."""
    from dataclasses import replace

    from uploader_core.plugins.entry_points import PLUGINS
    from uploader_core.user_config.files import load

    config = load(options=settings or {})
    if configured:
        return config
    starts = tuple(f"UPLOADER_{n}_".upper().replace("-", "_") for n in registry.names(PLUGINS))
    environment = {k: v for k, v in config.environment.items() if not k.startswith(starts)}
    return replace(config, tables={}, environment=environment)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    value = getattr(importlib.import_module(f"uploader_core.{module}"), attribute or name)
    globals()[name] = value
    return value
