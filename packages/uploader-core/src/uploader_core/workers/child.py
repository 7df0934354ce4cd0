"""Run one step, in a process of its own: ``python -m uploader_core.workers.child``.

The request is a line of standard input; one before it may name what to import meanwhile. The pipe
then stays open, and its end tells the worker that the run is gone. Events and the result are JSON
lines on standard output; whatever a library prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, Json, Receipt, UploadFile
from uploader_core.contract.context import (
    FetchedSource,
    PlanContext,
    ReleaseInfo,
    Section,
    SourceContext,
    StepContext,
    VerifyContext,
)
from uploader_core.contract.output import OutputFolder
from uploader_core.contract.settings import from_json as settings_from_json
from uploader_core.contract.verification import Verification
from uploader_core.errors import PluginError, StepFailedError, UploaderError, to_message
from uploader_core.plugins.entry_points import import_dotted
from uploader_core.plugins.registry import Registry
from uploader_core.workers.environment import _is_offline, _secrets

Emit = Callable[[Mapping[str, Json]], None]


def perform(request: Mapping[str, Any], emit: Emit, cancelled: Callable[[], bool]) -> Json:
    """Do what a request says and return its result as JSON.

    Args:
        request: See :mod:`uploader_core.workers.pool`, which builds it.
        emit: Receives progress and log events.
        cancelled: Asked at every progress report.

    Raises:
        UploaderError: In the step's own words, or wrapped with the step's and the plugin's name.
    """
    try:
        return _OPERATIONS[request["op"]](request, emit, cancelled)
    except UploaderError as error:
        if error.owner:
            raise
        raise error.replace(owner=request["owner"]) from error
    except OSError as error:
        from uploader_core.disk.safe_write import translate_os_error

        path = Path(request.get("output") or error.filename or ".")
        raise translate_os_error(error, path) from error
    except MemoryError as error:
        raise StepFailedError(
            f"{request['step']} ran out of memory",
            owner=request["owner"],
            safe="other steps are not affected",
            next="close other programs, then run the same command again",
        ) from error
    except (Exception, SystemExit) as error:
        logging.getLogger("uploader.step").error("%s", traceback.format_exc())
        raise StepFailedError(
            f"{request['step']} failed: {type(error).__name__}: {error}",
            owner=request["owner"],
            safe="finished steps are kept",
            next="run it again with --debug to see the traceback; if it stays, report it to "
            + str(request["owner"]).split(" ")[0],
        ) from error


def _run(request: Mapping[str, Any], emit: Emit, cancelled: Callable[[], bool]) -> Json:
    context = _step_context(request, emit, cancelled)
    result = import_dotted(request["run"], request["owner"])(context)
    if request["returns"] == "receipt":
        if not isinstance(result, Receipt):
            raise PluginError(f"{request['run']} did not return context.receipt(...)")
        return result.to_json()
    if not isinstance(result, Artifact):
        raise PluginError(f"{request['run']} did not return context.artifact(...)")
    if request["returns"] == "artifact" and result.kind != request["produces"]:
        raise PluginError(f"{request['run']} returned {result.kind}, not {request['produces']}")
    return result.to_json()


def _step_context(
    request: Mapping[str, Any], emit: Emit, cancelled: Callable[[], bool]
) -> StepContext:
    last = 0.0

    def on_progress(what: str, done: int, total: int | None, unit: str) -> None:
        nonlocal last
        # Of a plugin: floats come from whoever computed with them.
        done, total = int(done), None if total is None else int(total)
        now = time.monotonic()
        if now - last >= 0.1 or done == total:
            last = now
            emit({"event": "progress", "what": what, "done": done, "total": total, "unit": unit})

    work = Path(request["work"])
    units = request.get("units")
    inputs = tuple(Artifact.from_json(a) for a in request["inputs"])
    context = StepContext(
        step=request["step"],
        inputs=inputs,
        settings=_settings(request),
        release=ReleaseInfo.from_json(request["release"]),
        output=OutputFolder(Path(request["output"]), work, Path(units) if units else None),
        work=work,
        produces=request["produces"],
        version=request["owner"],
        target=request.get("target"),
        destination=request.get("destination"),
        targets=tuple(request.get("targets", ())),
        files=tuple(UploadFile.from_json(f) for f in request.get("files", ())),
        loads=tuple(request.get("loads", ())),
        measurements=tuple(Artifact.from_json(a) for a in request.get("measurements", ())),
        sources={kind: Path(path) for kind, path in request.get("sources", {}).items()},
        model_id=request.get("model_id", ""),
        secrets=_secrets(request),
        on_progress=on_progress,
        on_cancelled=cancelled,
    )
    sections = tuple(_render(s, context, inputs, emit) for s in request.get("sections", ()))
    if not sections:
        return context
    from dataclasses import replace

    return replace(context, sections=tuple(s for s in sections if s is not None))


def _render(
    section: Mapping[str, Any], context: StepContext, inputs: tuple[Artifact, ...], emit: Emit
) -> Section | None:
    """Render one section. A failure leaves it out, visibly."""
    from dataclasses import replace

    try:
        about = tuple(a for a in inputs if a.kind == section["kind"])
        folders = [a.path for a in about]
        measured = tuple(m for m in context.measurements if m.path in folders)
        own = replace(context, inputs=about, measurements=measured, settings=_settings(section))
        text = import_dotted(section["run"], section["owner"])(own)
    except Exception as error:
        emit(
            {
                "event": "warning",
                "what": f"section {section['heading']!r} of {section['owner']} was left out: "
                f"{type(error).__name__}: {error}",
            }
        )
        return None
    if not text:
        return None
    return Section(
        heading=section["heading"],
        text=str(text),
        plugin=section["plugin"],
        kind=section["kind"],
    )


def _check(request: Mapping[str, Any], emit: Emit, cancelled: Callable[[], bool]) -> Json:
    context = PlanContext(
        inputs=tuple(Artifact.from_json(a) for a in request["inputs"]),
        settings=_settings(request),
        release=ReleaseInfo.from_json(request["release"]),
        output=Path(request["output"]),
        target=request.get("target"),
        sizes=request.get("sizes", {}),
        names={
            kind: tuple((str(name), int(size)) for name, size in files)
            for kind, files in request.get("names", {}).items()
        },
        sources={kind: Path(path) for kind, path in request.get("sources", {}).items()},
        files=tuple(request.get("known", ())),
        loads=tuple(request.get("loads", ())),
    )
    findings = import_dotted(request["run"], request["owner"])(context) or ()
    return {"findings": [f.to_json() for f in findings]}


def _fetch(request: Mapping[str, Any], emit: Emit, cancelled: Callable[[], bool]) -> Json:
    context = SourceContext(
        reference=request["reference"],
        purpose=request["purpose"],
        offline=_is_offline(os.environ),
        outline=None if request.get("outline") is None else Path(request["outline"]),
        secrets=_secrets(request),
    )
    result = import_dotted(request["run"], request["owner"])(context)
    if not isinstance(result, FetchedSource):
        raise PluginError(f"{request['run']} did not return a FetchedSource")
    return {
        "path": str(result.path),
        "model_id": result.model_id,
        "revision": result.revision,
        "outline": result.outline,
        "download": result.download,
        "cache": None if result.cache is None else str(result.cache),
        "cache_option": result.cache_option,
        "unfetched": [*result.unfetched],
    }


def _verify(request: Mapping[str, Any], emit: Emit, cancelled: Callable[[], bool]) -> Json:
    context = VerifyContext(
        target=request["target"], full=request["full"], secrets=_secrets(request)
    )
    result = import_dotted(request["run"], request["owner"])(context)
    if not isinstance(result, Verification):
        raise PluginError(f"{request['run']} did not return a Verification")
    return result.to_json()


def _diagnose(request: Mapping[str, Any], emit: Emit, cancelled: Callable[[], bool]) -> Json:
    """Ask one plugin what it has to say of this machine."""
    plugin = Registry().load(str(request["plugin"]))
    found = plugin.module.uploader_diagnostics(online=bool(request["online"]))
    return {
        "lines": [
            {"name": str(d.name), "level": str(d.level), "what": str(d.what), "fix": d.fix}
            for d in found or ()
        ]
    }


_OPERATIONS: Mapping[str, Callable[[Mapping[str, Any], Emit, Callable[[], bool]], Json]] = {
    "run": _run,
    "check": _check,
    "fetch": _fetch,
    "verify": _verify,
    "diagnose": _diagnose,
}


def _settings(request: Mapping[str, Any]) -> Any:
    where = request.get("settings_class")
    if where is None:
        return None
    module, _, name = where.partition(":")
    cls = getattr(importlib.import_module(module), name)
    return settings_from_json(request["plugin"], cls, request["settings"])


def main() -> int:
    """Serve the one request of this process and return its exit code."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    guard = threading.Lock()

    def emit(message: Mapping[str, Json]) -> None:
        with guard:
            out.write(json.dumps(message, ensure_ascii=False) + "\n")
            out.flush()

    request = json.loads(sys.stdin.readline())
    if request["op"] == "import":
        # What is wrong with it is told when the step itself runs.
        with contextlib.suppress(BaseException):
            import_dotted(request["run"], request["owner"])
        line = sys.stdin.readline()
        if not line:
            return 0
        request = json.loads(line)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    try:
        result = perform(request, emit, lambda: False)
    except UploaderError as error:
        emit({"event": "error", "error": {**to_message(error)}})
        return error.exit_code
    emit({"event": "result", "result": result})
    return 0


def _leave_with_parent() -> None:
    """End at once when the run that started this worker is gone, so that nothing runs unseen."""
    while sys.stdin.read(1):
        pass
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
