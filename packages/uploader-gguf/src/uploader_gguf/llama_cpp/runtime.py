"""Run a GGUF file with llama.cpp, greedily, in this process.

Meant for child processes: llama.cpp ends the process when an assertion of its own fails, and gives
its memory back for sure when it is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uploader_core.plugin import IntegrityError
from uploader_gguf.llama_cpp import library
from uploader_gguf.llama_cpp.functions import Batch, Token, declared, set_callback

_BATCH = 512


class Context:
    """Computes with a model; see :meth:`Llama.context`."""

    def __init__(self, lib: ctypes.CDLL, address: int) -> None:
        self._lib = lib
        self._address = address

    def run(self, batch: Batch) -> bool:
        """Compute a batch from an empty context; True means that it failed."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._address), True)
        return bool(self._lib.llama_decode(self._address, batch))

    def run_on(self, token: int) -> bool:
        """Compute one more token behind what was computed; True means that it failed."""
        tokens = (Token * 1)(token)
        return bool(self._lib.llama_decode(self._address, self._lib.llama_batch_get_one(tokens, 1)))

    def logits(self) -> ctypes._Pointer[ctypes.c_float]:
        """Return the outputs of the last batch, row by row; valid until the next one."""
        pointer: ctypes._Pointer[ctypes.c_float] = self._lib.llama_get_logits(self._address)
        return pointer


class Llama:
    """A loaded model.

    Args:
        path: The GGUF file.
        lora: A GGUF adapter that is applied on top, with its own scale.

    Raises:
        IntegrityError: llama.cpp cannot load one of them.
    """

    def __init__(self, path: Path, lora: Path | None = None) -> None:
        self._lib = lib = declared()
        lib.llama_backend_init()
        self._model = lib.llama_model_load_from_file(
            str(path).encode(), lib.llama_model_default_params()
        )
        if not self._model:
            raise IntegrityError(f"llama.cpp cannot load {path.name}", owner=library.version())
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._adapter = None
        if lora is not None:
            self._adapter = lib.llama_adapter_lora_init(self._model, str(lora).encode())
            if not self._adapter:
                raise IntegrityError(
                    f"llama.cpp cannot apply {lora.name} to {path.name}", owner=library.version()
                )

    @property
    def generates(self) -> bool:
        """False for embedding models, which have no next token."""
        return bool(self._lib.llama_model_has_decoder(self._model))

    def tokenize(self, text: str, *, around: bool = True, special: bool = True) -> list[int]:
        """Return token ids.

        Args:
            text: The text.
            around: Add what the model puts around a text (BOS).
            special: Read control tokens in it.
        """
        data = text.encode("utf-8")
        room = len(data) + 16
        tokens = (Token * room)()
        count = self._lib.llama_tokenize(
            self._vocab, data, len(data), tokens, room, around, special
        )
        if count < 0:
            raise IntegrityError(f"llama.cpp cannot tokenise {text[:40]!r}")
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; control tokens are empty."""
        buffer = ctypes.create_string_buffer(256)
        count = self._lib.llama_token_to_piece(self._vocab, token, buffer, 256, 0, False)
        if count < 0:  # it says how much room it needs
            buffer = ctypes.create_string_buffer(-count)
            count = self._lib.llama_token_to_piece(self._vocab, token, buffer, -count, 0, False)
        return buffer.raw[: max(0, count)]

    def generate(self, prompt: list[int], limit: int) -> Iterator[int]:
        """Yield the most likely next token, up to ``limit`` times or the end of the text.

        Raises:
            IntegrityError: The model does not compute, or computes NaN.
        """
        lib = self._lib
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = max(512, -(-(len(prompt) + limit + 8) // 256) * 256)
        context = lib.llama_init_from_model(self._model, parameters)
        if not context:
            raise IntegrityError("llama.cpp cannot make a context for the model")
        try:
            threads = _threads()
            lib.llama_set_n_threads(context, threads, threads)
            if self._adapter is not None:
                adapters, scales = (ctypes.c_void_p * 1)(self._adapter), (ctypes.c_float * 1)(1.0)
                if lib.llama_set_adapters_lora(context, adapters, 1, scales):
                    raise IntegrityError("llama.cpp cannot apply the adapter")
            size = lib.llama_vocab_n_tokens(self._vocab)
            pending = prompt
            for _ in range(limit):
                for start in range(0, len(pending), _BATCH):
                    part = pending[start : start + _BATCH]
                    tokens = (Token * len(part))(*part)
                    if lib.llama_decode(context, lib.llama_batch_get_one(tokens, len(part))):
                        raise IntegrityError("llama.cpp cannot compute the next token")
                token = _argmax(lib.llama_get_logits_ith(context, -1), size)
                if lib.llama_vocab_is_eog(self._vocab, token):
                    return
                yield token
                pending = [token]
        finally:
            lib.llama_free(context)

    @property
    def trained_context(self) -> int:
        """Tokens that the model was trained to see at once."""
        return int(self._lib.llama_model_n_ctx_train(self._model))

    @property
    def bos(self) -> int | None:
        """Token that begins a text, for models that want one."""
        if not self._lib.llama_vocab_get_add_bos(self._vocab):
            return None
        return int(self._lib.llama_vocab_bos(self._vocab))

    @property
    def vocabulary(self) -> int:
        """Number of tokens, and so of logits in a row."""
        return int(self._lib.llama_vocab_n_tokens(self._vocab))

    @contextlib.contextmanager
    def context(self, size: int, callback: Any = None) -> Iterator[Context]:
        """Open a context.

        Args:
            size: Tokens.
            callback: ``ggml_backend_sched_eval_callback``, called after every operation of a
                graph.

        Raises:
            IntegrityError: llama.cpp cannot make one.
            PluginError: The place of the callback in the parameters cannot be told.
        """
        lib = self._lib
        parameters = lib.llama_context_default_params()
        parameters.n_ctx = size
        if callback is not None:
            set_callback(parameters, callback)
        context = lib.llama_init_from_model(self._model, parameters)
        if not context:
            raise IntegrityError("llama.cpp cannot make a context for the model")
        threads = _threads()
        lib.llama_set_n_threads(context, threads, threads)
        try:
            yield Context(lib, context)
        finally:
            lib.llama_free(context)

    def load_projector(self, path: Path) -> None:
        """Load an encoder of images and sound for this model, and let it go again.

        Raises:
            IntegrityError: It cannot be loaded, or does not fit the model.
        """
        parameters = self._lib.mtmd_context_params_default()
        projector = self._lib.mtmd_init_from_file(str(path).encode(), self._model, parameters)
        if not projector:
            raise IntegrityError(f"llama.cpp cannot load {path.name}", owner=library.version())
        self._lib.mtmd_free(projector)

    def close(self) -> None:
        self._lib.llama_model_free(self._model)


def _threads() -> int:
    """Return how many threads compute: what the user gave torch as well, else the processors.

    With more than there are processors, or than others leave free, llama.cpp waits for itself.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(8, int(given) if given.isdecimal() and int(given) else os.cpu_count() or 1)


def _argmax(logits: ctypes._Pointer[ctypes.c_float], size: int) -> int:
    values = logits[:size]
    if not logits or any(v != v for v in values):
        raise IntegrityError("the model computes NaN")
    return max(range(size), key=values.__getitem__)
