"""Key names of ``adapter_model.safetensors``.

``base_model.model.<module path>.<what>[.<adapter name>][.weight]``. PEFT leaves the adapter's name
out when it saves; files that still contain it are read as well. ``.base_layer`` segments say how
deep a module is wrapped: none for a plain layer, one for each further parameter of the same module
with ``target_parameters``. What a wrapper around the model left in the names is taken off first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

PREFIX = "base_model.model."

WRAPPERS = {
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_fpw_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
}
"""Segments that no model has of its own, wherever they stand, and whose they are."""

WRAPPED_WHOLE = {"module.": "DDP or DeepSpeed", "_forward_module.": "Lightning"}
"""What is in front of every name where the module around the model was saved, and whose it is."""

Part = Literal[
    "lora_A",
    "lora_B",
    "lora_B.bias",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
    "trainable_tokens_delta",
    "parameter",
    "base_layer",
    "original_module",
]

_ADAPTER = r"(?:\.(?P<adapter>(?!weight$|bias$)[^.]+))?"
_FORMS: tuple[tuple[re.Pattern[str], Part | None], ...] = (
    (re.compile(rf"(?P<path>.+)\.(?P<part>lora_[AB]){_ADAPTER}\.weight"), None),
    (re.compile(rf"(?P<path>.+)\.lora_B{_ADAPTER}\.bias"), "lora_B.bias"),
    (re.compile(rf"(?P<path>.+)\.(?P<part>lora_embedding_[AB]){_ADAPTER}"), None),
    (re.compile(rf"(?P<path>.+)\.(?P<part>lora_magnitude_vector){_ADAPTER}(?:\.weight)?"), None),
    (
        re.compile(rf"(?P<path>.+)\.token_adapter\.(?P<part>trainable_tokens_delta){_ADAPTER}"),
        None,
    ),
    (
        re.compile(r"(?P<path>.+?)(?:\.token_adapter)?\.base_layer\.(?P<parameter>weight|bias)"),
        "base_layer",
    ),
    (
        re.compile(r"(?P<path>.+)\.original_module\.(?P<parameter>[^.]+)"),
        "original_module",
    ),
    (
        re.compile(rf"(?P<path>.+)\.modules_to_save{_ADAPTER}\.(?P<parameter>[^.]+)"),
        "parameter",
    ),
    (re.compile(r"(?P<path>.+)\.(?P<parameter>[^.]+)"), "parameter"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A key, taken apart.

    Attributes:
        module: Path of the module in the model, without PEFT's prefix and wrappers.
        part: What of it.
        depth: Number of ``base_layer`` wrappers between the module and this part.
        parameter: Name of a full tensor (``weight``), for the parts ``parameter``, ``base_layer``
            and ``original_module``.
        adapter: The adapter's name, where the file still has it.
    """

    module: str
    part: Part
    depth: int = 0
    parameter: str = ""
    adapter: str | None = None


def without_wrappers(name: str) -> tuple[str, dict[str, str]]:
    """Return a name without the segments of wrappers, and those, each with whose it is."""
    segments = name.split(".")
    found = {f"{part}.": WRAPPERS[part] for part in segments if part in WRAPPERS}
    return ".".join(part for part in segments if part not in WRAPPERS), found


def unwrapped(name: str) -> tuple[str, dict[str, str]]:
    """Return a key as PEFT writes it, and the wrappers that were taken off, each with whose it is.

    PEFT itself takes nothing off, and loads no tensor of such a file: the adapter does nothing then
    (https://github.com/MakazhanAlpamys/Soup/issues/335).
    """
    plain, found = without_wrappers(name)
    for prefix, whose in WRAPPED_WHOLE.items():
        if plain.startswith(prefix + PREFIX):
            plain = plain.removeprefix(prefix)
            found[prefix] = whose
    return plain, found


def parse_key(name: str) -> Key | None:
    """Take a key apart; None when it is not one that PEFT's LoRA writes."""
    if not name.startswith(PREFIX):
        return None
    rest = name[len(PREFIX) :]
    for form, fixed in _FORMS:
        match = form.fullmatch(rest)
        if match is None:
            continue
        groups = match.groupdict()
        part = fixed or cast("Part", groups["part"])
        path = groups["path"]
        depth = 0
        while path.endswith(".base_layer"):
            path, depth = path.removesuffix(".base_layer"), depth + 1
        segments = path.split(".")
        if "base_layer" in segments or any(s.startswith("lora_") for s in segments):
            return None
        return Key(
            module=path,
            part=part,
            depth=depth,
            parameter=groups.get("parameter") or "",
            adapter=groups.get("adapter"),
        )
    return None
