"""Which tensors of a checkpoint become 4-bit, and how the files are laid out. No torch.

The layout is transformers' own: ``X.weight`` holds packed codes, its siblings (``X.weight.absmax``
and so on) what is needed to undo it. All sizes are known beforehand but those of the JSON states,
which carry a number of variable length; so these come last in a file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import UsageError
from uploader_lora import DTYPE_BITS, tensor_bytes
from uploader_merged import weight_files
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.settings import Merged4Settings, shard_limit
from uploader_merged.sixteen_bit.layout import TensorLayout, main_dtype
from uploader_merged.weight_files import Placed, cut, file_name

BLOCK_SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
NESTED_BLOCK = 256
_PIECE = 1 << 21
_FLOATS = {"F32", "F16", "BF16"}
_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float32"}
_LAYER = re.compile(r"(?P<prefix>.*?)\b(layers|h|blocks|block)\.\d+\.(?P<inner>.+)\.weight")
# Towers for other senses stay in 16 bits; they are small and suffer most.
_OTHER_SENSES = re.compile(r"vision|visual|audio|image|video|speech|tower|projector|connector")
_SINGLE_EXPERT = re.compile(r"(?P<container>\w+\.experts)\.\d+\.")
_ROUTERS = {"gate", "router"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What becomes 4-bit.

    Attributes:
        names: Tensors that do.
        skipped: Modules for ``llm_int8_skip_modules``; None where transformers' own rule (all but
            the output head) says the same.
        experts: Whether there are experts, which stay in 16 bits because transformers holds them
            in fused parameters that bitsandbytes does not quantise.
    """

    names: frozenset[str]
    skipped: tuple[str, ...] | None
    experts: bool


def select(checkpoint: Checkpoint, settings: Merged4Settings) -> Selection:
    """Choose the linear layers of the language model's blocks."""
    chosen, kept = set(), set[str]()
    experts = any(".experts." in name for name in checkpoint.names)
    for name in checkpoint.names:
        if len(checkpoint.shape(name)) != 2 or checkpoint.dtype(name) not in _FLOATS:
            continue
        module = name.removesuffix(".weight")
        reason = _stays(name, experts, settings.bnb_skip)
        if reason is None:
            chosen.add(name)
        elif reason != "end":
            kept.add(module if reason == "module" else reason)
    if not kept:
        return Selection(names=frozenset(chosen), skipped=None, experts=experts)
    # A list replaces transformers' own rule, so it has to name the output head as well.
    skipped = sorted({"lm_head", *kept})
    return Selection(names=frozenset(chosen), skipped=tuple(skipped), experts=experts)


def _stays(name: str, experts: bool, skip: tuple[str, ...]) -> str | None:
    """Return why a matrix stays in 16 bits: a name for the list, ``module``, ``end`` or None."""
    single = _SINGLE_EXPERT.search(name)
    if single is not None:
        return single["container"]
    layer = _LAYER.fullmatch(name)
    if layer is None or _OTHER_SENSES.search(layer["prefix"]):
        other = _OTHER_SENSES.search(name)
        if other is not None:
            # The part of the path that names the tower: model.vision_tower, vision_tower.
            segments = name.split(".")
            return next(s for s in segments if _OTHER_SENSES.search(s))
        embeds = re.search(r"embed|lm_head|wte|wpe", name) is not None
        return "end" if embeds else "module"
    if experts and layer["inner"].rpartition(".")[2] in _ROUTERS:
        return "module"
    if any(f".{part}." in f".{name}" for part in skip):
        return "module"
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class FourBitShard:
    """A weight file to be written.

    Attributes:
        name: File name.
        room: Bytes that are reserved for the header, its length included.
        plain: Tensors that stay as they are, with their offsets.
        parts: Parts of quantised tensors but the states, by tensor name and ending, with offsets.
        states: Names of the quantised tensors, whose states follow at ``tail``.
        tail: Offset of the first state.
        largest: Bytes that the file has at most.
    """

    name: str
    room: int
    plain: Mapping[str, tuple[TensorLayout, int]]
    parts: Mapping[tuple[str, str], tuple[TensorLayout, int]]
    states: tuple[str, ...]
    tail: int
    largest: int


def plan_shards(
    checkpoint: Checkpoint, selection: Selection, settings: Merged4Settings
) -> tuple[FourBitShard, ...]:
    """Distribute the tensors over files, in the order of the base's."""
    limit = shard_limit(settings.shard_size)
    if settings.bnb_block_size not in BLOCK_SIZES:
        raise UsageError(
            f"{settings.bnb_block_size} is no block size of bitsandbytes",
            owner="option --merged-bnb-block-size",
            next="--merged-bnb-block-size 64   (or " + ", ".join(map(str, BLOCK_SIZES)) + ")",
        )

    def size(name: str) -> int:
        if name in selection.names:
            return sum(p.nbytes for _, p in quantised_parts(checkpoint, name, settings))
        return checkpoint.recipe(name).nbytes

    groups = cut(((name, size(name)) for name in checkpoint.names), limit)
    return tuple(
        _shard(checkpoint, selection, settings, group, n, len(groups))
        for n, group in enumerate(groups, 1)
    )


def quantised_parts(
    checkpoint: Checkpoint, name: str, settings: Merged4Settings
) -> Iterator[tuple[str, TensorLayout]]:
    """Yield (ending, layout) of what a 4-bit tensor consists of, but its state."""
    count = math.prod(checkpoint.shape(name))
    blocks = math.ceil(count / settings.bnb_block_size)

    def part(ending: str, dtype: str, *shape: int) -> tuple[str, TensorLayout]:
        nbytes = tensor_bytes(dtype, shape)
        full = f"{name}.{ending}" if ending else name
        return ending, TensorLayout(name=full, dtype=dtype, shape=shape, nbytes=nbytes)

    yield part("", "U8", math.ceil(count / 2), 1)
    yield part("quant_map", "F32", 16)
    if settings.bnb_double_quant:
        yield part("absmax", "U8", blocks)
        yield part("nested_absmax", "F32", math.ceil(blocks / NESTED_BLOCK))
        yield part("nested_quant_map", "F32", 256)
    else:
        yield part("absmax", "F32", blocks)


def piece_elements(columns: int, settings: Merged4Settings) -> int:
    """Return how many elements of a matrix are quantised at once.

    Args:
        columns: Of the matrix; the result is a multiple of them, and of the block size, so that
            pieces can be joined.
        settings: For the block size.
    """
    unit = math.lcm(columns, settings.bnb_block_size)
    return max(unit, _PIECE - _PIECE % unit)


def state_ending(settings: Merged4Settings) -> str:
    """Return the ending of the state's name."""
    return f"quant_state.bitsandbytes__{settings.bnb_type}"


def _state_room(shape: tuple[int, ...], settings: Merged4Settings) -> int:
    """Return the most bytes that a state can have."""
    state: dict[str, Any] = {
        "quant_type": settings.bnb_type,
        "blocksize": settings.bnb_block_size,
        "dtype": "bfloat16",
        "shape": list(shape),
    }
    if settings.bnb_double_quant:
        state |= {
            "nested_blocksize": NESTED_BLOCK,
            "nested_dtype": "float32",
            "nested_offset": -1.2345678901234567e-100,
        }
    return len(json.dumps(state))


def _shard(
    checkpoint: Checkpoint,
    selection: Selection,
    settings: Merged4Settings,
    names: list[str],
    number: int,
    count: int,
) -> FourBitShard:
    entries: list[tuple[str, str | None, TensorLayout]] = []
    for name in names:
        if name in selection.names:
            entries += [(name, e, p) for e, p in quantised_parts(checkpoint, name, settings)]
        else:
            dtype, shape = checkpoint.dtype(name), checkpoint.shape(name)
            nbytes = tensor_bytes(dtype, shape)
            layout = TensorLayout(name=name, dtype=dtype, shape=shape, nbytes=nbytes)
            entries.append((name, None, layout))
    # Wide types first, so that every tensor is aligned to its element.
    entries.sort(key=lambda entry: -DTYPE_BITS[entry[2].dtype])
    plain, parts, position = {}, {}, 0
    for name, ending, layout in entries:
        if ending is None:
            plain[name] = (layout, position)
        else:
            parts[name, ending] = (layout, position)
        position += layout.nbytes
    quantised = tuple(name for name in names if name in selection.names)
    states = {n: _state_room(checkpoint.shape(n), settings) for n in quantised}
    shard = FourBitShard(
        name=file_name(number, count),
        room=0,
        plain=plain,
        parts=parts,
        states=quantised,
        tail=position,
        largest=0,
    )
    room = 8 + len(header_json(shard, states, settings))
    room += -room % 8
    largest = room + position + sum(states.values())
    return FourBitShard(
        name=shard.name,
        room=room,
        plain=plain,
        parts=parts,
        states=quantised,
        tail=position,
        largest=largest,
    )


def header_json(shard: FourBitShard, states: Mapping[str, int], settings: Merged4Settings) -> bytes:
    """Return the header's JSON, once the sizes of the states are known.

    Args:
        shard: The file.
        states: Bytes of each state, in the order of ``shard.states``.
        settings: For the name of the states.
    """
    ending = state_ending(settings)
    position = shard.tail
    placed: list[Placed] = [
        (layout.name, layout.dtype, layout.shape, start, layout.nbytes)
        for layout, start in [*shard.plain.values(), *shard.parts.values()]
    ]
    for name in shard.states:
        placed.append((f"{name}.{ending}", "U8", [states[name]], position, states[name]))
        position += states[name]
    return weight_files.header_json(placed)


def quantisation_config(
    checkpoint: Checkpoint, selection: Selection, settings: Merged4Settings
) -> dict[str, Any]:
    """Return ``quantization_config`` as transformers writes it."""
    compute = settings.bnb_compute_dtype
    skipped = selection.skipped
    return {
        "_load_in_4bit": True,
        "_load_in_8bit": False,
        "bnb_4bit_compute_dtype": _NAMES[main_dtype(checkpoint)] if compute == "auto" else compute,
        "bnb_4bit_quant_storage": "uint8",
        "bnb_4bit_quant_type": settings.bnb_type,
        "bnb_4bit_use_double_quant": settings.bnb_double_quant,
        "llm_int8_enable_fp32_cpu_offload": False,
        "llm_int8_has_fp16_weight": False,
        "llm_int8_skip_modules": None if skipped is None else list(skipped),
        "llm_int8_threshold": 6.0,
        "load_in_4bit": True,
        "load_in_8bit": False,
        "quant_method": "bitsandbytes",
    }
