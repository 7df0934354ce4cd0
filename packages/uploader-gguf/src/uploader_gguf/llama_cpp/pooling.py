"""How an embedding model makes one vector of a text, and whether a GGUF can say so.

sentence-transformers lists in ``modules.json`` what comes after the transformer: pooling, dense
layers, normalising. A GGUF has one key for it, ``pooling_type``, which llama.cpp's converter writes
for some architectures only (https://github.com/QwenLM/Qwen3-Embedding/issues/167). Without it
llama.cpp gives a vector for each token, or the wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import Finding, parse_json
from uploader_gguf.llama_cpp.toolchain import architecture_of
from uploader_lora import read_json

MODULES = "modules.json"
# ``enum llama_pooling_type`` of llama.h.
_TYPES = {"mean": 1, "cls": 2, "lasttoken": 3}
# ``_LEGACY_POOLING_MODE_KWARGS`` of sentence-transformers 6, which writes ``pooling_mode`` instead.
_OLDER = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# llama.cpp has two matrices behind the pooling of this architecture, under these names.
DENSE_ARCHITECTURES = ("Gemma3TextModel",)
DENSE = ("2_Dense", "3_Dense")
_HARMLESS = ("Transformer", "Pooling", "Normalize", "Dropout")
_NEXT = "leave gguf out of --plugins; merged-16bit keeps all modules"


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """One entry of ``modules.json``.

    Attributes:
        kind: Name of the class (``Pooling``).
        folder: Where its files are, empty for the model's own folder.
        config: Its ``config.json``.
    """

    kind: str
    folder: str
    config: Mapping[str, Any]


def read_modules(files: Mapping[str, Path]) -> tuple[Module, ...]:
    """Return what follows each other in an embedding model; nothing for other models.

    Args:
        files: Files next to the weights by their names.

    Raises:
        SourceError: One of them is not what its name says.
    """
    if MODULES not in files:
        return ()
    entries = parse_json(files[MODULES].read_text("utf-8"))
    modules = []
    for entry in entries if isinstance(entries, list) else []:
        folder = str(entry.get("path") or "").strip("/")
        config = files.get(f"{folder}/config.json") if folder else None
        modules.append(
            Module(
                kind=str(entry.get("type") or "").rpartition(".")[2],
                folder=folder,
                config={} if config is None else read_json(config),
            )
        )
    return tuple(modules)


def pooling_type(files: Mapping[str, Path]) -> int | None:
    """Return llama.cpp's number of the pooling; None where it has none, or for other models."""
    modules = read_modules(files)
    pooling = next((module for module in modules if module.kind == "Pooling"), None)
    if pooling is None:
        return None
    modes = _modes(pooling.config)
    if modes == ("mean_sqrt_len_tokens",) and any(m.kind == "Normalize" for m in modules):
        return _TYPES["mean"]  # the same direction, and normalising takes the length away
    return _TYPES.get(modes[0]) if len(modes) == 1 else None


def check_pooling(files: Mapping[str, Path], config: Mapping[str, Any]) -> Iterator[Finding]:
    """Refuse modules that a GGUF would lose: it would give other vectors.

    Args:
        files: Files next to the weights by their names.
        config: ``config.json``.
    """
    modules = read_modules(files)
    for module in modules:
        if module.kind == "Pooling":
            yield from _check_mode(module, files)
        elif module.kind == "Dense" and architecture_of(config) in DENSE_ARCHITECTURES:
            yield from _check_dense(module)
        elif module.kind not in _HARMLESS:
            yield Finding(
                level="error",
                what=f"a GGUF cannot hold the module {module.folder or module.kind}"
                f" ({module.kind}) of {MODULES}, so llama.cpp would give other vectors",
                next=_NEXT,
            )


def _check_mode(module: Module, files: Mapping[str, Path]) -> Iterator[Finding]:
    modes = _modes(module.config)
    if pooling_type(files) is None:
        yield Finding(
            level="error",
            what=f"llama.cpp has no pooling like {' and '.join(modes)} of {module.folder}"
            f"/config.json; it has {', '.join(_TYPES)}",
            next=_NEXT,
        )
    elif module.config.get("include_prompt") is False and modes != ("lasttoken",):
        prompts = files.get("config_sentence_transformers.json")
        if prompts is not None and any((read_json(prompts).get("prompts") or {}).values()):
            yield Finding(
                level="error",
                what=f"{module.folder}/config.json leaves prompts out of the pooling"
                " (include_prompt: false), which llama.cpp cannot do",
                next=_NEXT,
            )


def _check_dense(module: Module) -> Iterator[Finding]:
    config = module.config
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    reasons = [
        reason
        for reason, present in (
            (f"its folder is not {' or '.join(DENSE)}", module.folder not in DENSE),
            ("it has a bias", config.get("bias", True) is not False),
            (f"its activation is {activation}", not activation.endswith(".Identity")),
            ("it has a residual connection", bool(config.get("use_residual"))),
        )
        if present
    ]
    if reasons:
        yield Finding(
            level="error",
            what=f"llama.cpp cannot compute the dense layer {module.folder}: {reasons[0]}",
            next=_NEXT,
        )


def _modes(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ways of pooling, whose vectors are put side by side when there are several."""
    mode = config.get("pooling_mode")
    if isinstance(mode, str):
        return (mode,)
    if isinstance(mode, list) and mode:
        return tuple(map(str, mode))
    return tuple(name for key, name in _OLDER.items() if config.get(key)) or ("mean",)
