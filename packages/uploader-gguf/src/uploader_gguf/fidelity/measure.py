"""Measure finished files against base and adapter: ``fidelity.json`` and a picture beside them.

The reference is the checkpoint itself, written once more in float32. Several workers measure some
of the files each, and one of them then adds up what all of them saw, and times the files.
``merged-4bit`` is measured through the same door: its weights are widened as they are read, and
llama.cpp computes with them. A model that llama.cpp cannot run is not measured, and the release
goes on without the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    Artifact,
    PluginError,
    StepContext,
    hash_file,
    parse_json,
)
from uploader_gguf.fidelity.measured import Measured, numbers_of
from uploader_gguf.fidelity.plan import FOUR_BIT, REFERENCE, held_out
from uploader_gguf.fidelity.unquantised import unquantised
from uploader_gguf.format import gguf_file
from uploader_gguf.llama_cpp import library
from uploader_gguf.llama_cpp.counting_child import last_of, run_counting
from uploader_gguf.settings import MeasureSettings
from uploader_merged.fidelity.record import Text, or_without, record
from uploader_merged.fidelity.sums import Sums
from uploader_merged.texts import BUILTIN


def measure(context: StepContext) -> Artifact:
    """Measure what an artifact holds, and write the numbers next to it."""
    return or_without(context, _measure)


def _measure(context: StepContext) -> Artifact:
    settings: MeasureSettings = context.settings
    subject = context.inputs[0]
    text = held_out(settings)
    names = _files_of(subject)
    if context.pieces:
        names = {name: files for name, files in names.items() if files[0] in context.pieces}
        if not names:  # a worker for what is no model
            return context.artifact()
    reference = unquantised(context, context.input("checkpoint"), "reference", exact=True)
    if subject.kind == FOUR_BIT:
        widened = Artifact(
            kind="checkpoint",
            path=subject.path,
            metadata={"base": str(subject.path), "adapters": []},
        )
        paths = [unquantised(context, widened, "widened")]
    else:
        paths = [subject.path / files[0] for files in names.values()]
    by = {"llama_cpp": library.version()}
    stored = {file.name: file for file in subject.files}
    what = [hash_file(text)[1], library.version()]
    measured = [
        Measured(context, files[0], [*what, *(stored[file].sha256 for file in files)])
        for files in names.values()
    ]
    found = _ask(context, reference, paths, text, measured)
    if context.pieces:
        return context.artifact()
    parameters = sum(prod(t.shape) for t in gguf_file.read_header(reference).tensors)
    of_reference, *speeds = found["speeds"]
    models = []
    for (name, files), one, speed in zip(names.items(), measured, speeds, strict=True):
        size = sum(stored[file].size for file in files)
        models.append(
            {
                "kind": subject.kind,
                "name": name,
                "file": files[0],
                "bytes": size,
                "bits_per_weight": 8 * size / parameters,
                **numbers_of([theirs for _, theirs in one.seen], speed),
            }
        )
    ours = [ours for ours, _ in measured[0].seen]
    counted = {
        "tokens": sum(part.size for seen in ours for part in seen.surprise),
        "contexts": len(ours),
        "context_length": found["context_length"],
    }
    return record(
        context,
        Text.of(text, builtin=settings.measure_text == BUILTIN, counted=counted),
        {"name": f"base and adapter, {REFERENCE}", **numbers_of(ours, of_reference)},
        models,
        by,
    )


def _files_of(subject: Artifact) -> dict[str, list[str]]:
    """Return what is measured: a name for people, and its files, the first one leading."""
    if subject.kind == FOUR_BIT:
        weights = [f.name for f in subject.files if f.name.endswith(".safetensors")]
        return {"bitsandbytes 4-bit": weights}
    quants = subject.metadata.get("quants")
    if not isinstance(quants, dict) or not quants:
        raise PluginError("the record of the files does not say of which kind they are")
    names: dict[str, list[str]] = {}
    for file, kind in sorted(quants.items()):
        names.setdefault(str(kind), []).append(file)
    return names


def _ask(
    context: StepContext, reference: Path, paths: list[Path], text: Path, measured: list[Measured]
) -> dict[str, Any]:
    """Let a child process measure what is not measured yet.

    How fast the files are is for the worker that comes last: others compute beside a worker that
    has pieces, and so that they get their share it does not keep processors busy by waiting.

    Raises:
        PluginError: It failed; the end of its log is in the error.
    """
    request = {
        "reference": str(reference),
        "models": [str(path) for path in paths],
        "text": str(text),
        "contexts": context.settings.measure_contexts,
        "known": [len(one.seen) for one in measured],
        "timed": not context.pieces,
    }

    def found(said: Mapping[str, Any]) -> None:
        seen = Sums.from_json(said["ours"]), Sums.from_json(said["theirs"])
        measured[said["model"]].add(seen)

    log = context.work / "fidelity.log"
    code, last = run_counting(
        "uploader_gguf.fidelity.child",
        request,
        log,
        lambda done, total: context.progress("measuring", done, total, "steps"),
        found=found,
        environment={"OMP_WAIT_POLICY": "PASSIVE"} if context.pieces else {},
    )
    if code != 0:
        raise PluginError(last_of(log) or f"exit code {code}")
    try:
        answer = parse_json(last)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise PluginError(f"the measuring process answered {last.strip()[:60]!r}", owner=str(log))
    return answer
