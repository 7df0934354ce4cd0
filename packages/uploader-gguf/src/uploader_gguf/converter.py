"""Drive llama.cpp's own converter without letting it read or write weights.

The converter gets a folder with configuration and tokenizer files only. Its table of tensors is
filled from the checkpoint instead of from files, before any renaming that it does, so everything
it knows of an architecture applies to merged tensors as it would to a merged folder. What it would
write is captured: the keys, and for each tensor its name, its shape and a lazy graph of the values
before they are stored in a type. Nothing of llama.cpp is changed on disk, and everything patched
here is restored.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from uploader_core.plugin import PluginError, RefusedError, UploaderError
from uploader_gguf.lazy import Array, row_blocks, source_type
from uploader_gguf.mixture import ModelShape
from uploader_gguf.quants import QUANTS, TensorType
from uploader_gguf.release_files import METADATA
from uploader_gguf.toolchain import Toolchain
from uploader_gguf.vocabulary import Known
from uploader_gguf.weights import Weights

PreTokenizer = Callable[[Path, Known], str]
"""Names the pre-tokenizer of the tokenizer in a folder when llama.cpp does not know it."""


@dataclass(kw_only=True, slots=True)
class Planned:
    """A tensor of the files to be written.

    Attributes:
        name: GGUF name.
        shape: Slowest axis first.
        stored: Its type in the file of each direct kind (``F16`` is always there).
        values: Lazy array of the values before they are stored, float32 or float16; None when
            the converter stores the tensor in one way only.
        fixed: Lazy array of final bytes when ``values`` is None.
    """

    name: str
    shape: tuple[int, ...]
    stored: dict[str, TensorType]
    values: Any
    fixed: Any


@dataclass(kw_only=True, slots=True)
class Conversion:
    """What the converter would have written.

    Attributes:
        keys: Packed values with their types, by key, for the F16 file.
        tensors: In the converter's order.
        model: What the rules for mixtures ask about.
        alignment: Of tensor data, in bytes.
        blocks: Yields a lazy array in blocks of rows.
    """

    keys: dict[str, bytes]
    tensors: list[Planned]
    model: ModelShape
    alignment: int
    blocks: Callable[[Any], Iterator[Array]]


def plan(
    chain: Toolchain,
    weights: Weights,
    folder: Path,
    *,
    kinds: set[str],
    pre_tokenizer: PreTokenizer,
    log: logging.Logger,
) -> Conversion:
    """Let the converter describe the GGUF files of a checkpoint.

    Args:
        chain: Which llama.cpp.
        weights: The checkpoint.
        folder: Copies of its configuration and tokenizer files, and overriding metadata.
        kinds: Direct kinds that are wanted besides F16 (``Q8_0``).
        pre_tokenizer: Asked when llama.cpp does not recognise the tokenizer.
        log: For what the converter has to say.

    Raises:
        RefusedError: The converter cannot do this model; its own words are in the error.
    """
    llama = _import(chain)
    stored: dict[str, dict[str, TensorType]] = {}
    try:
        with _patched(llama, weights, pre_tokenizer) as recorded:
            main = _run_completing(llama, weights, folder)
            for kind in sorted(kinds | {"F16"}):
                writer = main if kind == "F16" else _run(llama, folder, kind)
                for tensor, info in writer.tensors[0].items():
                    stored.setdefault(tensor, {})[kind] = TensorType(int(info.dtype))
    except UploaderError:
        raise
    except Exception as error:
        raise RefusedError(
            f"llama.cpp's converter cannot convert this model: {error or type(error).__name__}",
            owner=chain.version,
            safe="nothing was written",
            next="try a newer checkout of llama.cpp with --gguf-llama-cpp DIR",
        ) from error
    tensors = []
    for tensor, info in main.tensors[0].items():
        _, values = recorded.get(id(info.tensor), (None, None))
        tensors.append(
            Planned(
                name=tensor,
                shape=tuple(int(n) for n in info.shape),
                stored=stored[tensor],
                values=values,
                fixed=info.tensor if values is None else None,
            )
        )
        info.tensor = None
    keys = {
        key: main._pack_val(v.value, v.type, add_vtype=True, sub_type=v.sub_type)
        for key, v in main.kv_data[0].items()
    }
    log.info("llama.cpp's converter planned %d tensors and %d keys", len(tensors), len(keys))
    return Conversion(
        keys=keys,
        tensors=tensors,
        model=_shape(main),
        alignment=main.data_alignment,
        blocks=lambda lazy: row_blocks(lazy, llama.gguf.LazyNumpyTensor, llama.source),
    )


def _import(chain: Toolchain) -> SimpleNamespace:
    chain.activate()
    try:
        gguf = importlib.import_module("gguf")
        conversion = importlib.import_module("conversion")
        base = importlib.import_module("conversion.base")
    except ImportError as error:
        raise PluginError(
            f"llama.cpp's conversion code cannot be imported: {error}",
            owner=chain.version,
            next="pip install --upgrade uploader-gguf",
        ) from error
    chain.activate()
    return SimpleNamespace(
        gguf=gguf,
        conversion=conversion,
        base=base,
        source=source_type(base.LazyTorchTensor),
        extra={},
    )


# What transformers 5 no longer calls by the name that llama.cpp's converter asks for.
_RENAMED: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "rotary_pct": lambda h: (h.get("rope_parameters") or {}).get("partial_rotary_factor"),
    "rotary_emb_base": lambda h: (h.get("rope_parameters") or {}).get("rope_theta"),
    "rope_theta": lambda h: (h.get("rope_parameters") or {}).get("rope_theta"),
    "n_ctx": lambda h: h.get("n_positions") or h.get("max_position_embeddings"),
}


def _run_completing(llama: SimpleNamespace, weights: Weights, folder: Path) -> Any:
    """Run the converter for F16, and again with a configuration value that it misses.

    It asks transformers for the configuration, and newer ones rename or drop old values. What is in
    the model's own ``config.json``, or under the new name, is added; only when it was missed, so
    that everything else stays as the unmodified script has it.
    """
    for _ in range(8):
        try:
            return _run(llama, folder, "F16", vocabulary=True)
        except KeyError as error:
            key = error.args[0] if error.args else None
            if not isinstance(key, str) or key in llama.extra:
                raise
            value = weights.config.get(key)
            if value is None and key in _RENAMED:
                value = _RENAMED[key](weights.config)
            if value is None:
                raise
            llama.extra[key] = value
    raise RefusedError("the model's configuration lacks too much for llama.cpp's converter")


def _run(llama: SimpleNamespace, folder: Path, kind: str, *, vocabulary: bool = False) -> Any:
    """Run the converter for one direct kind and return the writer it would have used."""
    import torch

    captured: list[Any] = []
    writer = llama.gguf.GGUFWriter
    ftype = llama.gguf.LlamaFileType(QUANTS[kind].ftype)
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for method in ("write_kv_data_to_file", "write_tensors_to_file", "close"):
            stack.enter_context(_replaced(writer, method, lambda *_, **__: None))
        stack.enter_context(
            _replaced(writer, "write_header_to_file", lambda w, *_, **__: captured.append(w))
        )
        hparams = llama.base.ModelBase.load_hparams(folder, False)
        architecture = llama.conversion.get_model_architecture(hparams, llama.base.ModelType.TEXT)
        model = llama.conversion.get_model_class(architecture)(
            folder, ftype, folder / "model.gguf", metadata_override=folder / METADATA
        )
        if not vocabulary:
            # Only the types of the tensors are asked for; reading a vocabulary takes seconds.
            for part in (model, getattr(model, "impl", None)):
                if part is not None:
                    part.set_vocab = lambda: None
        model.write()
    if len(captured) != 1 or len(captured[0].tensors) != 1:
        raise RefusedError(
            f"llama.cpp would write {len(captured)} files for this model, not one",
            owner=f"architecture {architecture}",
            next="convert it with llama.cpp's own script",
        )
    return captured[0]


@contextlib.contextmanager
def _patched(
    llama: SimpleNamespace, weights: Weights, pre_tokenizer: PreTokenizer
) -> Iterator[dict[int, tuple[Any, Any]]]:
    """Feed the checkpoint to the converter, and remember values before they are stored.

    Yields:
        By the identity of what the converter hands to its writer: that object, and the values
        that it was made from.
    """
    base, gguf = llama.base, llama.gguf
    recorded: dict[int, tuple[Any, Any]] = {}
    store, known = gguf.quants.quantize, base.TextModel.get_vocab_base_pre

    load = base.ModelBase.load_hparams

    def load_hparams(folder: Path, is_mistral_format: bool) -> dict[str, Any]:
        return {**load(folder, is_mistral_format), **llama.extra}

    def index_tensors(model: Any, remote_hf_model_id: str | None = None) -> dict[str, Any]:
        tensors = {}
        for name in weights.names:
            dtype = base.LazyTorchTensor._dtype_str_map[weights.dtype(name)]

            def lazy(name: str = name, dtype: Any = dtype) -> Any:
                return llama.source(weights, name, dtype)

            kept = model.filter_tensors((name, lazy))
            if kept is not None:
                tensors[kept[0]] = kept[1]
        return tensors

    def quantize(data: Any, kind: Any) -> Any:
        result = store(data, kind)
        recorded[id(result)] = (result, data)
        return result

    def name_of(model: Any, folder: Path) -> str | None:
        from transformers import AutoTokenizer

        try:
            return str(known(model, AutoTokenizer.from_pretrained(folder)))
        except NotImplementedError:
            return None

    def get_vocab_base_pre(model: Any, tokenizer: Any) -> str:
        # On an unknown tokenizer it prints a page of advice for llama.cpp's developers.
        base.logger.disabled = True
        try:
            return str(known(model, tokenizer))
        except NotImplementedError:
            pass
        finally:
            base.logger.disabled = False
        return pre_tokenizer(model.dir_model, lambda folder: name_of(model, folder))

    with (
        _replaced(base.ModelBase, "load_hparams", staticmethod(load_hparams)),
        _replaced(base.ModelBase, "index_tensors", index_tensors),
        _replaced(gguf.quants, "quantize", quantize),
        _replaced(base.TextModel, "get_vocab_base_pre", get_vocab_base_pre),
    ):
        yield recorded


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = vars(owner)[name]  # not getattr, which unwraps a staticmethod
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _shape(writer: Any) -> ModelShape:
    values = {key: value.value for key, value in writer.kv_data[0].items()}
    arch = str(values["general.architecture"])

    def number(key: str) -> int:
        value = values.get(f"{arch}.{key}", 0)
        # Some models have a value for each layer; the rules look at the first.
        return int(value[0] if isinstance(value, (list, tuple)) else value)

    heads = number("attention.head_count")
    return ModelShape(
        architecture=arch,
        layers=number("block_count"),
        experts=number("expert_count"),
        heads=heads,
        kv_heads=number("attention.head_count_kv") or heads,
    )
