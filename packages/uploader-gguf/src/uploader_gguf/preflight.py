"""What can be said before anything runs: refusals, and sizes from headers alone."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import uploader_kernels
from uploader_core.plugin import Estimate, Finding, Lever, Piece, PlanContext
from uploader_gguf.format.gguf_file import file_name
from uploader_gguf.format.quants import QUANTS, Quant
from uploader_gguf.importance import calibration, imatrix
from uploader_gguf.llama_cpp import library, toolchain
from uploader_gguf.llama_cpp.heads import one_matrix
from uploader_gguf.llama_cpp.pooling import check_pooling
from uploader_gguf.llama_cpp.weights import Weights, open_weights, tokens_without_rows
from uploader_gguf.settings import GgufSettings
from uploader_gguf.target_size.ahead import look_ahead
from uploader_gguf.writing import ranges, sizes
from uploader_gguf.writing.release_files import file_limit, projector_name
from uploader_lora.where_it_runs import Described, of_model, planned
from uploader_merged import checkpoint_findings, open_checkpoint

# Quantised checkpoints whose values llama.cpp's converter cannot read back. fp8, mxfp4 and
# compressed-tensors it can.
_UNREADABLE = ("bitsandbytes", "awq", "gptq", "hqq", "eetq", "quanto", "aqlm", "vptq", "higgs")

# In a tokenizer.json: sentencepiece's space only at the beginning of a text.
_FIRST = re.compile(r'"prepend_scheme"\s*:\s*"first"')

# Imports, a vocabulary and the converter's own objects.
_RESIDENT = 700 << 20
_STARTUP_SECONDS = 15.0
# A context of llama.cpp, its vocabulary, and Python.
_LLAMA = 400 << 20


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse what cannot work.

    Raises:
        PluginError: llama.cpp's conversion code or library is not installed.
        UsageError: ``--gguf-llama-cpp`` is not a llama.cpp, or a type is not known.
        RefusedError: ``--gguf-imatrix`` is not an importance matrix, or no file can have the
            target size.
    """
    settings: GgufSettings = context.settings
    wish = settings.wish()
    refused = False
    for finding in _model_and_options(context):
        refused |= finding.level == "error"
        yield finding
    if wish is not None and not refused:
        yield from look_ahead(context, wish).findings


def _model_and_options(context: PlanContext) -> Iterator[Finding]:
    settings: GgufSettings = context.settings
    chain = toolchain.find(settings.llama_cpp)
    library.locate()
    for name in settings.kinds():
        has_matrix = settings.imatrix is not None or settings.calibration is not None
        if QUANTS[name].needs_imatrix and not has_matrix:
            yield Finding(
                level="error",
                what=f"{name} without an importance matrix would be garbage",
                next="give --gguf-imatrix FILE or --gguf-calibration TEXT, or choose Q2_K, Q3_K_S"
                " or IQ4_XS",
            )
    settings.overrides()
    file_limit(settings.split_size)
    if settings.imatrix is not None:
        imatrix.look_at(settings.imatrix)
        if settings.calibration is not None:
            yield Finding(
                level="error",
                what="an importance matrix is given and shall be computed as well",
                next="leave --gguf-imatrix or --gguf-calibration away",
            )
    if settings.calibration is not None:
        calibration.text_of(settings.calibration)
    reason = uploader_kernels.missing()
    if settings.kernels == "auto" and reason is not None:
        yield Finding(
            level="note",
            what="llama.cpp's own kernels quantise, with the same bytes in five to ten times the"
            f" time: {reason}",
        )
    checkpoint = open_checkpoint(context.input("checkpoint"))
    yield from quantization(checkpoint.config)
    yield from _architecture(checkpoint.config, chain)
    yield from one_matrix(checkpoint)
    yield from checkpoint_findings(checkpoint, context)
    yield from planned("gguf", of_model("gguf", Described()), checkpoint.task())
    yield from _tokenizer(checkpoint)
    yield from check_pooling(checkpoint.auxiliary(), checkpoint.config)


def quantization(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Refuse a checkpoint whose values cannot be read back; parts of larger models as well."""
    for part in (config, *(v for v in config.values() if isinstance(v, dict))):
        quantization = part.get("quantization_config")
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        if str(method).lower() in _UNREADABLE:
            yield Finding(
                level="error",
                what=f"the base model is quantised with {method}, which GGUF cannot be made from",
                next="name the 16-bit model that it was made from with --base",
            )
            return


def _tokenizer(weights: Weights) -> Iterator[Finding]:
    """Say what a GGUF cannot have of the tokenizer; see :mod:`uploader_gguf.writing.roundtrip`."""
    surplus = tokens_without_rows(weights)
    if surplus:
        yield Finding(
            level="note",
            what=f"the GGUF files do not have the tokens without rows ({', '.join(surplus[:4])}):"
            " llama.cpp loads no vocabulary that is larger than the embedding",
        )
    path = weights.auxiliary().get("tokenizer.json")
    if path is not None and _FIRST.search(path.read_text("utf-8")):
        yield Finding(
            level="note",
            what="llama.cpp puts a space before a text that follows a control token, and this"
            " tokenizer (legacy: false) only at the beginning; no GGUF can say otherwise",
        )


def _architecture(config: Mapping[str, Any], chain: toolchain.Toolchain) -> Iterator[Finding]:
    known = chain.architectures()["text"]
    name = toolchain.architecture_of(config)
    top = (config.get("architectures") or [None])[0]
    if name in known or top in known:
        return
    if name is None:
        yield Finding(
            level="error",
            what="config.json does not say which architecture the model has",
            next='add "architectures": ["LlamaForCausalLM"], with the right name, to config.json',
        )
        return
    close = difflib.get_close_matches(name, known, n=3)
    yield Finding(
        level="error",
        what=f"llama.cpp ({chain.version}) cannot convert the architecture {name}"
        + (f"; it knows {', '.join(close)}" if close else ""),
        next="try a newer checkout of llama.cpp with --gguf-llama-cpp DIR",
    )


def _parts(files: Iterable[tuple[str, int]], limit: int) -> Iterator[tuple[str, int]]:
    """Yield names and sizes as they will be after the cut; their number is about right."""
    for name, size in files:
        count = -(-size // limit)
        if count < 2:
            yield name, size
            continue
        for number in range(count):
            end = f"-{number + 1:05d}-of-{count:05d}.gguf"
            yield name.removesuffix(".gguf") + end, size // count


def estimate(context: PlanContext) -> Estimate:
    """Count bytes with the rules that will choose the types."""
    settings: GgufSettings = context.settings
    weights: Weights = open_weights(context.input("checkpoint"))
    quants = [QUANTS[name] for name in settings.kinds()]
    wish = settings.wish()
    model = sizes.describe(weights)
    files = tuple(
        (file_name(context.release.name, quant.name), sizes.file_bytes(model, quant))
        for quant in quants
    )
    fast = settings.kernels == "auto" and uploader_kernels.missing() is None
    work = sum(sizes.seconds(model, quant, fast=fast) for quant in quants)
    if wish is not None:
        known = look_ahead(context, wish)
        files = (*files, (file_name(context.release.name, wish.label), known.nbytes))
        # Samples in every type, and then a file that is about as slow as any.
        work += 2 * sizes.seconds(model, QUANTS["Q4_K_M"], fast=fast)
    models = files
    if settings.mmproj != "none" and toolchain.find(settings.llama_cpp).has_projector(
        weights.config
    ):
        name = projector_name(context.release.name, settings.mmproj)
        files = (*files, (name, sizes.projector_bytes(weights, QUANTS[settings.mmproj])))
    # The converter works on copies of the small files.
    copies = sum(path.stat().st_size for path in weights.auxiliary().values())
    calibrated = 0
    if settings.calibration is not None:
        matrix = sizes.imatrix_bytes(model)
        files = (*files, (file_name(context.release.name, "imatrix"), matrix))
        # Only until the importance matrix is there, before the first file is begun.
        calibrated = sizes.file_bytes(model, QUANTS["Q8_0"]) + matrix
    written = sum(size for _, size in files)
    pieces: tuple[Piece, ...] = ()
    if wish is None and settings.calibration is None:
        # What a target size and calibration measure is measured on the whole model.
        pieces = ranges.pieces(weights, sum(size for _, size in models))
        pieces += tuple(ranges.piece(*file) for file in files[len(models) :])
    # Parts are removed as files are put together, where the disk is short, one range at a time.
    parts = written // len(pieces) if pieces else 0
    tried = 0
    if settings.smoke_test:
        # llama.cpp packs matrices again, in memory of its own, for the processor that it runs on.
        tried = _LLAMA + max(size for _, size in models)
    return Estimate(
        bytes_scratch=copies + calibrated + parts,
        bytes_peak=copies + max(written + parts, calibrated),
        bytes_written=written,
        peak_memory=max(_RESIDENT + 3 * model.largest, tried),
        seconds=_STARTUP_SECONDS + work / (os.cpu_count() or 1),
        files=tuple(_parts(files, file_limit(settings.split_size))),
        levers=tuple(_levers(files[: len(quants)], quants)),
        pieces=pieces,
    )


def _levers(files: Sequence[tuple[str, int]], quants: Sequence[Quant]) -> Iterator[Lever]:
    """Offer the smallest kind alone, and all but the largest."""
    if len(quants) < 2:
        return
    by_size = sorted(zip(quants, files, strict=True), key=lambda pair: pair[1][1])
    total = sum(size for _, size in files)
    for some in {1, len(quants) - 1}:
        kept = by_size[:some]
        yield Lever(
            option=f"--gguf-quants {','.join(quant.name for quant, _ in kept)}",
            saves=total - sum(size for _, (_, size) in kept),
        )
