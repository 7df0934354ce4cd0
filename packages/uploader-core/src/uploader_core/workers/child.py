"""Run one step, in a separate process: ``python -m uploader_core.workers.child``.

The request is a line of standard input; one before it may name what to import meanwhile. The pipe
then stays open, and its end tells the worker that the run is gone. Events and the result are lines
on standard output, see :mod:`uploader_core.workers.messages`; whatever a library prints goes to
standard error.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from uploader_core.artifact import Artifact, Receipt
from uploader_core.contract.context import FetchedSource, Section
from uploader_core.contract.output import OutputFolder
from uploader_core.contract.returned import check_artifact, check_receipt, plain
from uploader_core.contract.specs import Finding
from uploader_core.contract.step_context import StepContext
from uploader_core.errors import PluginError, StepFailedError, UploaderError, to_message
from uploader_core.garbage import uncollected
from uploader_core.masking import kept_secrets, masked_stream
from uploader_core.plugins.entry_points import import_dotted
from uploader_core.workers import messages
from uploader_core.workers.environment import is_offline, visible_secrets

T = TypeVar("T")
R = TypeVar("R")

Emit = Callable[["messages.Progress | messages.Warned"], None]
Operation = Callable[[Any, Emit, Callable[[], bool]], object]
"""Does what a request of one class says: (request, emit, cancelled) -> result."""


def perform(request: messages.Request[R], emit: Emit, cancelled: Callable[[], bool]) -> R:
    """Do in this process what a request says.

    Args:
        request: What to do.
        emit: Receives progress and warnings.
        cancelled: Asked at every progress report.

    Raises:
        UploaderError: In the step's own words, or wrapped with the step's and the plugin's name.
    """
    return request.read(_answer(request, emit, cancelled))


def _answer(
    request: messages.Request[Any],
    emit: Emit,
    cancelled: Callable[[], bool],
    more: Mapping[type, Operation] = MappingProxyType({}),
) -> Any:
    """Do what a request says and return the result as JSON."""
    try:
        result = {**_OPERATIONS, **more}[type(request)](request, emit, cancelled)
        return plain(messages.Answer(result=result), request.run)["result"]
    except UploaderError as error:
        if error.owner:
            raise
        raise error.replace(owner=request.owner) from error
    except OSError as error:
        from uploader_core.machine.os_errors import translate_os_error

        path = Path(getattr(request, "output", None) or error.filename or ".")
        raise translate_os_error(error, path) from error
    except MemoryError as error:
        raise StepFailedError(
            f"{request.step} ran out of memory",
            owner=request.owner,
            safe="other steps are not affected",
            next="close other programs, then run the same command again",
        ) from error
    except (Exception, SystemExit) as error:
        logging.getLogger("uploader.step").error("%s", traceback.format_exc())
        raise StepFailedError(
            f"{request.step} failed: {type(error).__name__}: {error}",
            owner=request.owner,
            safe="finished steps are kept",
            next="run it again with --debug to see the traceback; if it stays, report it to "
            + request.owner.split(" ")[0],
        ) from error


def _call(request: messages.Request[Any], context: object, kind: type[T], expected: str) -> T:
    """Call the function that a request names; its result has to be of a type."""
    result = import_dotted(request.run, request.owner)(context)
    if not isinstance(result, kind):
        raise PluginError(f"{request.run} did not return {expected}")
    return result


def _run(request: messages.RunStep, emit: Emit, cancelled: Callable[[], bool]) -> Artifact:
    return _run_all(request, (request,), emit, cancelled)[0]


def _run_together(
    request: messages.RunTogether, emit: Emit, cancelled: Callable[[], bool]
) -> tuple[Artifact, ...]:
    return _run_all(request, request.steps, emit, cancelled)


def _run_all(
    request: messages.Request[Any],
    steps: tuple[messages.RunStep, ...],
    emit: Emit,
    cancelled: Callable[[], bool],
) -> tuple[Artifact, ...]:
    """Call the function that makes what one or several steps shall make."""
    contexts = tuple(_step_context(step, emit, cancelled) for step in steps)
    if steps[0].together:
        made: tuple[Artifact, ...] = _call(request, contexts, tuple, "a tuple of artifacts")
    else:
        made = (_call(request, contexts[0], Artifact, "context.artifact(...)"),)
    if len(made) != len(steps) or not all(isinstance(part, Artifact) for part in made):
        raise PluginError(f"{request.run} did not return {len(steps)} artifacts")
    for artifact, context in zip(made, contexts, strict=True):
        check_artifact(artifact, context.produces, context.output)
    return made


def _upload(request: messages.RunUpload, emit: Emit, cancelled: Callable[[], bool]) -> Receipt:
    context = _step_context(request, emit, cancelled)
    result = _call(request, context, Receipt, "context.receipt(...)")
    check_receipt(result, len(request.context.files))
    return result


def _step_context(
    request: messages.StepRequest[Any], emit: Emit, cancelled: Callable[[], bool]
) -> StepContext:
    last = 0.0

    def on_progress(what: str, done: int, total: int | None, unit: str) -> None:
        nonlocal last
        # Of a plugin: floats come from whoever computed with them.
        done, total = int(done), None if total is None else int(total)
        now = time.monotonic()
        if now - last >= 0.1 or done == total:
            last = now
            emit(messages.Progress(what=what, done=done, total=total, unit=unit))

    data = request.context
    context = StepContext(
        **{f.name: getattr(data, f.name) for f in fields(data)},
        settings=request.settings.build(),
        output=OutputFolder(
            request.output, data.work, request.units, request.reserved, request.finished
        ),
        secrets=visible_secrets(request.secrets),
        on_progress=on_progress,
        on_cancelled=cancelled,
    )
    sections = tuple(_render(section, context, emit) for section in request.sections)
    return replace(context, sections=tuple(s for s in sections if s is not None))


def _render(section: messages.SectionRequest, context: StepContext, emit: Emit) -> Section | None:
    """Render one section. A failure leaves it out, visibly."""
    try:
        about = tuple(a for a in context.inputs if a.kind == section.kind)
        folders = [a.path for a in about]
        measured = tuple(m for m in context.measurements if m.path in folders)
        settings = section.settings.build()
        own = replace(context, inputs=about, measurements=measured, settings=settings)
        text = import_dotted(section.run, section.owner)(own)
    except Exception as error:
        what = f"section {section.heading!r} of {section.owner} was left out"
        emit(messages.Warned(what=f"{what}: {type(error).__name__}: {error}"))
        return None
    if not text:
        return None
    return Section(
        heading=section.heading, text=str(text), plugin=section.plugin, kind=section.kind
    )


def _check(request: messages.Check, *_: object) -> tuple[Finding, ...]:
    return tuple(import_dotted(request.run, request.owner)(_completed(request)) or ())


def _completed(
    request: messages.Check | messages.Verify | messages.StillThere | messages.CleanUp,
) -> Any:
    """Return the context of a request with what does not cross a pipe: settings and secrets."""
    settings, secrets = request.settings.build(), visible_secrets(request.secrets)
    return replace(request.context, settings=settings, secrets=secrets)


def _fetch(request: messages.Fetch, *_: object) -> FetchedSource:
    context = replace(
        request.context, offline=is_offline(os.environ), secrets=visible_secrets(request.secrets)
    )
    return _call(request, context, FetchedSource, "a FetchedSource")


def _clean_up(request: messages.CleanUp, *_: object) -> bool:
    return import_dotted(request.run, request.owner)(_completed(request)) is not False


def _ask(request: messages.Verify | messages.StillThere, *_: object) -> object:
    wanted: type = request.answer_type
    return _call(request, _completed(request), wanted, f"a {wanted.__name__}")


_OPERATIONS: Mapping[type, Operation] = {
    messages.RunStep: _run,
    messages.RunTogether: _run_together,
    messages.RunUpload: _upload,
    messages.Check: _check,
    messages.Fetch: _fetch,
    messages.Verify: _ask,
    messages.StillThere: _ask,
    messages.CleanUp: _clean_up,
}


def main(more: Mapping[type, Operation] = MappingProxyType({})) -> int:
    """Serve the one request of this process and return its exit code.

    Args:
        more: What a worker of another module does, by class of request.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr = masked_stream(sys.stderr)
    guard = threading.Lock()

    def emit(message: object) -> None:
        with guard:
            out.write(kept_secrets(messages.to_line(message)))
            out.flush()

    request = messages.from_line(sys.stdin.readline(), more)
    if isinstance(request, messages.Import):
        load(request)
        line = sys.stdin.readline()
        if not line:
            return 0
        request = messages.from_line(line)
    cancelled = threading.Event()
    threading.Thread(target=_listen, args=(cancelled,), daemon=True).start()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    load(request)
    try:
        result = _answer(request, emit, cancelled.is_set, more)
    except UploaderError as error:
        emit(messages.Failed(error=to_message(error)))
        return error.exit_code
    emit(messages.Answer(result=result))
    return 0


def load(request: messages.Import | messages.Request[Any]) -> None:
    """Import what a step needs, as what stays until this process ends.

    What is wrong with it is told when the step itself runs. Never done in the process of a run,
    which may be somebody's notebook: what they let go of would stay as well.
    """
    with contextlib.suppress(BaseException), uncollected(stays=True):
        import_dotted(request.run, request.owner)


def _listen(cancelled: threading.Event) -> None:
    """Note that the user stopped the run; end at once when the run is gone: nothing runs unseen."""
    for line in sys.stdin:
        if isinstance(messages.from_line(line), messages.Cancel):
            cancelled.set()
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
