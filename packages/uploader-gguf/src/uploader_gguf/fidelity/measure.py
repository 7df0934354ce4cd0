"""Measure finished files against base and adapter: ``fidelity.json`` and a picture beside them.

The reference is the checkpoint itself, written once more in float32 into the scratch folder.
``merged-4bit`` is measured through the same door: its weights are widened as they are read, and
llama.cpp computes with them. A model that llama.cpp cannot run is not measured, and the release
goes on without the numbers.
"""

from __future__ import annotations

import dataclasses
from math import prod
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    Artifact,
    OutputFolder,
    PluginError,
    StepContext,
    parse_json,
)
from uploader_gguf.fidelity.plan import FOUR_BIT, REFERENCE, held_out
from uploader_gguf.format import gguf_file
from uploader_gguf.format.quants import QUANTS
from uploader_gguf.llama_cpp import library, toolchain
from uploader_gguf.llama_cpp.converter import plan
from uploader_gguf.llama_cpp.converter_folder import prepare_folder
from uploader_gguf.llama_cpp.counting_child import last_of, run_counting
from uploader_gguf.llama_cpp.weights import open_weights
from uploader_gguf.settings import GgufSettings, MeasureSettings
from uploader_gguf.tokenizer import vocabulary
from uploader_gguf.writing.layout import lay_out
from uploader_gguf.writing.writer import write
from uploader_merged.fidelity.record import Text, or_without, record
from uploader_merged.texts import BUILTIN


def measure(context: StepContext) -> Artifact:
    """Measure what an artifact holds, and write the numbers next to it."""
    return or_without(context, _measure)


def _measure(context: StepContext) -> Artifact:
    settings: MeasureSettings = context.settings
    subject = context.inputs[0]
    text = held_out(settings)
    reference = _unquantised(context, context.input("checkpoint"), "reference", exact=True)
    names = _files_of(subject)
    if subject.kind == FOUR_BIT:
        widened = Artifact(
            kind="checkpoint",
            path=subject.path,
            metadata={"base": str(subject.path), "adapters": []},
        )
        paths = [_unquantised(context, widened, "widened")]
    else:
        paths = [subject.path / names[0] for names in names.values()]
    found = _ask(context, reference, paths, text, settings.measure_contexts)
    parameters = sum(prod(t.shape) for t in gguf_file.read_header(reference).tensors)
    size_of = {file.name: file.size for file in subject.files}
    models = []
    for (name, files), numbers in zip(names.items(), found["models"], strict=True):
        size = sum(size_of[file] for file in files)
        models.append(
            {
                "kind": subject.kind,
                "name": name,
                "file": files[0],
                "bytes": size,
                "bits_per_weight": 8 * size / parameters,
                **numbers,
            }
        )
    return record(
        context,
        Text.of(text, builtin=settings.measure_text == BUILTIN, counted=found),
        {"name": f"base and adapter, {REFERENCE}", **found["reference"]},
        models,
        {"llama_cpp": library.version()},
    )


def _files_of(subject: Artifact) -> dict[str, list[str]]:
    """Return what is measured: a name for people, and its files, the first one leading."""
    if subject.kind == FOUR_BIT:
        weights = [f.name for f in subject.files if f.name.endswith(".safetensors")]
        return {"bitsandbytes 4-bit": weights}
    quants = subject.metadata.get("quants")
    if not isinstance(quants, dict):
        raise PluginError("the record of the files does not say of which kind they are")
    names: dict[str, list[str]] = {}
    for file, kind in sorted(quants.items()):
        names.setdefault(str(kind), []).append(file)
    return names


def _unquantised(
    context: StepContext, checkpoint: Artifact, name: str, *, exact: bool = False
) -> Path:
    """Write a checkpoint as GGUF into the scratch folder.

    Args:
        context: Of the step.
        checkpoint: What to write.
        name: Of the file.
        exact: With the sums of base and adapter as they are, before a merge rounds them.
    """
    settings: MeasureSettings = context.settings
    context.progress(f"writing the {name} model", 0, None, "steps")
    weights = open_weights(checkpoint)
    if exact:
        weights = weights.widened()
    base = checkpoint.metadata.get("base")
    folder = context.work / name
    conversion = plan(
        toolchain.find(settings.llama_cpp),
        weights,
        prepare_folder(weights, context.release, folder / "converter", None, None),
        kinds={REFERENCE},
        pre_tokenizer=vocabulary.Resolver(
            settings.pre_tokenizer, Path(base) if isinstance(base, str) else None
        ),
    )
    file = f"{name}.gguf"
    scratch = OutputFolder(folder, folder)
    write(
        dataclasses.replace(context, output=scratch, settings=GgufSettings()),
        conversion,
        [lay_out(QUANTS[REFERENCE], file, conversion)],
        "auto",
    )
    return folder / file


def _ask(
    context: StepContext, reference: Path, paths: list[Path], text: Path, contexts: int
) -> dict[str, Any]:
    """Let a child process measure.

    Raises:
        PluginError: It failed; the end of its log is in the error.
    """
    request = {
        "reference": str(reference),
        "models": [str(path) for path in paths],
        "text": str(text),
        "contexts": contexts,
    }
    log = context.work / "fidelity.log"
    code, last = run_counting(
        "uploader_gguf.fidelity.child",
        request,
        log,
        lambda done, total: context.progress("measuring", done, total, "steps"),
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
