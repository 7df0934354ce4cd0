"""Read a PEFT adapter from its configuration and its headers.

No peft, no torch, no pickles, and no tensor data. Every key of the file has exactly one meaning, or
the adapter is refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NoReturn

from uploader_core.plugin import SourceError, StoredTensor
from uploader_lora.adapter import Adapter, FullTensor, LoraUpdate, TokenRows
from uploader_lora.config import AdapterConfig
from uploader_lora.config_file import read_config
from uploader_lora.keys import (
    PREFIX,
    Key,
    Part,
    parse_key,
    unwrapped,
)
from uploader_lora.stored import FLOATS, has_weights, read_stored, same_content
from uploader_lora.targets import ends_with, has_rows, is_saved, means_head

CONFIG = "adapter_config.json"
STEM = "adapter_model"

# peft/utils/constants.py; these are saved whole when the vocabulary was resized.
_EMBEDDINGS = {"embed_tokens", "lm_head", "wte", "word_embeddings", "embed_in", "embed_out"}
# Parameters of fused experts in transformers 5, in the order in which their classes declare them.
_DECLARED = {"gate_up_proj": 0, "up_proj": 1, "down_proj": 2}
_FULL: set[Part] = {"parameter", "base_layer", "original_module"}
# transformers before 5 saves nothing, and peft saves parameters of no elements, where DeepSpeed's
# ZeRO-3 has the values on other processes (huggingface/trl#4416, huggingface/peft#2450).
_GATHER = (
    'resume the training with "stage3_gather_16bit_weights_on_model_save": true in DeepSpeed\'s '
    "configuration and save once more, or gather the checkpoint's shards: python zero_to_fp32.py "
    "CHECKPOINT FOLDER"
)


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter folder.

    Args:
        folder: Holds ``adapter_config.json`` and ``adapter_model.safetensors``.

    Raises:
        SourceError: Something is missing, malformed, of a kind that is not known here, or does not
            fit together. The message names the key and says what to do.
    """
    if not (folder / CONFIG).is_file():
        raise SourceError(
            f"{folder} holds no adapter: there is no {CONFIG}",
            owner=str(folder),
            safe="nothing was written",
            next="point at the folder that the trainer saved",
        )
    config = read_config(folder / CONFIG)
    if not has_weights(folder, STEM):
        _refuse_without_weights(folder)
    return _Builder(folder, config, read_stored(folder, STEM)).build()


def _refuse_without_weights(folder: Path) -> NoReturn:
    pickle = folder / f"{STEM}.bin"
    if pickle.exists():
        raise SourceError(
            f"the adapter is stored as a pickle ({pickle.name}), which can run code when it is "
            "opened; it is not opened here",
            owner=str(pickle),
            safe="nothing was written",
            next=f"uploader convert-pickle {shlex.quote(str(folder))}, which makes "
            f"{STEM}.safetensors of it and runs nothing of it",
        )
    raise SourceError(
        f"{folder} has an {CONFIG} and no {STEM}.safetensors",
        owner=str(folder),
        safe="nothing was written",
        next="save the adapter again with save_pretrained",
    )


class _Builder:
    """Gives every key of the file its one meaning."""

    def __init__(
        self, folder: Path, config: AdapterConfig, tensors: Mapping[str, StoredTensor]
    ) -> None:
        self._folder = folder
        self._config = config
        self._tensors = tensors
        self._parts: dict[tuple[str, int], dict[Part, StoredTensor]] = {}
        self._full: list[FullTensor] = []
        self._rows: list[TokenRows] = []
        self._unused: list[StoredTensor] = []

    def build(self) -> Adapter:
        names: set[str | None] = set()
        wrappers: dict[str, str] = {}
        empty = [name for name, tensor in self._tensors.items() if 0 in tensor.shape]
        if empty:
            shape = list(self._tensors[empty[0]].shape)
            self._refuse(
                f"{len(empty)} of its {len(self._tensors)} tensors are empty: {empty[0]!r} has the "
                f"shape {shape}, which is what DeepSpeed ZeRO-3 leaves of a parameter",
                _GATHER,
            )
        for name, tensor in self._tensors.items():
            plain, around = unwrapped(name)
            wrappers |= around
            key = parse_key(plain)
            if key is None:
                self._refuse(
                    f"the tensor {name!r} is none that PEFT's LoRA writes"
                    + ("" if name.startswith(PREFIX) else f" (they begin with {PREFIX})")
                )
            if tensor.dtype not in FLOATS:
                self._refuse(f"the tensor {name!r} has the type {tensor.dtype}")
            if key.part not in _FULL:
                names.add(key.adapter)
            self._place(key, tensor)
        if len(names) > 1:
            found = ", ".join(sorted(n or "none" for n in names))
            self._refuse(f"it mixes tensors of several adapters ({found})")
        updates = tuple(self._updates())
        if not (updates or self._full or self._rows):
            zero3 = any(self._folder.glob("zero_to_fp32.py")) or any(
                self._folder.glob("global_step*")
            )
            self._refuse(
                "it holds no tensors" + (", and DeepSpeed's shards lie beside it" if zero3 else ""),
                _GATHER if zero3 else None,
            )
        self._check_whole(updates)
        return Adapter(
            folder=self._folder,
            config=self._config,
            updates=updates,
            replacements=tuple(self._full),
            token_rows=tuple(self._rows),
            unused=tuple(self._unused),
            tensors=self._tensors,
            unstored=tuple(
                dict.fromkeys(
                    name
                    for name in self._config.modules_to_save
                    if not any(is_saved(full.module, name) for full in self._full)
                )
            ),
            unwrapped=tuple(f"{prefix} of {whose}" for prefix, whose in wrappers.items()),
        )

    def _place(self, key: Key, tensor: StoredTensor) -> None:
        if key.part in _FULL:
            self._place_full(key, tensor)
        elif key.part == "trainable_tokens_delta":
            self._place_rows(key, tensor)
        else:
            parts = self._parts.setdefault((key.module, key.depth), {})
            if key.part in parts:
                self._refuse(f"{tensor.name!r} is there twice, with two adapter names")
            parts[key.part] = tensor

    def _place_full(self, key: Key, tensor: StoredTensor) -> None:
        config = self._config
        reason: Literal["modules_to_save", "bias", "embedding", "base_layer"]
        whole = any(is_saved(key.module, saved) for saved in config.modules_to_save)
        if whole and key.part != "parameter":
            self._unused.append(tensor)
            return
        if whole:
            reason = "modules_to_save"
        elif key.parameter == "bias" and config.bias != "none":
            reason = "bias"
        elif key.part != "parameter":
            reason = "base_layer"
        elif key.module.rpartition(".")[2] in _EMBEDDINGS and key.parameter == "weight":
            reason = "embedding"
        else:
            self._refuse(
                f"the full tensor {tensor.name!r} is explained by neither modules_to_save nor bias"
            )
        for other in self._full:
            if (other.module, other.parameter) == (key.module, key.parameter):
                if not same_content(other.tensor, tensor):
                    self._refuse(f"{other.tensor.name!r} and {tensor.name!r} contradict each other")
                self._unused.append(tensor)
                return
        self._full.append(
            FullTensor(module=key.module, parameter=key.parameter, tensor=tensor, reason=reason)
        )

    def _place_rows(self, key: Key, tensor: StoredTensor) -> None:
        tokens = self._config.trainable_tokens
        meant = {rows for name, rows in tokens.items() if has_rows(key.module, name)}
        if not meant:
            self._refuse(f"{tensor.name!r} is not named in trainable_token_indices")
        if len(meant) > 1:
            # PEFT takes the first, and sorts them when it saves.
            self._refuse(f"trainable_token_indices names {key.module} twice, with other rows")
        (rows,) = meant
        if len(tensor.shape) != 2 or tensor.shape[0] != len(rows):
            self._refuse(
                f"{tensor.name!r} has the shape {list(tensor.shape)}, and trainable_token_indices "
                f"names {len(rows)} rows"
            )
        self._rows.append(TokenRows(module=key.module, rows=rows, tensor=tensor))

    def _updates(self) -> Iterator[LoraUpdate]:
        for (module, depth), parts in self._parts.items():
            parameter = self._parameter(module, depth)
            embedding = "lora_embedding_A" in parts or "lora_embedding_B" in parts
            names: tuple[Part, Part] = ("lora_A", "lora_B")
            if embedding:
                names = ("lora_embedding_A", "lora_embedding_B")
            strangers = parts.keys() - {*names, "lora_B.bias", "lora_magnitude_vector"}
            if strangers:
                self._refuse(f"{module} has {names[0]} and {min(strangers)}")
            for here, missing in (names, names[::-1]):
                if missing not in parts:
                    there = parts.get(here, next(iter(parts.values())))
                    self._refuse(f"{there.name!r} is there, and its {missing} is not")
            yield self._update(module, parameter, parts, names, embedding)

    def _update(
        self,
        module: str,
        parameter: str,
        parts: Mapping[Part, StoredTensor],
        names: tuple[Part, Part],
        embedding: bool,
    ) -> LoraUpdate:
        config = self._config
        a, b = parts[names[0]], parts[names[1]]
        bias, magnitude = parts.get("lora_B.bias"), parts.get("lora_magnitude_vector")
        if len(a.shape) < 2 or len(b.shape) < 2 or 0 in (*a.shape, *b.shape):
            self._refuse(
                f"{a.name!r} and {b.name!r} have the shapes {list(a.shape)} and {list(b.shape)}: "
                "parts that were not gathered before saving (DeepSpeed ZeRO-3, FSDP)"
            )
        if a.shape[0] != b.shape[1]:
            self._refuse(
                f"{module}: A has {a.shape[0]} rows and B has {b.shape[1]} columns, which must "
                "both be the rank"
            )
        # PEFT looks adapted parameters up by their own names, layers by theirs.
        key = module if parameter == "weight" else f"{module}.{parameter}"
        rank = self._rank(key, a.shape[0])
        if (bias is not None) != config.lora_bias:
            self._refuse(f"{module} and lora_bias = {config.lora_bias} do not fit together")
        if bias is not None and bias.shape != b.shape[:1]:
            self._refuse(f"{bias.name!r} has the shape {list(bias.shape)}, not {b.shape[0]}")
        if (magnitude is not None) != config.use_dora:
            self._refuse(f"{module} and use_dora = {config.use_dora} do not fit together")
        return LoraUpdate(
            module=module,
            parameter=parameter,
            form="embedding" if embedding else "matrix",
            a=a,
            b=b,
            bias=bias,
            magnitude=magnitude,
            rank=rank,
            scale=config.scale(rank, self._alpha(key)),
            experts=a.shape[0] // rank,
        )

    def _parameter(self, module: str, depth: int) -> str:
        """Tell which parameter a wrapper is about.

        PEFT wraps the parameters of a module one around the other in the order in which the module
        declares them, so the innermost is the first; their names are not stored.
        """
        names = {
            target.rpartition(".")[2]
            for target in self._config.target_parameters
            if target.count(".") == 0 or ends_with(module, target.rpartition(".")[0])
        }
        depths = sorted({d for m, d in self._parts if m == module}, reverse=True)
        if depths == [0] and not (names - {"weight"} and "experts" in module):
            return "weight"
        declared = sorted(names & _DECLARED.keys(), key=lambda name: _DECLARED[name])
        if depths != list(range(len(depths)))[::-1] or len(declared) != len(depths):
            self._refuse(
                f"{module} has {len(depths)} adapted parameters, and target_parameters names "
                + (", ".join(sorted(names)) or "none of it")
            )
        return declared[depths.index(depth)]

    def _rank(self, module: str, stored: int) -> int:
        """Return the rank that the configuration allows and the tensors have."""
        ranks = self._config.ranks(module)
        several = bool(self._config.target_parameters)
        fitting = [r for r in ranks if stored == r or (several and stored % r == 0)]
        if stored not in fitting and len(fitting) != 1:
            said = " or ".join(str(rank) for rank in ranks)
            self._refuse(
                f"{module} is stored with rank {stored}, and the configuration says {said}"
            )
        return stored if stored in fitting else fitting[0]

    def _alpha(self, module: str) -> float:
        alphas = self._config.alphas(module)
        if len(alphas) > 1:
            said = " and ".join(f"{alpha:g}" for alpha in alphas)
            self._refuse(
                f"alpha_pattern gives {module} the values {said}; in training the first key "
                "counted, and peft lost their order when it saved"
            )
        return alphas[0]

    def _check_whole(self, updates: tuple[LoraUpdate, ...]) -> None:
        """Refuse what the configuration promises and the file does not hold."""
        config = self._config
        for name in config.trainable_tokens:
            if means_head(name) and self._rows:
                continue  # a tied head has the embedding's rows; PEFT stores them once
            if not any(has_rows(rows.module, name) for rows in self._rows):
                self._refuse(
                    f"trainable_token_indices names {name or 'the input embedding'}, and no rows "
                    "are stored"
                )
        if config.target_parameters and not any(u.form == "matrix" for u in updates):
            self._refuse("target_parameters is set, and no matrices are stored")

    def _refuse(self, why: str, following: str | None = None) -> NoReturn:
        version = self._config.peft_version
        raise SourceError(
            f"the adapter cannot be used: {why}"
            + (f" (saved by peft {version[:40]})" if version else ""),
            owner=str(self._folder / f"{STEM}.safetensors"),
            safe="nothing was written",
            next=following
            or "save the adapter again with save_pretrained, or merge it with the tool that "
            "trained it and release the merged folder",
        )
