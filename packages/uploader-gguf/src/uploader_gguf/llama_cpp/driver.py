"""Run llama.cpp's own converter without letting it read or write weights.

Its table of tensors is filled from the checkpoint instead of from files, before any renaming that
it does, and what it would write is captured. Nothing of llama.cpp is changed on disk, and
everything patched here is restored.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from uploader_core.plugin import PluginError, RefusedError
from uploader_gguf.format.gguf_file import METADATA
from uploader_gguf.format.quants import QUANTS
from uploader_gguf.llama_cpp.lazy import Array, row_blocks, sample_rows, source_type
from uploader_gguf.llama_cpp.toolchain import Toolchain
from uploader_gguf.llama_cpp.vocabulary_memory import key_of, vocabulary_remembered
from uploader_gguf.llama_cpp.weights import Weights
from uploader_gguf.tokenizer.vocabulary import Known
from uploader_merged.foreign_code import without_foreign_code

PreTokenizer = Callable[[Path, Known], str]
"""Names the pre-tokenizer of the tokenizer in a folder when llama.cpp does not know it."""

Part = Literal["text", "mmproj"]
"""The language model, or the encoder of images and sound that goes in front of it."""

# What transformers 5 no longer calls by the name that llama.cpp's converter asks for.
_RENAMED: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "rotary_pct": lambda h: (h.get("rope_parameters") or {}).get("partial_rotary_factor"),
    "rotary_emb_base": lambda h: (h.get("rope_parameters") or {}).get("rope_theta"),
    "rope_theta": lambda h: (h.get("rope_parameters") or {}).get("rope_theta"),
    "n_ctx": lambda h: h.get("n_positions") or h.get("max_position_embeddings"),
}
_TOWER, _TOWER_BEFORE = "vision_tower.", "vision_tower.vision_model."


class Driver:
    """llama.cpp's converter, imported, with a checkpoint to feed to it.

    Args:
        chain: Which llama.cpp.
        weights: The checkpoint.
        folder: Copies of its configuration and tokenizer files, and overriding metadata.
        pre_tokenizer: Asked when llama.cpp does not recognise the tokenizer.
        mtp: Keep the heads that predict several tokens at once (multi-token prediction).

    Attributes:
        recorded: By the identity of what the converter handed to its writer: that object, and the
            values that it was made from.

    Raises:
        PluginError: The conversion code cannot be imported.
    """

    def __init__(
        self,
        chain: Toolchain,
        weights: Weights,
        folder: Path,
        pre_tokenizer: PreTokenizer,
        *,
        mtp: bool = True,
    ) -> None:
        chain.activate()
        try:
            self._gguf = importlib.import_module("gguf")
            self._conversion = importlib.import_module("conversion")
            self._base = importlib.import_module("conversion.base")
        except ImportError as error:
            raise PluginError(
                f"llama.cpp's conversion code cannot be imported: {error}",
                owner=chain.version,
                next="pip install --upgrade uploader-gguf",
            ) from error
        chain.activate()  # refuses a gguf that came from elsewhere
        self._weights, self._folder = weights, folder
        self._vocabulary_key = key_of(chain, folder, pre_tokenizer)
        self._pre_tokenizer = pre_tokenizer
        self._mtp = mtp
        self._source = source_type(self._base.LazyTorchTensor)
        self._extra: dict[str, Any] = {}
        self._tower_renamed = False
        self.recorded: dict[int, tuple[Any, Any]] = {}

    def blocks(self, lazy: Any) -> Iterator[Array]:
        """Yield a lazy array in blocks of rows."""
        return row_blocks(lazy, self._gguf.LazyNumpyTensor, self._source)

    def sample(self, lazy: Any, values: int) -> Iterator[tuple[int, Array]]:
        """Yield rows from all over a lazy array, each range with the number of its first row."""
        return sample_rows(lazy, self._gguf.LazyNumpyTensor, self._source, values)

    def run(self, part: Part, kind: str, *, vocabulary: bool) -> Any:
        """Run the converter and return the writer that it would have used.

        The converter asks transformers for the configuration, and newer ones rename or drop old
        values; newer ones also name the tensors of vision towers otherwise. What it misses is
        added, in the model's own words where it has them, and only then, so that everything else
        stays as the unmodified script has it.

        Args:
            part: Of the model.
            kind: A direct kind.
            vocabulary: False when only the types of the tensors are asked for.

        Raises:
            RefusedError: It would write several files.
            Exception: Whatever the converter raises.
        """
        while True:
            try:
                with self._fed(), without_foreign_code():
                    return self._once(part, kind, vocabulary)
            except KeyError as error:
                if not self._complete(error):
                    raise
            except ValueError as error:
                if self._tower_renamed or f"Can not map tensor '{_TOWER}" not in str(error):
                    raise
                self._tower_renamed = True

    def _complete(self, missed: KeyError) -> bool:
        key = missed.args[0] if missed.args else None
        if not isinstance(key, str) or key in self._extra:
            return False
        value = self._weights.config.get(key)
        if value is None and key in _RENAMED:
            value = _RENAMED[key](self._weights.config)
        self._extra[key] = value
        return value is not None

    def _once(self, part: Part, kind: str, vocabulary: bool) -> Any:
        import torch

        captured: list[Any] = []
        writer, types = self._gguf.GGUFWriter, self._base.ModelType
        model_type = types.TEXT if part == "text" else types.MMPROJ
        ftype = self._gguf.LlamaFileType(QUANTS[kind].ftype)
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if vocabulary and self._vocabulary_key is not None:
                stack.enter_context(
                    vocabulary_remembered(
                        self._base, self._gguf, self._folder, self._vocabulary_key
                    )
                )
            for method in ("write_kv_data_to_file", "write_tensors_to_file", "close"):
                stack.enter_context(_replaced(writer, method, lambda *_, **__: None))
            stack.enter_context(
                _replaced(writer, "write_header_to_file", lambda w, *_, **__: captured.append(w))
            )
            hparams = self._base.ModelBase.load_hparams(self._folder, False)
            architecture = self._conversion.get_model_architecture(hparams, model_type)
            model_class = self._conversion.get_model_class(architecture, mmproj=part == "mmproj")
            if not self._mtp and getattr(model_class, "supports_mtp_export", False):
                stack.callback(setattr, model_class, "no_mtp", model_class.no_mtp)
                model_class.no_mtp = True
            options: dict[str, Any] = {}
            if hasattr(model_class, "module_paths"):
                # Dense layers of sentence-transformers, in lists that all instances share.
                model_class.module_paths, model_class.dense_features_dims = [], {}
                options["sentence_transformers_dense_modules"] = True
            model = model_class(
                self._folder,
                ftype,
                self._folder / "model.gguf",
                metadata_override=self._folder / METADATA,
                **options,
            )
            if not vocabulary:
                for inner in (model, getattr(model, "impl", None)):
                    if inner is not None:
                        inner.set_vocab = lambda: None  # reading a vocabulary takes seconds
            model.write()
        if len(captured) != 1 or len(captured[0].tensors) != 1:
            raise RefusedError(
                f"llama.cpp would write {len(captured)} files for this model, not one",
                owner=f"architecture {architecture}",
                next="convert it with llama.cpp's own script",
            )
        return captured[0]

    @contextlib.contextmanager
    def _fed(self) -> Iterator[None]:
        """Feed the checkpoint to the converter, and remember values before they are stored."""
        base, quants = self._base, self._gguf.quants
        load, store = base.ModelBase.load_hparams, quants.quantize
        known = base.TextModel.get_vocab_base_pre

        def load_hparams(folder: Path, is_mistral_format: bool) -> dict[str, Any]:
            return {**load(folder, is_mistral_format), **self._extra}

        def index_tensors(model: Any, remote_hf_model_id: str | None = None) -> dict[str, Any]:
            return self._index(model)

        def quantize(data: Any, kind: Any) -> Any:
            result = store(data, kind)
            self.recorded[id(result)] = (result, data)
            return result

        def get_vocab_base_pre(model: Any, tokenizer: Any) -> str:
            name = self._recognised(known, model, tokenizer)
            return name or self._pre_tokenizer(
                model.dir_model, lambda folder: self._recognised(known, model, folder)
            )

        with (
            _replaced(base.ModelBase, "load_hparams", staticmethod(load_hparams)),
            _replaced(base.ModelBase, "index_tensors", index_tensors),
            _replaced(quants, "quantize", quantize),
            _replaced(base.TextModel, "get_vocab_base_pre", get_vocab_base_pre),
        ):
            yield

    def _index(self, model: Any) -> dict[str, Any]:
        """Return what ``ModelBase.index_tensors`` would, with the checkpoint's tensors."""
        tensors = {}
        for name in self._weights.names:
            dtype = self._base.LazyTorchTensor._dtype_str_map[self._weights.dtype(name)]

            def lazy(name: str = name, dtype: Any = dtype) -> Any:
                return self._source(self._weights, name, dtype)

            shown = name
            if self._tower_renamed and _TOWER_BEFORE not in name:
                shown = name.replace(_TOWER, _TOWER_BEFORE)
            kept = model.filter_tensors((shown, lazy))
            if kept is not None:
                tensors[kept[0]] = kept[1]
        return tensors

    def _recognised(self, known: Any, model: Any, tokenizer: Any) -> str | None:
        """Ask llama.cpp for the name of a tokenizer, or of the one in a folder."""
        if isinstance(tokenizer, Path):
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
        # On an unknown tokenizer it prints a page of advice for llama.cpp's developers.
        self._base.logger.disabled = True
        try:
            return str(known(model, tokenizer))
        except NotImplementedError:
            return None
        finally:
            self._base.logger.disabled = False


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = vars(owner)[name]  # not getattr, which unwraps a staticmethod
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
