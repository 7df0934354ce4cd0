"""The GGUF step: one pass over the checkpoint, all kinds of file at once.

Every tensor is read and merged once, in blocks of rows, and each block goes to every file that is
open. F32, F16, BF16 and Q8_0 are stored from the checkpoint's own values, as llama.cpp's converter
does it. All other kinds are made from the values as the F16 file holds them, because that is what
``llama-quantize`` gets when people run it; so their bytes are the same as its.
"""

from __future__ import annotations

import dataclasses
import shutil
from math import prod
from pathlib import Path

# llama.cpp's converter imports it; here that is done while the run still checks its plan.
import transformers.models.auto.tokenization_auto  # noqa: F401, TID253

from uploader_core.plugin import Artifact, OutputFolder, StepContext
from uploader_gguf.chat_template.notes import KEY as CHAT_TEMPLATE
from uploader_gguf.chat_template.settle import Settled, settle
from uploader_gguf.format import gguf_file
from uploader_gguf.format.gguf_file import file_name, packed_keys
from uploader_gguf.format.mixture import Overrides
from uploader_gguf.format.quants import QUANTS, Quant
from uploader_gguf.importance import calibration, imatrix
from uploader_gguf.importance.imatrix import Importance
from uploader_gguf.llama_cpp import library, smoke, toolchain
from uploader_gguf.llama_cpp.converter import Conversion, plan
from uploader_gguf.llama_cpp.converter_folder import ConverterFolder, prepare_folder
from uploader_gguf.llama_cpp.encoders import Encoders, choose
from uploader_gguf.llama_cpp.heads import refuse_lost_head
from uploader_gguf.llama_cpp.weights import Weights, open_weights
from uploader_gguf.settings import GgufSettings
from uploader_gguf.target_size.pick import Picked, Problem
from uploader_gguf.tokenizer import vocabulary
from uploader_gguf.writing import roundtrip
from uploader_gguf.writing.layout import File, lay_out
from uploader_gguf.writing.ranges import PREFIX, Range, ranges
from uploader_gguf.writing.release_files import file_limit, projector_name
from uploader_gguf.writing.writer import write, write_parts
from uploader_lora.where_it_runs import Described, of_model, recorded


def convert(context: StepContext) -> Artifact:
    """Write the GGUF files that the settings ask for.

    Raises:
        RefusedError: llama.cpp cannot convert or quantise this model.
        IntegrityError: A file does not load, or a value does not fit its type.
    """
    settings: GgufSettings = context.settings
    chain = toolchain.find(settings.llama_cpp)
    weights = open_weights(context.input("checkpoint"))
    folder = _prepare(context, weights)
    if context.pieces:
        return _make_pieces(context, chain, weights, folder)
    files = _finished(context)
    picked = None
    if files is None:
        importance = _importance(context, chain, weights, folder)
        conversion = _plan(context, chain, weights, folder, _direct(settings))
        refuse_lost_head(weights, conversion)
        settled = _settle(context, conversion.keys, folder)
        conversion.keys.update(settled.keys)
        picked = _pick(context, conversion, importance)
        files, encoders = _write(context, weights, conversion, importance, picked)
        shapes = [tensor.shape for tensor in conversion.tensors]
    else:
        headers = [gguf_file.read_header(_path(context, names)) for names in files]
        shapes = [t.shape for t in headers[0].tensors]
        encoders = choose(settings.kernels, {t.kind for h in headers for t in h.tensors})
        settled = _settle(context, packed_keys(_path(context, files[0])), folder, rewrite=False)
    projector = _projector(context, chain, weights, folder)
    _check(context, [_path(context, names) for names in files], folder, projector)
    wish = settings.wish()
    kinds = [*settings.kinds(), *([wish.label] if wish else [])]
    task = weights.task()
    return context.artifact(
        {
            **task.to_json(),
            **recorded(of_model("gguf", Described(split=any(len(n) > 1 for n in files))), task),
            "llama_cpp": chain.version,
            "library": library.version(),
            "kernels": encoders.record,
            "parameters": sum(map(prod, shapes)),
            "quants": {
                name: kind for kind, names in zip(kinds, files, strict=True) for name in names
            },
            "mmproj": projector.name if projector else None,
            **({"target_size": picked.record(wish)} if picked and wish else {}),
            **({CHAT_TEMPLATE: settled.record} if settled.record else {}),
        }
    )


def _quants(settings: GgufSettings) -> list[Quant]:
    overrides = settings.overrides()
    return [_wanted(name, overrides) for name in settings.kinds()]


def _path(context: StepContext, names: tuple[str, ...]) -> Path:
    """Return the first file of a kind, which llama.cpp finds the others from."""
    return context.output.path / names[0]


def _finished(context: StepContext) -> list[tuple[str, ...]] | None:
    """Return the names by kind when an interrupted attempt finished all files; else None.

    A file of a target size is laid out again, to say how it was chosen, and not written again.
    """
    if context.settings.target_size is not None:
        return None
    names = [file_name(context.release.name, quant.name) for quant in _quants(context.settings)]
    if context.settings.calibration is not None:
        names.append(file_name(context.release.name, "imatrix"))
    if all(context.output.done(name) is not None for name in names):
        return [(name,) for name in names[: len(_quants(context.settings))]]
    return None


def _prepare(context: StepContext, weights: Weights) -> ConverterFolder:
    work, author = context.work / "converter", context.settings.quantized_by
    return prepare_folder(weights, context.release, work, _base(context), author)


def _make_pieces(
    context: StepContext, chain: toolchain.Toolchain, weights: Weights, folder: ConverterFolder
) -> Artifact:
    """Make the ranges of tensors, and the encoder of images, that are this worker's.

    Prompts, tokens and files are tried by the worker that puts the files together.
    """
    settings: GgufSettings = context.settings
    if any(name.startswith(PREFIX) for name in context.pieces):
        importance = None if settings.imatrix is None else imatrix.load(settings.imatrix)
        conversion = _plan(context, chain, weights, folder, _direct(settings), tokens=False)
        refuse_lost_head(weights, conversion)
        files = _lay_out(context, conversion, importance)
        mine = [r for r in _ranges(weights, conversion) if r.name in context.pieces]
        write_parts(context, conversion, files, settings.kernels, mine)
    if projector_name(context.release.name, settings.mmproj) in context.pieces:
        _projector(context, chain, weights, folder)
    shutil.rmtree(folder.path)
    return context.artifact()


def _direct(settings: GgufSettings) -> set[str]:
    return {quant.name for quant in _quants(settings) if quant.direct}


def _ranges(weights: Weights, conversion: Conversion) -> tuple[Range, ...]:
    return ranges(weights, [tensor.shape for tensor in conversion.tensors])


def _plan(
    context: StepContext,
    chain: toolchain.Toolchain,
    weights: Weights,
    folder: ConverterFolder,
    kinds: set[str],
    *,
    tokens: bool = True,
) -> Conversion:
    settings: GgufSettings = context.settings
    context.progress("reading the model's description", 0, None, "steps")
    return plan(
        chain,
        weights,
        folder,
        kinds=kinds,
        pre_tokenizer=vocabulary.Resolver(settings.pre_tokenizer, _base(context)),
        mtp=settings.mtp,
        vocabulary=tokens,
    )


def _importance(
    context: StepContext, chain: toolchain.Toolchain, weights: Weights, folder: ConverterFolder
) -> Importance | None:
    """Load the importance matrix, or compute one and keep it beside the files.

    It is computed on Q8_0 in a scratch file: as good as F16 for this, in half the memory.
    """
    settings: GgufSettings = context.settings
    if settings.imatrix is not None:
        return imatrix.load(settings.imatrix)
    if settings.calibration is None:
        return None
    name = file_name(context.release.name, "imatrix")
    if context.output.done(name) is None:
        conversion = _plan(context, chain, weights, folder, {"Q8_0"})
        scratch = OutputFolder(context.work / "calibration", context.work / "calibration")
        file = lay_out(QUANTS["Q8_0"], "model.gguf", conversion)
        write(dataclasses.replace(context, output=scratch), conversion, [file], settings.kernels)
        text = calibration.text_of(settings.calibration)
        with context.output.reserve(name, role="other") as target:
            calibration.compute(scratch.path / "model.gguf", text, target, context.progress)
        (scratch.path / "model.gguf").unlink()
    return imatrix.load(context.output.path / name)


def _pick(
    context: StepContext, conversion: Conversion, importance: Importance | None
) -> Picked | None:
    """Choose the types of the file that was asked for by its size."""
    settings: GgufSettings = context.settings
    wish = settings.wish()
    if wish is None:
        return None
    limit = file_limit(settings.split_size)
    problem = Problem(conversion, importance, settings.overrides(), limit, settings.kernels)
    picked = problem.pick(
        wish, lambda done, total: context.progress("choosing types", done, total, "tensors")
    )
    context.log.info("%s: %s", wish.label, picked.summary)
    return picked


def _lay_out(
    context: StepContext, conversion: Conversion, importance: Importance | None
) -> list[File]:
    settings: GgufSettings = context.settings
    return [
        lay_out(
            quant,
            file_name(context.release.name, quant.name),
            conversion,
            importance,
            settings.overrides(),
            file_limit(settings.split_size),
        )
        for quant in _quants(settings)
    ]


def _write(
    context: StepContext,
    weights: Weights,
    conversion: Conversion,
    importance: Importance | None,
    picked: Picked | None,
) -> tuple[list[tuple[str, ...]], Encoders]:
    """Write what is not finished yet; return the files' names by kind, and who stored them."""
    settings: GgufSettings = context.settings
    files = _lay_out(context, conversion, importance)
    wish = settings.wish()
    if picked is not None and wish is not None:
        name, limit = file_name(context.release.name, wish.label), file_limit(settings.split_size)
        types = picked.overrides()
        files.append(lay_out(picked.quant, name, conversion, importance, types, limit))
    names = [tuple(shard.name for shard in file.shards) for file in files]
    if any(context.output.done(shard.name) is None for file in files for shard in file.shards):
        divided = _ranges(weights, conversion)
        return names, write(context, conversion, files, settings.kernels, divided)
    return names, choose(settings.kernels, {t.kind for file in files for t in file.tensors})


def _settle(
    context: StepContext, keys: dict[str, bytes], folder: ConverterFolder, *, rewrite: bool = True
) -> Settled:
    """Compare the chat prompts before the first byte is written, and those of finished files."""
    if not context.settings.template_check:
        return Settled()
    context.progress("comparing chat prompts", 0, None, "steps")
    return settle(keys, folder, context.work / "chat_template", context.log, rewrite=rewrite)


def _projector(
    context: StepContext, chain: toolchain.Toolchain, weights: Weights, folder: ConverterFolder
) -> Path | None:
    """Write the encoder of images and sound of a multimodal model, and return its path."""
    settings: GgufSettings = context.settings
    if settings.mmproj == "none" or not chain.has_projector(weights.config):
        return None
    name = projector_name(context.release.name, settings.mmproj)
    if context.output.done(name) is None:
        conversion = plan(
            chain,
            weights,
            folder,
            kinds={settings.mmproj},
            pre_tokenizer=vocabulary.Resolver(None),
            part="mmproj",
        )
        layout = lay_out(QUANTS[settings.mmproj], name, conversion)
        write(context, conversion, [layout], settings.kernels)
    return context.output.path / name


def _check(
    context: StepContext, paths: list[Path], folder: ConverterFolder, projector: Path | None
) -> None:
    """Try the finished files, also those that an interrupted attempt left.

    Raises:
        IntegrityError: One does not run, or tokenises otherwise than the model.
    """
    settings: GgufSettings = context.settings
    # The vocabulary is the same in all of them, so the smallest file stands for all.
    smallest = min(paths, key=lambda path: path.stat().st_size)
    texts: tuple[smoke.Probe, ...] = ()
    if settings.tokenizer_check and folder.own is not None:
        texts = roundtrip.probes_for(folder.own, folder.path)
    elif settings.tokenizer_check:
        context.log.warning(
            "the tokenisation was not compared: no tokenizer.json and no tokenizer.model"
        )
    with smoke.LlamaCpp() as llama:
        for index, path in enumerate(paths):
            asked = texts if path == smallest else ()
            if settings.smoke_test or asked:
                context.progress(f"running {path.name}", index, len(paths), "files")
                fitting = projector if path == smallest else None
                theirs = llama.check(path, asked, run=settings.smoke_test, projector=fitting)
                if asked and folder.own is not None:
                    roundtrip.compare(asked, theirs, folder.own, path)


def _base(context: StepContext) -> Path | None:
    base = context.input("checkpoint").metadata.get("base")
    return Path(base) if isinstance(base, str) else None


def _wanted(name: str, overrides: Overrides) -> Quant:
    quant = QUANTS[name]
    if quant.default.is_quantized and overrides != Overrides():
        # Types of single tensors are llama-quantize's notion; the converter has none for Q8_0.
        return dataclasses.replace(quant, direct=False)
    return quant
