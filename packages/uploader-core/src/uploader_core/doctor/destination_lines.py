"""Whether one destination would take a release, asked of its plugin without planning one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from uploader_core.contract.context import PlanContext, ReleaseInfo
from uploader_core.contract.specs import Diagnosis, UploadSpec
from uploader_core.errors import UploaderError
from uploader_core.planning.destinations import find_destination, split_destination
from uploader_core.plugins.registry import Plugin, Registry
from uploader_core.user_config.configuration import Config
from uploader_core.user_config.targets import Target, find_target
from uploader_core.workers.messages import Check, Settings
from uploader_core.workers.pool import Workers

_LEVELS: dict[str, Literal["ok", "warn", "fail"]] = {
    "error": "fail",
    "warning": "warn",
    "note": "ok",
}


def destination_lines(destination: str, registry: Registry, config: Config) -> Iterator[Diagnosis]:
    """Ask a destination, over the network where its check does so. Nothing is sent there.

    Args:
        destination: ``scheme:rest``, or ``@name`` of a target in ``uploader.toml``.
        registry: Installed plugins.
        config: Settings, targets, and the environment.

    Raises:
        UsageError: There is no such target, or it is no destination.
        PluginNotInstalledError: Nobody serves its scheme.
    """
    target = find_target(destination, config.tables)
    scheme, rest = split_destination(target.to, registry)
    plugin, spec = find_destination(scheme, rest, registry)
    yield Diagnosis(name=scheme, level="ok", what=f"{target.to}, served by {plugin.entry.owner}")
    for name in spec.secrets:
        held = target.secrets.get(name, name)
        known = "is set" if held in config.environment else "is not set"
        yield Diagnosis(name=name, level="ok", what=known if held == name else f"{held} {known}")
    if spec.check is None:
        yield Diagnosis(name="check", level="ok", what="the plugin has no check of its destination")
        return
    question = _question(plugin, spec, target, rest, config)
    try:
        findings = Workers(config.environment).perform(question)
    except UploaderError as error:
        yield Diagnosis(name="check", level="fail", what=error.what, fix=error.next)
        return
    for found in findings:
        yield Diagnosis(name="check", level=_LEVELS[found.level], what=found.what, fix=found.next)
    if not findings:
        yield Diagnosis(name="check", level="ok", what="it would take a release")


def _question(plugin: Plugin, spec: UploadSpec, target: Target, rest: str, config: Config) -> Check:
    settings = config.with_table(plugin.id, target.settings).settings(plugin.id, spec.settings)
    return Check(
        step=f"check of {target.to}",
        owner=plugin.entry.owner,
        secrets=target.names_of(spec.secrets),
        network=True,
        run=str(spec.check),
        settings=Settings.of(plugin.id, settings),
        context=PlanContext(
            inputs=(),
            settings=None,
            release=ReleaseInfo(name=rest.rstrip("/").rsplit("/", 1)[-1], source="adapter"),
            output=Path.cwd(),
            target=rest,
        ),
    )
