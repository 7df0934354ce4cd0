"""Write ``merged-4bit``: merged and quantised tensor by tensor, one shard the unit of resume.

Heavy: imports torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import BinaryIO

from uploader_core.plugin import Artifact, Json, SourceError, StepContext
from uploader_lora import StoredTensor, read_header
from uploader_lora.where_it_runs import Described, of_model, recorded
from uploader_merged.base.model import CONFIG
from uploader_merged.base.orientation import is_conv1d
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.compute.pipeline import thread_pool
from uploader_merged.compute.tensors import memory
from uploader_merged.four_bit.layout import (
    FourBitShard,
    header_json,
    piece_elements,
    plan_shards,
    quantisation_config,
    select,
    state_ending,
)
from uploader_merged.four_bit.proof import prove
from uploader_merged.four_bit.quantise import Quantised, Quantiser, best_device
from uploader_merged.load_proof.subject import describe
from uploader_merged.load_proof.written import compare_headers
from uploader_merged.settings import Merged4Settings
from uploader_merged.weight_files import INDEX, index_json

_THREADS = 2  # bitsandbytes lets other threads run


def save(context: StepContext) -> Artifact:
    """Merge, quantise and write the model, or those of its shards that are this worker's pieces."""
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
        mine = [s for s in shards if not context.pieces or s.name in context.pieces]
        total, done = sum(_read_for(checkpoint, shard) for shard in mine), 0
        for shard in mine:
            if context.output.done(shard.name) is None:
                with context.output.reserve(shard.name) as path, path.open("wb") as handle:
                    for name in _write(checkpoint, shard, settings, quantiser, handle):
                        done += checkpoint.recipe(name).nbytes
                        context.progress("quantising", done, total)
            else:
                done += _read_for(checkpoint, shard)
        if context.pieces:
            return context.artifact()
        written = _read_back(context, shards)
        packed = dict.fromkeys(selection.names, state_ending(settings))
        compare_headers(describe(checkpoint), written, packed)
        proof = prove(checkpoint, written, settings)
    if len(shards) > 1:
        stored = ((name, tensor.file.name, tensor.nbytes) for name, tensor in written.items())
        context.output.write(INDEX, index_json(stored))
    config = {**checkpoint.config}
    config["quantization_config"] = quantisation_config(checkpoint, selection, settings)
    context.output.write(CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    for file in checkpoint.companions():
        file.put(context.output)
    skipped: list[Json] = list(selection.skipped or ["lm_head"])
    task = checkpoint.task()
    return context.artifact(
        {
            **task.to_json(),
            **recorded(
                of_model("bitsandbytes", Described.of(config, names=checkpoint.names)), task
            ),
            "quantised": len(selection.names),
            "kept_in_16_bit": skipped,
            "type": settings.bnb_type,
            "proof": proof,
        }
    )


def _read_for(checkpoint: Checkpoint, shard: FourBitShard) -> int:
    """Return the bytes of the tensors that a shard is made of."""
    return sum(checkpoint.recipe(name).nbytes for name in (*shard.plain, *shard.states))


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
        try:
            quantised = _quantise(checkpoint, name, settings, quantiser)
        except ValueError as error:
            raise SourceError(
                f"{name} holds {error}, so it has no 4-bit form",
                owner=str(checkpoint.recipe(name).source.file),
                safe="no weight file with it was finished",
                next="take another copy of the model, or an earlier checkpoint of the training",
            ) from error
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
    blocks = checkpoint.blocks(name, elements=piece_elements(columns, settings))
    return quantiser.quantise(blocks, (rows, columns))


def _read_back(context: StepContext, shards: tuple[FourBitShard, ...]) -> dict[str, StoredTensor]:
    written: dict[str, StoredTensor] = {}
    for shard in shards:
        written.update(read_header(context.output.path / shard.name).tensors)
    return written
