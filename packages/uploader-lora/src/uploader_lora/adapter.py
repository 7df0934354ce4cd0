"""Read a PEFT adapter: what it does to which module, from its configuration and its headers.

No peft, no torch, no pickles, and no tensor data: an :class:`Adapter` says where every tensor lies
and what it means. Every key of the file has exactly one meaning, or the adapter is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from uploader_core.plugin import SourceError
from uploader_lora.config import AdapterConfig, read_config
from uploader_lora.keys import PREFIX, Key, Part, parse_key
from uploader_lora.safetensors_header import StoredTensor
from uploader_lora.stored import has_weights, read_stored, same_content

CONFIG = "adapter_config.json"
STEM = "adapter_model"

# peft/utils/constants.py; these are saved whole when the vocabulary was resized.
_EMBEDDINGS = {"embed_tokens", "lm_head", "wte", "word_embeddings", "embed_in", "embed_out"}
# Parameters of fused experts in transformers 5, in the order in which their classes declare them.
_DECLARED = {"gate_up_proj": 0, "up_proj": 1, "down_proj": 2}
_FULL: set[Part] = {"parameter", "base_layer", "original_module"}
_HEADS = {"lm_head", "embed_out"}
_FLOATS = {"F64", "F32", "F16", "BF16"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraUpdate:
    """A low-rank change of one module: ``scale * B @ A``.

    Attributes:
        module: Path of the module in the model (``model.layers.0.self_attn.q_proj``).
        parameter: Which of its parameters: ``weight``, or with ``target_parameters`` another one
            (``gate_up_proj`` of fused experts).
        form: ``matrix`` for linear and convolution layers and for parameters, ``embedding`` for
            the transposed form of embeddings.
        a: Shape (rank, in), embeddings (rank, rows), convolutions (rank, in, *kernel).
        b: Shape (out, rank), embeddings (width, rank), convolutions (out, rank, 1, ...).
        bias: Bias of B, shape (out,), with ``lora_bias``.
        magnitude: DoRA's magnitudes, with ``use_dora``.
        rank: Of the module, by ``rank_pattern``.
        scale: ``alpha / rank`` or ``alpha / sqrt(rank)``, by ``alpha_pattern``.
        experts: Matrices that are stacked in ``a`` and ``b``; 1 but for fused experts.
    """

    module: str
    parameter: str
    form: Literal["matrix", "embedding"]
    a: StoredTensor
    b: StoredTensor
    bias: StoredTensor | None
    magnitude: StoredTensor | None
    rank: int
    scale: float
    experts: int

    @property
    def tensors(self) -> tuple[StoredTensor, ...]:
        """Every stored tensor of the update."""
        return tuple(t for t in (self.a, self.b, self.bias, self.magnitude) if t is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class FullTensor:
    """A tensor that takes the place of the base's.

    Attributes:
        module: Path of the module in the model.
        parameter: Name within the module (``weight``, ``bias``).
        tensor: Where it lies.
        reason: ``modules_to_save``, ``bias``, ``embedding`` (saved whole because the vocabulary
            was resized) or ``base_layer`` (the base's tensor under a change, as it was in
            training).
    """

    module: str
    parameter: str
    tensor: StoredTensor
    reason: Literal["modules_to_save", "bias", "embedding", "base_layer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRows:
    """Rows of an embedding that were trained (``trainable_token_indices``).

    Attributes:
        module: Path of the embedding.
        rows: Row numbers, in the order of the tensor.
        tensor: Shape (rows, width). In spite of its name (``..._delta``) it holds the new rows
            themselves.
    """

    module: str
    rows: tuple[int, ...]
    tensor: StoredTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A PEFT adapter.

    Attributes:
        folder: Where it lies.
        config: Its flags.
        updates: Low-rank changes, in the order of the file.
        replacements: Full tensors.
        token_rows: Trained rows of embeddings.
        unused: Copies that PEFT saves beside what counts: the frozen original of a module that is
            stored whole, and repetitions of it.
        tensors: Every tensor of the file by its key.
        weight: How often the low-rank changes count in a stack of adapters; the scales of
            ``updates`` have it already.
    """

    folder: Path
    config: AdapterConfig
    updates: tuple[LoraUpdate, ...]
    replacements: tuple[FullTensor, ...]
    token_rows: tuple[TokenRows, ...]
    unused: tuple[StoredTensor, ...]
    tensors: Mapping[str, StoredTensor]
    weight: float = 1.0


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
            next="if you trust where it comes from, convert it in an environment without secrets: "
            'python -c "import torch, safetensors.torch as s; '
            f"s.save_file({{k: v.contiguous() for k, v in torch.load('{pickle.name}', "
            f"map_location='cpu', weights_only=True).items()}}, '{STEM}.safetensors')\"",
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
        for name, tensor in self._tensors.items():
            key = parse_key(name)
            if key is None:
                self._refuse(
                    f"the tensor {name!r} is none that PEFT's LoRA writes"
                    + ("" if name.startswith(PREFIX) else f" (they begin with {PREFIX})")
                )
            if tensor.dtype not in _FLOATS:
                self._refuse(f"the tensor {name!r} has the type {tensor.dtype}")
            if key.part not in _FULL:
                names.add(key.adapter)
            self._place(key, tensor)
        if len(names) > 1:
            found = ", ".join(sorted(n or "none" for n in names))
            self._refuse(f"it mixes tensors of several adapters ({found})")
        updates = tuple(self._updates())
        if not (updates or self._full or self._rows):
            self._refuse("it holds no tensors")
        self._check_whole(updates)
        return Adapter(
            folder=self._folder,
            config=self._config,
            updates=updates,
            replacements=tuple(self._full),
            token_rows=tuple(self._rows),
            unused=tuple(self._unused),
            tensors=self._tensors,
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
        whole = any(_inside(key.module, saved) for saved in config.modules_to_save)
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
        rows = next((r for m, r in tokens.items() if m and _ends(key.module, m)), tokens.get(None))
        if rows is None:
            self._refuse(f"{tensor.name!r} is not named in trainable_token_indices")
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
            if target.count(".") == 0 or _ends(module, target.rpartition(".")[0])
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
        for saved in config.modules_to_save:
            if not any(_inside(full.module, saved) for full in self._full):
                self._refuse(f"modules_to_save names {saved!r}, and no tensor of it is stored")
        for token_module in config.trainable_tokens:
            if (
                token_module is not None
                and token_module.rpartition(".")[2] in _HEADS
                and self._rows
            ):
                continue  # a tied head has the embedding's rows; PEFT stores them once
            if not any(token_module is None or _ends(r.module, token_module) for r in self._rows):
                name = token_module or "the input embedding"
                self._refuse(f"trainable_token_indices names {name}, and no rows are stored")
        if config.target_parameters and not any(u.form == "matrix" for u in updates):
            self._refuse("target_parameters is set, and no matrices are stored")

    def _refuse(self, why: str) -> NoReturn:
        version = self._config.peft_version
        raise SourceError(
            f"the adapter cannot be used: {why}"
            + (f" (saved by peft {version[:40]})" if version else ""),
            owner=str(self._folder / f"{STEM}.safetensors"),
            safe="nothing was written",
            next="save the adapter again with save_pretrained, or merge it with the tool that "
            "trained it and release the merged folder",
        )


def _ends(module: str, name: str) -> bool:
    return module == name or module.endswith(f".{name}")


def _inside(module: str, saved: str) -> bool:
    """Tell whether a module is one that ``modules_to_save`` names, or lies within it."""
    return f".{saved}." in f".{module}."
