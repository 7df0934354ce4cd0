"""Write ``merged-4bit``: merged and quantised tensor by tensor, one shard the unit of resume.

Heavy: imports torch.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterator
from typing import BinaryIO

import torch  # noqa: TID253 - this module computes

from uploader_core.plugin import Artifact, IntegrityError, Json, StepContext
from uploader_lora import StoredTensor, read_header
from uploader_merged.base import CONFIG
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.four_bit import FP4, NF4, Quantised, Quantiser, best_device
from uploader_merged.four_bit_layout import (
    FourBitShard,
    header_json,
    plan_shards,
    quantisation_config,
    select,
    state_ending,
)
from uploader_merged.layout import INDEX
from uploader_merged.orientation import is_conv1d
from uploader_merged.pipeline import thread_pool
from uploader_merged.settings import Merged4Settings
from uploader_merged.tensors import load, load_rows, memory

_BLOCK = 1 << 21
_PROVED = 24  # tensors
_SAMPLE = 1 << 18  # elements of each
_THREADS = 2  # bitsandbytes lets other threads run


def save(context: StepContext) -> Artifact:
    """Merge, quantise and write the model."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    settings: Merged4Settings = context.settings
    selection = select(checkpoint, settings)
    shards = plan_shards(checkpoint, selection, settings)
    with thread_pool(_THREADS) as pool:
        quantiser = Quantiser(
            settings.bnb_type,
            settings.bnb_block_size,
            settings.bnb_double_quant,
            pool,
            best_device(),
        )
        total, done = checkpoint.nbytes, 0
        for shard in shards:
            if context.output.done(shard.name) is None:
                with context.output.reserve(shard.name) as path, path.open("wb") as handle:
                    for name in _write(checkpoint, shard, settings, quantiser, handle):
                        done += checkpoint.recipe(name).nbytes
                        context.progress("quantising", done, total)
            else:
                done += sum(checkpoint.recipe(n).nbytes for n in (*shard.plain, *shard.states))
        written = _read_back(context, shards)
        error = _prove(checkpoint, written, settings)
    if len(shards) > 1:
        context.output.write(INDEX, _index(written))
    config = {**checkpoint.config}
    config["quantization_config"] = quantisation_config(checkpoint, selection, settings)
    context.output.write(CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    for file in checkpoint.companions():
        context.output.copy(file.path, file.name, role=file.role)
    skipped: list[Json] = list(selection.skipped or ["lm_head"])
    return context.artifact(
        {
            "quantised": len(selection.names),
            "kept_in_16_bit": skipped,
            "type": settings.bnb_type,
            "proof": {"recomputed_tensors": _PROVED, "largest_error_of_a_scale": round(error, 4)},
        }
    )


def _write(
    checkpoint: Checkpoint,
    shard: FourBitShard,
    settings: Merged4Settings,
    quantiser: Quantiser,
    handle: BinaryIO,
) -> Iterator[str]:
    """Write one file, yielding each tensor's name when it is done."""
    states: dict[str, bytes] = {}
    for name, (_, start) in shard.plain.items():
        handle.seek(shard.room + start)
        for block in checkpoint.blocks(name):
            handle.write(memory(block))
        yield name
    for name in shard.states:
        quantised = _quantise(checkpoint, name, settings, quantiser)
        parts = {"": quantised.packed, **quantised.state}
        states[name] = bytes(memory(parts.pop(state_ending(settings))))
        for ending, tensor in parts.items():
            handle.seek(shard.room + shard.parts[name, ending][1])
            handle.write(memory(tensor))
        yield name
    handle.seek(shard.room + shard.tail)
    for name in shard.states:
        handle.write(states[name])
    text = header_json(shard, {name: len(state) for name, state in states.items()}, settings)
    handle.seek(0)
    handle.write((shard.room - 8).to_bytes(8, "little") + text.ljust(shard.room - 8))
    handle.flush()
    os.fsync(handle.fileno())


def _quantise(
    checkpoint: Checkpoint, name: str, settings: Merged4Settings, quantiser: Quantiser
) -> Quantised:
    rows, columns = checkpoint.shape(name)
    if is_conv1d(name.removesuffix(".weight"), checkpoint.config):
        # bitsandbytes knows linear layers only, so transformers turns these round.
        whole = checkpoint.read(name).T.contiguous()
        return quantiser.quantise([whole], (columns, rows))
    # Whole blocks in every piece, so that pieces can be joined.
    unit = columns * (settings.bnb_block_size // math.gcd(settings.bnb_block_size, columns))
    blocks = checkpoint.blocks(name, elements=max(unit, _BLOCK - _BLOCK % unit))
    return quantiser.quantise(blocks, (rows, columns))


def _read_back(context: StepContext, shards: tuple[FourBitShard, ...]) -> dict[str, StoredTensor]:
    written: dict[str, StoredTensor] = {}
    for shard in shards:
        written.update(read_header(context.output.path / shard.name).tensors)
    return written


def _prove(
    checkpoint: Checkpoint, written: dict[str, StoredTensor], settings: Merged4Settings
) -> float:
    """Undo the quantisation of some tensors from the files and compare with the merged ones.

    Returns:
        The largest error, in units of the block's largest weight.

    Raises:
        IntegrityError: An error is larger than the distance of neighbouring codes allows.
    """
    code = torch.tensor(NF4 if settings.bnb_type == "nf4" else FP4)
    code = code / code.abs().max()
    ordered = code.sort().values
    # Half of the widest gap, and what rounding the scales to 8 bits adds.
    allowed = float((ordered[1:] - ordered[:-1]).max()) / 2 + 0.03
    quantised = [n for n in checkpoint.names if f"{n}.{state_ending(settings)}" in written]
    largest = 0.0
    for name in quantised[:: max(1, len(quantised) // _PROVED)][:_PROVED]:
        first, rows = _sample(checkpoint, name, settings)
        if is_conv1d(name.removesuffix(".weight"), checkpoint.config):
            flat = checkpoint.read(name).T[first : first + rows].float().reshape(-1)
        else:
            flat = checkpoint.read_rows(name, first, first + rows).float().reshape(-1)
        start = first * (math.prod(checkpoint.shape(name)) // _outputs(checkpoint, name))
        packed = load_rows(written[name], start // 2, (start + flat.numel() + 1) // 2).view(-1)
        codes = torch.stack([packed >> 4, packed & 15], 1).view(-1)[: flat.numel()]
        scales = _scales(name, written, settings)[start // settings.bnb_block_size :]
        scales = scales.repeat_interleave(settings.bnb_block_size)[: flat.numel()]
        error = (code[codes.long()] * scales - flat).abs()
        worst = float((error / scales.abs().clamp(min=1e-30)).max())
        largest = max(largest, worst)
        if not worst <= allowed:
            raise IntegrityError(
                f"the proof of the 4-bit model failed at {name}: off by {worst:.3g} of a block",
                owner="the disk, the memory, or a fault of uploader-merged",
                safe="no artifact was released",
                next="run it again; if it fails at the same place, report it with this line",
            )
    return largest


def _outputs(checkpoint: Checkpoint, name: str) -> int:
    """Return the rows of a matrix as bitsandbytes stores it."""
    conv1d = is_conv1d(name.removesuffix(".weight"), checkpoint.config)
    return checkpoint.shape(name)[1 if conv1d else 0]


def _sample(checkpoint: Checkpoint, name: str, settings: Merged4Settings) -> tuple[int, int]:
    """Return the first row and the number of rows to look at; blocks and bytes begin with it."""
    outputs = _outputs(checkpoint, name)
    columns = math.prod(checkpoint.shape(name)) // outputs
    unit = settings.bnb_block_size // math.gcd(settings.bnb_block_size, columns)
    rows = min(outputs, max(unit, _SAMPLE // columns))
    units = random.Random(name).randrange((outputs - rows) // unit + 1)  # noqa: S311 - a sample
    return units * unit, rows


def _scales(name: str, written: dict[str, StoredTensor], settings: Merged4Settings) -> torch.Tensor:
    absmax = load(written[f"{name}.absmax"])
    if not settings.bnb_double_quant:
        return absmax
    state = json.loads(bytes(load(written[f"{name}.{state_ending(settings)}"]).tolist()))
    values = load(written[f"{name}.nested_quant_map"])[absmax.long()]
    outer = load(written[f"{name}.nested_absmax"]).repeat_interleave(state["nested_blocksize"])
    return values * outer[: values.numel()] + float(state["nested_offset"])


def _index(written: dict[str, StoredTensor]) -> str:
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in written.values())},
        "weight_map": {name: written[name].file.name for name in sorted(written)},
    }
    return json.dumps(index, indent=2) + "\n"
