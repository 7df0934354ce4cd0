"""The hooks of a run: core's executor, below every wrapper, and the observers."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Protocol, cast

import pluggy

from uploader_core.contract import hookspecs
from uploader_core.contract.specs import Hint
from uploader_core.errors import UploaderError
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.running.events import EventStream


class Performs(Protocol):
    """What ``uploader_execute`` gets as its context."""

    def perform(self, step: PlannedStep) -> Any: ...


class _CoreExecutor:
    """Core's implementation of ``uploader_execute``."""

    @hookspecs.hookimpl(trylast=True)
    def uploader_execute(self, step: PlannedStep, context: Performs) -> Any:
        # pluggy takes None for "no answer", and a virtual step has no record.
        return context.perform(step) or True


class RunHooks:
    """The plan's plugins, registered for observing and wrapping.

    Args:
        plan: Names the plugins; they are loaded already.
        observers: What else has hooks, called after the plugins.
        events: Where failures of observers are reported.
    """

    def __init__(self, plan: Plan, observers: Iterable[object], events: EventStream) -> None:
        self._events = events
        self._guard = threading.Lock()
        self._manager = pluggy.PluginManager("uploader")
        self._manager.add_hookspecs(hookspecs)
        self._manager.register(_CoreExecutor(), name="uploader-core")
        for step in plan.steps:
            if not self._manager.has_plugin(step.plugin.id):
                self._manager.register(step.plugin.module, name=step.plugin.id)
        for observer in observers:
            self._manager.register(observer)

    def execute(self, step: PlannedStep, context: Performs) -> Any:
        """Run a step through the wrappers; what they raise is the step's error."""
        return self._manager.hook.uploader_execute(step=step, context=context)

    def with_hints(self, error: UploaderError) -> UploaderError:
        """Return the error with what plugins advise; an adviser that fails is ignored."""
        advice: dict[str, Hint] = {}
        for implementation in self._manager.hook.uploader_error_hints.get_hookimpls():
            try:
                given = [error] if "error" in implementation.argnames else []
                hints = cast("Iterable[Hint]", implementation.function(*given))
                advice |= {hint.code: hint for hint in hints if hint.code not in advice}
            except Exception:  # noqa: S112 - advice is optional by contract
                continue
        texts = [hint.text for hint in advice.values()]
        return error.replace(next="; or ".join(filter(None, [error.next, *texts])) or None)

    def observe(self, name: str, **arguments: object) -> None:
        """Call every observer by itself; a failure is a warning and nothing else."""
        with self._guard:
            for implementation in getattr(self._manager.hook, name).get_hookimpls():
                try:
                    implementation.function(*(arguments[a] for a in implementation.argnames))
                except Exception as error:
                    what = f"observer of {implementation.plugin_name}: {error}"
                    self._events.emit("warning", "", what=what)
