"""Checks and estimates: headers and small JSON files, no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import uploader_kernels
from uploader_compressed.folder import Folder, plan_folder
from uploader_compressed.schemes import BLOCK, GROUPS, SCHEMES
from uploader_compressed.selection import listed, open_apart, single_in_transformers, torn
from uploader_compressed.settings import CALIBRATION_OPTION, Settings
from uploader_core.plugin import Estimate, Finding, Piece, PlanContext
from uploader_lora.task import task_of
from uploader_lora.where_it_runs import Described, of_model, planned
from uploader_merged import Checkpoint, checkpoint_findings
from uploader_merged.forward.size import LONGEST, window_size
from uploader_merged.texts import CALIBRATION, has_lines, read_text, text_path

# Private memory of an interpreter with torch loaded, beyond one without, and the blocks in flight
# (stored, merged, and what is computed with them).
_TORCH = 190 << 20
_BLOCKS = 160 << 20

_TRANSFORMERS = 500 << 20
"""Of an interpreter with transformers loaded, beyond one with torch."""

_PACE = 8e9
"""Multiplications of one processor in a second."""

_SHORT = 2
"""Bytes of a text that hold a token, or less."""

_EXPERT = re.compile(r"\.experts\.\d+\.")
_GOING_ON = ("AutoModelForCausalLM", "AutoModelForImageTextToText", None)

_UNREAD = ("w8a8", "w8a8-gptq", "nvfp4a16")


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse what cannot be quantised as asked; what cannot be read raises.

    Raises:
        SourceError: The checkpoint cannot be opened.
        UsageError: A setting is not usable.
        RefusedError: There is no text to calibrate on.
    """
    checkpoint = open_apart(context.input("checkpoint"), context.settings.ignore)
    if checkpoint.base.quantised is not None:
        yield Finding(
            level="error",
            what=f"the base model is quantised already ({checkpoint.base.quantised}), and "
            f"{context.variant} of it would lose twice",
            next="name the 16-bit model that it was made from: --base PATH_OR_ID",
        )
        return
    folder = plan_folder(checkpoint, context.variant, context.settings)
    if folder.scheme.calibrated:
        yield from _text(checkpoint, context.settings)
        yield from _next_token(checkpoint, folder)
        yield from _at_once(checkpoint, folder)
    yield from _stacked(folder)
    described = Described.of(checkpoint.config, folder.scheme.name, checkpoint.names)
    if described.unread_by("transformers"):
        yield _not_for_transformers(described)
    else:
        yield from _experts(checkpoint, folder)
    yield from _shapes(checkpoint, folder)
    yield from _torn(folder)
    yield from checkpoint_findings(checkpoint, context)
    kind = f"compressed-{context.variant}"
    yield from planned(kind, of_model("compressed", described), checkpoint.task())
    reason = uploader_kernels.missing()
    if reason is not None:
        yield Finding(
            level="note",
            what=f"torch alone quantises, with the same bits in more processor time: {reason}",
        )
    if not folder.selection.names and not folder.selection.stacked:
        yield Finding(
            level="error",
            what="no linear layer of this model is known here, so nothing would be quantised",
            next="leave compressed out of --plugins"
            + (", or give a narrower --compressed-ignore" if context.settings.ignore else ""),
        )


def _text(checkpoint: Checkpoint, settings: Settings) -> Iterator[Finding]:
    """Refuse a text that is shorter than a window, as far as that is quickly known."""
    if settings.calibration_windows < 1:
        yield Finding(
            level="error",
            what=f"{settings.calibration_windows} windows of text are nothing to calibrate on",
            next=f"{CALIBRATION_OPTION}-windows 1 or more; 128 are the default",
        )
        return
    path = text_path(settings.calibration, CALIBRATION_OPTION, CALIBRATION)
    tokenizer = checkpoint.auxiliary().get("tokenizer.json")
    if tokenizer is None or has_lines(path):
        return  # counted when the step opens it, before it writes
    from tokenizers import Tokenizer

    size = window_size(checkpoint.config)
    text = read_text(path, size * LONGEST)
    count = len(Tokenizer.from_file(str(tokenizer)).encode(text, add_special_tokens=False).ids)
    if count < size:
        yield Finding(
            level="error",
            what=f"the text to calibrate on has {count} tokens, and a window has {size}",
            next=f"take a longer text with {CALIBRATION_OPTION}",
        )


def _next_token(checkpoint: Checkpoint, folder: Folder) -> Iterator[Finding]:
    """Refuse models that do not go on with a text."""
    task = task_of(checkpoint.config, {})
    if task.auto_class not in _GOING_ON:
        yield Finding(
            level="error",
            what=f"{folder.scheme.name} needs a model that predicts a next token, and this one is "
            f"for {task.tag or task.auto_class}",
            next=f"--compressed-kinds {folder.scheme.name.removesuffix('-gptq')}",
        )


def _stacked(folder: Folder) -> Iterator[Finding]:
    found = folder.selection.stacked
    if found:
        yield Finding(
            level="error",
            what=f"the experts are stored in one tensor for a layer ({found[0]} and "
            f"{len(found) - 1} more), and no engine is known to load them one by one, as "
            "compressed-tensors has them",
            next="keep them in 16 bits: --compressed-ignore '.*\\.experts', or, where the "
            "architecture was released with single experts, release merged-16bit with "
            "--merged-names original, and compress that folder",
        )


def _at_once(checkpoint: Checkpoint, folder: Folder) -> Iterator[Finding]:
    """Refuse experts of which transformers does not show what each one gets."""
    if single_in_transformers(checkpoint) and any(
        _EXPERT.search(n) for n in folder.selection.names
    ):
        yield Finding(
            level="error",
            what=f"{folder.scheme.name} of the experts needs what each of them gets, and "
            "transformers multiplies those of a layer at once",
            next=f"--compressed-kinds {folder.scheme.name.removesuffix('-gptq')}, or leave them in "
            "16 bits: --compressed-ignore '.*\\.experts'",
        )


def _not_for_transformers(described: Described) -> Finding:
    (vllm,) = (v for v in of_model("compressed", described) if v.engine == "vLLM")
    return Finding(
        level="warning",
        what="it will be for servers and not for transformers, which holds the experts of a layer "
        f"in one parameter and does not make that of single ones; {vllm.engine} {vllm.version} "
        "loads them",
        next="release merged-16bit besides, or keep them in 16 bits: --compressed-ignore "
        "'.*\\.experts'",
    )


def _experts(checkpoint: Checkpoint, folder: Folder) -> Iterator[Finding]:
    """Refuse what transformers takes for something else.

    It holds the experts of a layer in one parameter, and undoes codes when it puts that together
    (``CompressedTensorsDequantize`` of transformers 5.24). INT8 with a scale for a row stops it,
    even where the experts themselves are in 16 bits; NVFP4's scale of the whole matrix is left out
    without a word; scales of blocks are multiplied as if they were those of rows.
    """
    scheme, name = folder.scheme, folder.scheme.name
    if single_in_transformers(checkpoint):
        return
    quantised = [n for n in folder.selection.names if _EXPERT.search(n)]
    if name in _UNREAD and any(_EXPERT.search(n) for n in checkpoint.names):
        yield Finding(
            level="error",
            what=f"transformers does not load models with experts in {name}",
            next="--compressed-kinds fp8-dynamic,w4a16",
        )
    elif scheme.strategy == "block" and quantised:
        yield Finding(
            level="error",
            what=f"transformers does not load experts in {name} ({quantised[0]} and "
            f"{len(quantised) - 1} more)",
            next="--compressed-kinds fp8-dynamic, or leave them in 16 bits: --compressed-ignore "
            "'.*\\.experts'",
        )


def _shapes(checkpoint: Checkpoint, folder: Folder) -> Iterator[Finding]:
    scheme = folder.scheme
    odd = []
    for name in folder.selection.names:
        rows, columns = checkpoint.shape(name)
        if not scheme.fits((rows, columns)):
            odd.append(f"{name} ({rows} x {columns})")
    if odd:
        widths = [checkpoint.shape(n)[1] for n in folder.selection.names]
        smaller = [g for g in GROUPS if all(width % g == 0 for width in widths)]
        group = scheme.form == "pack-quantized" and smaller
        others = [name for name, other in SCHEMES.items() if not other.group]
        first = (
            f"--compressed-group-size {smaller[0]}" if group else f"--compressed-kinds {others[0]}"
        )
        yield Finding(
            level="error",
            what=f"{scheme.name} has a scale for {scheme.group} columns, which do not divide those "
            f"of {listed(odd)}",
            next=f"{first}, or leave them in 16 bits: --compressed-ignore "
            f"'.*{odd[0].partition(' ')[0].removesuffix('.weight').rpartition('.')[2]}$'",
        )
    if scheme.strategy == "block":
        partial = [n for n in folder.selection.names if checkpoint.shape(n)[1] % BLOCK]
        if partial:
            yield Finding(
                level="warning",
                what=f"the columns of {partial[0]} and {len(partial) - 1} more are no multiple of "
                f"{BLOCK}, which vLLM's kernels for FP8 in blocks ask for",
                next="--compressed-kinds fp8-dynamic",
            )


def _torn(folder: Folder) -> Iterator[Finding]:
    pairs = list(torn(folder.selection))
    if pairs:
        quantised, ignored = pairs[0]
        yield Finding(
            level="warning",
            what=f"{ignored} stays in 16 bits and {quantised} does not ({len(pairs)} such pairs): "
            "servers compute them as one layer, and refuse to load that",
            next="let --compressed-ignore match all of them, or none",
        )


def estimate(context: PlanContext) -> Estimate:
    """Count bytes exactly from headers."""
    checkpoint = open_apart(context.input("checkpoint"), context.settings.ignore)
    folder = plan_folder(checkpoint, context.variant, context.settings)
    widest = max((checkpoint.shape(n)[1] for n in folder.selection.names), default=1)
    tails = max(sum(t.part.nbytes for t in shard.tail) for shard in folder.shards)
    factors = max(
        (
            sum(view.tensor.nbytes for view in checkpoint.recipe(name).consumed)
            for name in checkpoint.touched
        ),
        default=0,
    )
    # A part of a transposed stack is in memory as a whole, and those before it for a while.
    turned = max(
        (
            checkpoint.recipe(name).nbytes
            for name in checkpoint.names
            if (cut := checkpoint.recipe(name).cut) is not None and cut.transposed
        ),
        default=0,
    )
    plain = Estimate(
        bytes_written=sum(folder.sizes.values()),
        peak_memory=_TORCH + _BLOCKS + 16 * BLOCK * widest + tails + 4 * factors + 3 * turned,
        exact=True,
        files=tuple(folder.sizes.items()),
    )
    if not folder.scheme.calibrated:
        return replace(plain, pieces=_pieces(checkpoint, folder))
    return _calibrating(checkpoint, folder, plain, context.settings)


def _pieces(checkpoint: Checkpoint, folder: Folder) -> tuple[Piece, ...]:
    """Return the files as pieces, with the sizes that they have in 16 bits.

    So neighbours are grouped alike in all schemes of a run, and one worker reads a tensor for all
    of them. Calibration goes through the layers one after the other, and is not divided.
    """
    return tuple(
        Piece(name=shard.name, size=sum(checkpoint.recipe(name).nbytes for name in shard.sources))
        for shard in folder.shards
    )


def _calibrating(
    checkpoint: Checkpoint, folder: Folder, plain: Estimate, settings: Settings
) -> Estimate:
    """Add what calibration needs: codes in the scratch folder, a layer, activations, time."""
    shapes = [checkpoint.shape(name) for name in folder.selection.names]
    weights = sum(rows * columns for rows, columns in shapes)
    layers = max(1, int(checkpoint.config.get("num_hidden_layers") or len(shapes) // 7))
    widest = max((columns for _, columns in shapes), default=1)
    narrowest = min((columns for _, columns in shapes), default=1)
    most = settings.calibration_windows * window_size(checkpoint.config)
    text = text_path(settings.calibration, CALIBRATION_OPTION, CALIBRATION).stat().st_size
    tokens = min(most, text // _SHORT)
    return replace(
        plain,
        bytes_scratch=plain.bytes_written,
        peak_memory=(plain.peak_memory or 0)
        + _TRANSFORMERS
        # A layer in float32, what its texts are, and products of the widest input.
        + 8 * weights // layers
        + 8 * tokens * narrowest
        + 20 * widest**2,
        seconds=20 + 4 * tokens * weights / _PACE,
    )
