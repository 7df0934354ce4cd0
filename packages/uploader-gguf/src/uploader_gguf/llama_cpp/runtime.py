"""Run a GGUF file with llama.cpp, greedily, in this process.

Meant for a child process (``python -m uploader_gguf.llama_cpp.runtime``): llama.cpp ends the
process when an assertion of its own fails, and gives its memory back for sure when it is gone. Only
functions of ``llama.h`` whose signatures have not moved for a long time are used, and parameters
stay at llama.cpp's defaults, so no layout of a structure has to be known: parameters are opaque,
larger than any real one, and every calling convention passes such a structure in memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uploader_core.plugin import IntegrityError, PluginError
from uploader_gguf.llama_cpp import library

_Token = ctypes.c_int32
_BATCH = 512


class _Parameters(ctypes.Structure):
    _fields_ = [("n_ctx", ctypes.c_uint32), ("rest", ctypes.c_uint8 * 1020)]


class _Opaque(ctypes.Structure):
    _fields_ = [("rest", ctypes.c_uint64 * 128)]


class Batch(ctypes.Structure):
    """``struct llama_batch``: tokens with their positions."""

    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(_Token)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]

    @classmethod
    def of(cls, tokens: list[int], first: int = 0) -> Batch:
        """Return one text from position 0.

        Args:
            tokens: Of the text.
            first: Position of the first token that has an output, as all behind it. Without
                outputs llama.cpp skips most of the last layer.
        """
        count = len(tokens)
        only = (ctypes.c_int32 * 1)(0)
        texts = (ctypes.POINTER(ctypes.c_int32) * count)(
            *(ctypes.cast(only, ctypes.POINTER(ctypes.c_int32)) for _ in tokens)
        )
        batch = cls(
            n_tokens=count,
            token=(_Token * count)(*tokens),
            pos=(ctypes.c_int32 * count)(*range(count)),
            n_seq_id=(ctypes.c_int32 * count)(*[1] * count),
            seq_id=texts,
            logits=(ctypes.c_int8 * count)(*(position >= first for position in range(count))),
        )
        batch.only = only  # kept alive with the batch
        return batch


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
        tokens = (_Token * 1)(token)
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
        self._lib = lib = _declared()
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
        tokens = (_Token * room)()
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
                    tokens = (_Token * len(part))(*part)
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
            _set_callback(parameters, callback)
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


def _set_callback(parameters: _Parameters, callback: Any) -> None:
    """Put a callback into ``struct llama_context_params``, whose layout moves between versions.

    In the defaults, the callback and its data are null and stand before the types of the two
    caches, both F16 (1), after which two more nulls follow. That pattern is there once.
    """
    raw = ctypes.string_at(ctypes.addressof(parameters), ctypes.sizeof(parameters))
    pattern = bytes(16) + struct.pack("<ii", 1, 1) + bytes(16)
    found = [at for at in range(0, len(raw) - len(pattern), 8) if raw.startswith(pattern, at)]
    if len(found) != 1:
        raise PluginError(
            "the place of the callback in llama.cpp's parameters cannot be told",
            owner=library.version(),
            next="compute the importance matrix with llama-imatrix and give it with --gguf-imatrix",
        )
    address = ctypes.addressof(parameters) + found[0]
    ctypes.c_void_p.from_address(address).value = ctypes.cast(callback, ctypes.c_void_p).value


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


def _declared() -> ctypes.CDLL:
    lib = library.load()
    pointer, integer = ctypes.c_void_p, ctypes.c_int32
    for name, result, arguments in (
        ("llama_backend_init", None, []),
        ("llama_model_default_params", _Opaque, []),
        ("llama_model_load_from_file", pointer, [ctypes.c_char_p, _Opaque]),
        ("llama_model_free", None, [pointer]),
        ("llama_model_get_vocab", pointer, [pointer]),
        ("llama_model_n_ctx_train", integer, [pointer]),
        ("llama_model_has_decoder", ctypes.c_bool, [pointer]),
        ("llama_adapter_lora_init", pointer, [pointer, ctypes.c_char_p]),
        (
            "llama_set_adapters_lora",
            integer,
            [
                pointer,
                ctypes.POINTER(ctypes.c_void_p),
                ctypes.c_size_t,
                ctypes.POINTER(ctypes.c_float),
            ],
        ),
        ("mtmd_context_params_default", _Opaque, []),
        ("mtmd_init_from_file", pointer, [ctypes.c_char_p, pointer, _Opaque]),
        ("mtmd_free", None, [pointer]),
        ("llama_context_default_params", _Parameters, []),
        ("llama_init_from_model", pointer, [pointer, _Parameters]),
        ("llama_free", None, [pointer]),
        ("llama_set_n_threads", None, [pointer, integer, integer]),
        ("llama_vocab_n_tokens", integer, [pointer]),
        ("llama_vocab_get_add_bos", ctypes.c_bool, [pointer]),
        ("llama_vocab_bos", _Token, [pointer]),
        ("llama_get_memory", pointer, [pointer]),
        ("llama_memory_clear", None, [pointer, ctypes.c_bool]),
        ("llama_vocab_is_eog", ctypes.c_bool, [pointer, _Token]),
        (
            "llama_tokenize",
            integer,
            [
                pointer,
                ctypes.c_char_p,
                integer,
                ctypes.POINTER(_Token),
                integer,
                ctypes.c_bool,
                ctypes.c_bool,
            ],
        ),
        (
            "llama_token_to_piece",
            integer,
            [pointer, _Token, ctypes.c_char_p, integer, integer, ctypes.c_bool],
        ),
        ("llama_batch_get_one", Batch, [ctypes.POINTER(_Token), integer]),
        ("llama_decode", integer, [pointer, Batch]),
        ("llama_get_logits", ctypes.POINTER(ctypes.c_float), [pointer]),
        ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), [pointer, integer]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def main() -> None:
    """Answer requests, a line of JSON each, one line of standard output after the other.

    Request: ``{"path", "lora", "projector", "prompt", "max_tokens", "texts"}``. Answer:
    ``{"text", "tokens", "texts"}``, the last with the token ids of each given text, which come as
    pairs of text and whether control tokens in it count.
    """
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    lora = request["lora"]
    llama = Llama(Path(request["path"]), Path(lora) if lora else None)
    try:
        if request["projector"]:
            llama.load_projector(Path(request["projector"]))
        tokens: list[int] = []
        if request["max_tokens"] and llama.generates:
            tokens = list(llama.generate(llama.tokenize(request["prompt"]), request["max_tokens"]))
        return {
            "text": b"".join(map(llama.piece, tokens)).decode("utf-8", errors="replace"),
            "tokens": tokens,
            "texts": [
                llama.tokenize(text, around=False, special=special)
                for text, special in request["texts"]
            ],
        }
    finally:
        llama.close()


if __name__ == "__main__":
    main()
