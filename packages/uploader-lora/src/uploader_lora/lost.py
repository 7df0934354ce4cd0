"""Modules that ``adapter_config.json`` means and the file holds nothing of.

A part of a training that ran on several devices saves its own layers only, a script that renames
keys forgets some, and PEFT gives the rest fresh matrices that change nothing, with one warning
(https://github.com/huggingface/peft/issues/2699). What was meant is told by the modules that are
there: the same ones of other layers, and others of the same block.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import Finding
from uploader_lora.adapter import Adapter
from uploader_lora.config import AdapterConfig
from uploader_lora.positions import text_part
from uploader_lora.targets import ends_with

# Up to the first number: where a stack of layers is; behind it: which module of a layer.
_IN_LAYER = re.compile(r"(?P<where>(?:.*?\.)?)(?P<stack>[A-Za-z_]\w*)\.(?P<n>\d+)\.(?P<tail>.+)")
# What stands for any number in a regular expression, and so chooses no layer.
_ANY_NUMBER = re.compile(r"\\d|\[0-9\]|\{[\d,]*\}")
_KEYS_AND_VALUES = ("k_proj", "v_proj")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """What of one stack of layers is missing.

    Attributes:
        stack: Path of the stack, as the adapter names it (``model.layers``).
        layers: Numbers of layers of which nothing is stored.
        adapted: Numbers of layers of which something is.
        modules: Modules that are missing in layers of which others are stored.
    """

    stack: str
    layers: tuple[int, ...]
    adapted: tuple[int, ...]
    modules: tuple[str, ...]


def lost_findings(
    adapter: Adapter, tensors: Iterable[str], base: Mapping[str, Any]
) -> Iterator[Finding]:
    """Yield what an adapter should change by its configuration, and holds nothing for.

    Args:
        adapter: As it was read.
        tensors: Names of the base's tensors.
        base: ``config.json`` of the base.
    """
    for lost in find_lost(adapter, tensors, base):
        if lost.layers:
            numbers = ", ".join(map(str, lost.layers[:6])) + (", ..." if lost.layers[6:] else "")
            yield Finding(
                level="error",
                what=f"adapter_config.json means every layer of {lost.stack}, and the adapter "
                f"holds nothing for {numbers}, so these would stay as in the base",
                next="save the adapter again, on all ranks where it was trained on several GPUs; "
                'if these layers were never trained, say so there: "layers_to_transform": '
                f"{list(lost.adapted)}",
            )
        if lost.modules:
            more = f" and {len(lost.modules) - 3} more" if len(lost.modules) > 3 else ""
            yield Finding(
                level="warning",
                what=f"target_modules means {', '.join(lost.modules[:3])}{more}, and the adapter "
                "holds nothing for it, so it stays as in the base",
                next="save the adapter again with save_pretrained, if it was trained",
            )


def find_lost(adapter: Adapter, tensors: Iterable[str], base: Mapping[str, Any]) -> Iterator[Lost]:
    """Yield what is missing, by stacks of layers; arguments as of :func:`lost_findings`."""
    config = adapter.config
    targets, excluded = config.raw.get("target_modules"), config.raw.get("exclude_modules")
    if not targets or isinstance(excluded, str) or _chooses_layers(targets):
        return
    found: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for update in adapter.updates:
        match = _IN_LAYER.fullmatch(update.module)
        if match is not None and update.parameter == "weight":
            found[match["where"] + match["stack"]][match["tail"]].add(int(match["n"]))
    stacks, sizes = _stacks(tensors), text_part(base)
    for stack, ours in found.items():
        theirs = _counterpart(stack, ours, stacks)
        if theirs is None:
            continue
        blocks = {tail.rpartition(".")[0] for tail in ours}
        expected = {
            (n, tail)
            for tail, numbers in theirs.items()
            if tail in ours or (isinstance(targets, list) and tail.rpartition(".")[0] in blocks)
            for n in numbers
            if _is_in_memory(n, tail, sizes) and _is_meant(config, f"{stack}.{n}.{tail}", n)
        }
        stored = {(n, tail) for tail, numbers in ours.items() for n in numbers}
        adapted = {n for n, _ in stored}
        gone = sorted({n for n, _ in expected} - adapted)
        parts = sorted(pair for pair in expected - stored if pair[0] in adapted)
        if gone or parts:
            yield Lost(
                stack=stack,
                layers=tuple(gone),
                adapted=tuple(sorted(adapted)),
                modules=tuple(f"{stack}.{n}.{tail}" for n, tail in parts),
            )


def _chooses_layers(targets: object) -> bool:
    """Return whether a regular expression may mean some layers; what it means is not tried."""
    return isinstance(targets, str) and bool(re.search(r"\d", _ANY_NUMBER.sub("", targets)))


def _stacks(tensors: Iterable[str]) -> dict[str, dict[str, set[int]]]:
    """Return the layers that have a weight by stack and module."""
    stacks: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for name in tensors:
        match = _IN_LAYER.fullmatch(name.removesuffix(".weight"))
        if match is not None and name.endswith(".weight"):
            stacks[match["where"] + match["stack"]][match["tail"]].add(int(match["n"]))
    return stacks


def _is_in_memory(layer: int, tail: str, config: Mapping[str, Any]) -> bool:
    """Return whether a module of the files is there when a LoRA is trained.

    Layers that predict more tokens are not, nor are keys and values of layers that take those of
    an earlier one (Gemma 3n and 4).
    """
    layers, shared = (config.get(f"num_{key}") for key in ("hidden_layers", "kv_shared_layers"))
    if not isinstance(layers, int):
        return True
    own = layers - (shared if isinstance(shared, int) else 0)
    return layer < (own if tail.endswith(_KEYS_AND_VALUES) else layers)


def _counterpart(
    stack: str, ours: dict[str, set[int]], base: dict[str, dict[str, set[int]]]
) -> dict[str, set[int]] | None:
    """Return the base's stack that an adapter's is, whatever stands in front of its name."""
    if stack in base:
        return base[stack]
    last = stack.rpartition(".")[2]
    fitting = [
        theirs
        for name, theirs in base.items()
        if name.rpartition(".")[2] == last
        and all(numbers <= theirs.get(tail, set()) for tail, numbers in ours.items())
    ]
    return fitting[0] if len(fitting) == 1 else None


def _is_meant(config: AdapterConfig, module: str, layer: int) -> bool:
    """Return whether PEFT puts a LoRA on a module of a layer, as far as lists of names say."""
    targets, excluded = config.raw.get("target_modules"), config.raw.get("exclude_modules")
    only = config.raw.get("layers_to_transform")
    if only is not None and layer not in (only if isinstance(only, list) else [only]):
        return False
    if isinstance(excluded, list) and any(ends_with(module, str(name)) for name in excluded):
        return False
    if not isinstance(targets, list):
        return True
    return any(ends_with(module, str(name)) for name in targets)
