"""What an adapter of mlx-lm is in PEFT: names, shapes, ``adapter_config.json``. No torch, no mlx.

It needs nothing of mlx: paths of modules are those of transformers, but for experts, whose matrices
mlx-lm stacks.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.plugin import SourceError
from uploader_lora import StoredTensor, read_header, read_json
from uploader_lora.keys import PREFIX
from uploader_merged.base.tying import INPUTS
from uploader_mlx.adapter import CONFIG, WEIGHTS

_LEAF = re.compile(r"(?P<path>.+)\.(?P<leaf>lora_a|lora_b|m)")
_LAYER = re.compile(r".+?\.(\d+)\.(.+)")
_STACKED = ".switch_mlp."
_SINGLE = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
"""Matrices of an expert in families whose module is ``block_sparse_moe``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A tensor of the PEFT adapter.

    Attributes:
        name: Key in ``adapter_model.safetensors``.
        source: Tensor of mlx-lm's file.
        shape: Of what is made.
        expert: Which matrix of a stack it is; None for one that is turned, or has one axis.
    """

    name: str
    source: StoredTensor
    shape: tuple[int, ...]
    expert: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AsPeft:
    """An adapter of mlx-lm in PEFT's words.

    Attributes:
        tensors: Of the file.
        config: Text of ``adapter_config.json``.
    """

    tensors: tuple[Made, ...] = field(repr=False)
    config: str


def base_named(folder: Path) -> str | None:
    """Return the base model that training named."""
    named = read_json(folder / CONFIG).get("model")
    return named if isinstance(named, str) and named else None


def as_peft(folder: Path, base: str | None) -> AsPeft:
    """Read an adapter of mlx-lm, from its configuration and header.

    Args:
        folder: Where it is.
        base: Base model, as PEFT shall name it.

    Raises:
        SourceError: It is none, or has no counterpart.
    """
    config = read_json(folder / CONFIG)
    kind, scale = _kind(folder, config)
    modules = _modules(folder, kind)
    ranks = {_rank(folder, path, leaves) for path, leaves in modules.items()}
    said = (config.get("lora_parameters") or {}).get("rank")
    if len(ranks) != 1 or (isinstance(said, int) and said not in ranks):
        raise _refused(
            folder,
            f"its matrices have the ranks {sorted(ranks)}, and its configuration says {said}",
        )
    (rank,) = ranks
    tensors = tuple(made for path, leaves in modules.items() for made in _made(path, leaves))
    names = [_named(made.name) for made in tensors]
    embeds = any(_is_embedding(path) for path in modules)
    return AsPeft(
        tensors=tensors,
        config=json.dumps(
            {
                "base_model_name_or_path": base,
                "bias": "none",
                "fan_in_fan_out": False,
                "inference_mode": True,
                "init_lora_weights": True,
                "lora_alpha": _alpha(scale, rank),
                "lora_dropout": 0.0,
                "modules_to_save": None,
                "peft_type": "LORA",
                "r": rank,
                "task_type": "CAUSAL_LM",
                "use_dora": kind == "dora",
                "use_rslora": False,
                # mlx-lm changes the head with the embedding that it is tied to.
                **({"ensure_weight_tying": True} if embeds else {}),
                **_targets(list(dict.fromkeys(names))),
            },
            indent=2,
        )
        + "\n",
    )


def _kind(folder: Path, config: Mapping[str, Any]) -> tuple[str, float]:
    """Return ``lora`` or ``dora``, and the scale."""
    if "peft_type" in config or (folder / "adapter_model.safetensors").exists():
        raise _refused(
            folder,
            f"{WEIGHTS} is mlx-lm's and another file is PEFT's, and a release is made of one",
            "move one of the two adapters to a folder of its own",
        )
    kind = str(config.get("fine_tune_type") or "lora")
    if kind not in ("lora", "dora"):
        raise _refused(
            folder,
            f"its training was of the type {kind}, whose file holds whole weights",
        )
    scale = (config.get("lora_parameters") or {}).get("scale")
    if not isinstance(scale, (int, float)) or not math.isfinite(scale):
        raise _refused(folder, f"lora_parameters in {CONFIG} has no scale")
    return kind, float(scale)


def _modules(folder: Path, kind: str) -> dict[str, dict[str, StoredTensor]]:
    """Return the tensors of each module by leaf."""
    found: dict[str, dict[str, StoredTensor]] = {}
    for name, tensor in read_header(folder / WEIGHTS).tensors.items():
        match = _LEAF.fullmatch(name)
        if match is None:
            raise _refused(folder, f"{name} is no tensor of a LoRA of mlx-lm")
        found.setdefault(match["path"], {})[match["leaf"]] = tensor
    wanted = {"lora_a", "lora_b", "m"} if kind == "dora" else {"lora_a", "lora_b"}
    for path, leaves in found.items():
        if leaves.keys() != wanted:
            has = ", ".join(sorted(leaves))
            raise _refused(
                folder, f"{path} has {has}, and an adapter of the type {kind} has others"
            )
        if kind == "dora" and _is_embedding(path):
            raise _refused(folder, f"DoRA of an embedding ({path}) is another one in PEFT")
    return found


def _rank(folder: Path, path: str, leaves: Mapping[str, StoredTensor]) -> int:
    a, b = leaves["lora_a"].shape, leaves["lora_b"].shape
    if len(a) == 2 and len(b) == 2 and a[1] == b[0]:
        return a[1]
    stacked = len(a) == 3 and len(b) == 3 and a[0] == b[0] and a[1] == b[2]
    if stacked and _STACKED in path and "m" not in leaves:
        return a[1]
    raise _refused(folder, f"{path} has matrices of the shapes {list(a)} and {list(b)}")


def _made(path: str, leaves: Mapping[str, StoredTensor]) -> Iterator[Made]:
    a, b = leaves["lora_a"], leaves["lora_b"]
    if len(a.shape) == 3:
        for expert in range(a.shape[0]):
            module = f"{PREFIX}{_of_expert(path, expert)}"
            yield Made(name=f"{module}.lora_A.weight", source=a, shape=a.shape[1:], expert=expert)
            yield Made(name=f"{module}.lora_B.weight", source=b, shape=b.shape[1:], expert=expert)
        return
    ends = ("lora_embedding_A", "lora_embedding_B")
    if not _is_embedding(path):
        ends = ("lora_A.weight", "lora_B.weight")
    for end, tensor in zip(ends, (a, b), strict=True):
        yield Made(name=f"{PREFIX}{path}.{end}", source=tensor, shape=tensor.shape[::-1])
    if "m" in leaves:
        name = f"{PREFIX}{path}.lora_magnitude_vector"
        yield Made(name=name, source=leaves["m"], shape=leaves["m"].shape)


def _of_expert(path: str, expert: int) -> str:
    """Return what transformers calls a matrix of one expert."""
    module, _, last = path.partition(_STACKED)
    own = _SINGLE.get(last, last) if module.endswith("block_sparse_moe") else last
    return f"{module}.experts.{expert}.{own}"


def _is_embedding(path: str) -> bool:
    return f"{path}.weight".endswith(INPUTS)


def _named(key: str) -> str:
    """Return the module of a key."""
    return key.removeprefix(PREFIX).rpartition(".lora_")[0]


def _alpha(scale: float, rank: int) -> float:
    """Return the alpha whose quotient with the rank is the scale."""
    alpha = scale * rank
    near = (alpha, math.nextafter(alpha, math.inf), math.nextafter(alpha, -math.inf))
    return next((one for one in near if one / rank == scale), alpha)


def _targets(modules: list[str]) -> dict[str, Any]:
    """Return how PEFT names the modules: by their last names where whole layers are meant."""
    below: dict[int, list[str]] = {}
    others = []
    for module in modules:
        match = _LAYER.fullmatch(module)
        if match is None:
            others.append(module)
        else:
            below.setdefault(int(match[1]), []).append(match[2])
    numbers = sorted(below)
    lists = list(below.values())
    regular = lists and all(names == lists[0] for names in lists)
    if not regular or others or numbers != list(range(numbers[0], numbers[-1] + 1)):
        return {"target_modules": modules}
    short = sorted({name.rpartition(".")[2] for name in lists[0]})
    if numbers[0] == 0:
        return {"target_modules": short}
    return {"target_modules": short, "layers_to_transform": numbers}


def _refused(folder: Path, why: str, following: str = "") -> SourceError:
    model = base_named(folder) or "MODEL"
    fused = (
        f"mlx_lm.fuse --model {shlex.quote(model)} --adapter-path {shlex.quote(str(folder))} "
        "--save-path OUT --dequantize, then: uploader run OUT"
    )
    return SourceError(
        f"the adapter of mlx-lm in {folder} cannot be read: {why}",
        owner=str(folder / CONFIG),
        safe="nothing was written",
        next=following or fused,
    )
