"""Functions of ``llama.h`` with their types, and the structures that they take.

Only functions whose signatures have not moved for a long time are used, and parameters stay at
llama.cpp's defaults, so no layout of a structure has to be known: parameters are opaque, larger
than any real one, and every calling convention passes such a structure in memory.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from uploader_core.plugin import PluginError
from uploader_gguf.llama_cpp import library

Token = ctypes.c_int32


class Parameters(ctypes.Structure):
    """``struct llama_context_params``, of which only the first field is known."""

    _fields_ = [("n_ctx", ctypes.c_uint32), ("rest", ctypes.c_uint8 * 1020)]


class _Opaque(ctypes.Structure):
    _fields_ = [("rest", ctypes.c_uint64 * 128)]


class Batch(ctypes.Structure):
    """``struct llama_batch``: tokens with their positions."""

    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(Token)),
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
            token=(Token * count)(*tokens),
            pos=(ctypes.c_int32 * count)(*range(count)),
            n_seq_id=(ctypes.c_int32 * count)(*[1] * count),
            seq_id=texts,
            logits=(ctypes.c_int8 * count)(*(position >= first for position in range(count))),
        )
        batch.only = only  # kept alive with the batch
        return batch


def declared() -> ctypes.CDLL:
    """Return llama.cpp's library with the types of its functions."""
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
        ("llama_context_default_params", Parameters, []),
        ("llama_init_from_model", pointer, [pointer, Parameters]),
        ("llama_free", None, [pointer]),
        ("llama_set_n_threads", None, [pointer, integer, integer]),
        ("llama_vocab_n_tokens", integer, [pointer]),
        ("llama_vocab_get_add_bos", ctypes.c_bool, [pointer]),
        ("llama_vocab_bos", Token, [pointer]),
        ("llama_get_memory", pointer, [pointer]),
        ("llama_memory_clear", None, [pointer, ctypes.c_bool]),
        ("llama_vocab_is_eog", ctypes.c_bool, [pointer, Token]),
        (
            "llama_tokenize",
            integer,
            [
                pointer,
                ctypes.c_char_p,
                integer,
                ctypes.POINTER(Token),
                integer,
                ctypes.c_bool,
                ctypes.c_bool,
            ],
        ),
        (
            "llama_token_to_piece",
            integer,
            [pointer, Token, ctypes.c_char_p, integer, integer, ctypes.c_bool],
        ),
        ("llama_batch_get_one", Batch, [ctypes.POINTER(Token), integer]),
        ("llama_decode", integer, [pointer, Batch]),
        ("llama_get_logits", ctypes.POINTER(ctypes.c_float), [pointer]),
        ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), [pointer, integer]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def set_callback(parameters: Parameters, callback: Any) -> None:
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
