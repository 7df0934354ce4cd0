"""Which executor a run has, from its name to the workers that use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.contract.specs import ExecutorSpec
from uploader_core.errors import PluginBrokenError, UsageError
from uploader_core.executor import Executor, ExecutorContext
from uploader_core.human_text import did_you_mean
from uploader_core.jobs.dispatch import JobWorkers
from uploader_core.machine.folder_lock import Owner, Watch
from uploader_core.planning.plan import PlannedStep
from uploader_core.plugins.entry_points import EXECUTORS, call_light
from uploader_core.plugins.registry import Plugin, Registry
from uploader_core.user_config.configuration import Config
from uploader_core.workers.environment import child_environment


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """An executor that was asked for, ready to be opened by a run.

    Attributes:
        name: What the user typed.
        spec: Of the executor.
        executor: Opened.
    """

    name: str
    spec: ExecutorSpec
    executor: Executor

    def workers(
        self,
        steps: Iterable[PlannedStep],
        internal: Path,
        environment: Mapping[str, str],
        events: Any,
    ) -> JobWorkers:
        """Return workers whose steps run as jobs; closing them closes the executor.

        Args:
            steps: Of the plan, with estimates.
            internal: The ``.uploader`` folder of the release.
            environment: Variables of the run.
            events: Where it is said what becomes of jobs.
        """
        return JobWorkers(
            self.name,
            self.executor,
            internal,
            environment,
            steps,
            events,
            remote=self.spec.remote,
        )

    def wait(self, events: Any) -> Watch:
        """Return what is done while another run works in the release folder: it is waited for."""
        said: set[object] = set()

        def wait(owner: Owner | None) -> None:
            who = None if owner is None else (owner.host, owner.pid)
            if who not in said:
                said.add(who)
                where = "another run" if owner is None else f"process {owner.pid} on {owner.host}"
                events.emit("warning", "", what=f"waiting for {where}, which works in this release")
            events.tick()

        return wait


def find_executor(name: str, registry: Registry) -> tuple[Plugin, ExecutorSpec]:
    """Load the one plugin that has an executor.

    Raises:
        UsageError: No installed plugin has it, or several have.
        PluginBrokenError: It advertises the executor and registers none of that name.
    """
    found = registry.providers(EXECUTORS, name)
    if not found:
        known = registry.names(EXECUTORS)
        raise UsageError(
            f"no installed plugin has an executor {name!r}",
            owner="installed here: " + ", ".join(known),
            next=did_you_mean(name, known, most=1) or f"pip install uploader-{name}",
        )
    if len(found) > 1:
        raise UsageError(
            f"executor {name} is offered by {' and '.join(found)}",
            next=f"leave one out: --without {found[1]}",
        )
    plugin = registry.load(found[0])
    for spec in plugin.of(ExecutorSpec):
        if spec.name == name:
            return plugin, spec
    raise PluginBrokenError(
        f"plugin {plugin.id} advertises the executor {name} and registers no such",
        owner=plugin.entry.owner,
    )


def make_crew(name: str, registry: Registry, config: Config, jobs: int | None) -> Crew:
    """Open the executor that a user named.

    Args:
        name: Of the executor.
        registry: Installed plugins.
        config: Settings.
        jobs: What the user said with ``--jobs``; None where nothing was said.

    Raises:
        UsageError: There is none of that name, or a setting does not fit.
        PluginBrokenError: It cannot be opened.
    """
    plugin, spec = find_executor(name, registry)
    config.check_keys(plugin.id, [s.settings for s in plugin.specs if s.settings is not None])
    context = ExecutorContext(
        settings=config.settings(plugin.id, spec.settings),
        environment=child_environment(config.environment, (), network=False),
        jobs=jobs,
    )
    executor: Executor = call_light(spec.run, plugin.entry.owner, context)
    return Crew(name=name, spec=spec, executor=executor)
