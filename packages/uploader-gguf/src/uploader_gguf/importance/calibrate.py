"""Compute an importance matrix with llama.cpp: which inputs of each matrix are large on real text.

The sums of squares of every matrix multiplication's inputs, per expert where there are experts, as
``tools/imatrix/imatrix.cpp`` collects them (llama.cpp b10605), written in its GGUF format. Runs in
a child process, ``python -m uploader_gguf.importance.calibrate``, because llama.cpp calls back from
its graph.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253 - the module runs in a child process of its own
import numpy.typing as npt  # noqa: TID253

from uploader_core.plugin import PluginError, RefusedError
from uploader_gguf.format import gguf_file
from uploader_gguf.format.gguf_file import TensorInfo
from uploader_gguf.format.quants import TensorType
from uploader_gguf.llama_cpp import library
from uploader_gguf.llama_cpp.counting_child import say_progress
from uploader_gguf.llama_cpp.functions import Batch
from uploader_gguf.llama_cpp.runtime import Llama
from uploader_merged.texts import read_text

CHUNK = 512
"""Tokens that are read at once, from an empty context; fewer when a model takes fewer."""

_FEWEST_ROWS = 16  # smaller batches are no text; the collector of llama.cpp leaves them out, too


class _Tensor(ctypes.Structure):
    """``struct ggml_tensor`` of ggml.h, up to the name that checks the layout."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * 10),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * 64),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_bool, ctypes.c_void_p)


class Collector:
    """Adds up squares while llama.cpp computes.

    Attributes:
        sums: By name of the matrix, shape (experts, row length).
        counts: By name, shape (experts,) or (1,): rows that were added up.
    """

    def __init__(self) -> None:
        self._lib = library.load()
        for name, result in (("ggml_op_name", ctypes.c_char_p), ("ggml_get_name", ctypes.c_char_p)):
            getattr(self._lib, name).restype = result
        self._lib.ggml_op_name.argtypes = [ctypes.c_int]
        self._lib.ggml_get_name.argtypes = [ctypes.c_void_p]
        self._lib.ggml_nbytes.argtypes = [ctypes.c_void_p]
        self._lib.ggml_nbytes.restype = ctypes.c_size_t
        self._lib.ggml_backend_tensor_get.argtypes = [
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
        ]
        self._lib.ggml_backend_tensor_get.restype = None
        self.sums: dict[str, npt.NDArray[np.float32]] = {}
        self.counts: dict[str, npt.NDArray[np.int64]] = {}
        self.failure: Exception | None = None
        self.callback = _Callback(self._called)

    def _called(self, address: int, ask: bool, _: Any) -> bool:
        # An exception must not run into C; it is kept, and False stops the graph.
        try:
            return self._wants(address) if ask else self._collect(address)
        except Exception as error:
            self.failure = error
            return False

    def _wants(self, address: int) -> bool:
        tensor = self._tensor(address)
        operation = self._lib.ggml_op_name(tensor.op)
        if operation == b"MUL_MAT_ID":
            return True
        if operation != b"MUL_MAT":
            return False
        inputs = self._tensor(tensor.src[1])
        many = inputs.ne[1] >= _FEWEST_ROWS and inputs.type == TensorType.F32
        return many and self._name(tensor.src[0]).startswith("blk.")

    def _collect(self, address: int) -> bool:
        tensor = self._tensor(address)
        matrix = self._tensor(tensor.src[0])
        name = self._name(tensor.src[0])
        inputs = self._read(tensor.src[1], np.float32)  # (batch, batch, rows, row length)
        if self._lib.ggml_op_name(tensor.op) == b"MUL_MAT_ID":
            chosen = self._read(tensor.src[2], np.int32)[0, 0]  # (tokens, experts used)
            self._add_experts(name, int(matrix.ne[2]), inputs[0], chosen)
        else:
            self._add(name, matrix, inputs)
        if not np.isfinite(self.sums[name]).all():
            raise RefusedError(f"{name} gets values that are not finite", owner="the model")
        return True

    def _add(self, name: str, matrix: _Tensor, inputs: npt.NDArray[np.float32]) -> None:
        experts = int(matrix.ne[2] * matrix.ne[3])
        sums = self.sums.setdefault(name, np.zeros((experts, inputs.shape[-1]), np.float32))
        counts = self.counts.setdefault(name, np.zeros(1, np.int64))
        squares = np.square(inputs).sum(axis=2)
        for outer in range(inputs.shape[0]):
            for inner in range(inputs.shape[1]):
                at = (outer % matrix.ne[3]) * matrix.ne[2] + inner % matrix.ne[2]
                sums[at] += squares[outer, inner]
        counts += inputs[..., 0].size // experts

    def _add_experts(
        self,
        name: str,
        experts: int,
        inputs: npt.NDArray[np.float32],
        chosen: npt.NDArray[np.int32],
    ) -> None:
        sums = self.sums.setdefault(name, np.zeros((experts, inputs.shape[-1]), np.float32))
        counts = self.counts.setdefault(name, np.zeros(experts, np.int64))
        squares = np.square(inputs)
        for place in range(chosen.shape[1]):
            # Before the experts all of them see one row, after them each has its own.
            np.add.at(sums, chosen[:, place], squares[:, place % inputs.shape[1]])
            np.add.at(counts, chosen[:, place], 1)

    def _tensor(self, address: int) -> _Tensor:
        return _Tensor.from_address(address)

    def _name(self, address: int) -> str:
        text = self._lib.ggml_get_name(address)
        if text != self._tensor(address).name:
            raise PluginError(
                "the layout of tensors in memory is not the known one",
                owner=library.version(),
                next="compute the importance matrix with llama-imatrix",
            )
        # "CUDA0#blk.0.attn_k.weight#0" is a copy on a device.
        return str(text.decode().split("#")[1] if b"#" in text else text.decode())

    def _read(self, address: int, dtype: type) -> npt.NDArray[Any]:
        """Copy a tensor from wherever it is, slowest axis first."""
        tensor = self._tensor(address)
        data = np.empty(self._lib.ggml_nbytes(address), np.uint8)
        self._lib.ggml_backend_tensor_get(address, data.ctypes.data, 0, data.nbytes)
        shape, strides = tuple(reversed(tensor.ne)), tuple(reversed(tensor.nb))
        array: npt.NDArray[Any] = np.ndarray(shape, dtype, data.data, strides=strides)
        return array


def compute(
    model: Path, text: Path, target: Path, chunks: int, progress: Callable[[int, int], None]
) -> None:
    """Run a model over a text and write the importance matrix.

    Args:
        model: A GGUF file, F16 or Q8_0.
        text: UTF-8.
        target: What is written.
        chunks: Most pieces of text, 0 for all.
        progress: Told (pieces done, pieces in all).

    Raises:
        RefusedError: The text is too short, or the model computes no numbers.
    """
    llama = Llama(model)
    collector = Collector()
    # Learned positions end where the model's training did, and llama.cpp aborts beyond them.
    size = min(CHUNK, llama.trained_context)
    tokens = llama.tokenize(read_text(text))
    count = len(tokens) // size
    if count < 1:
        raise RefusedError(
            f"{text.name} has {len(tokens)} tokens, and a calibration needs at least {size}",
            owner=str(text),
            next="take a longer text with --gguf-calibration",
        )
    count = min(count, chunks) if chunks else count
    with llama.context(size, collector.callback) as context:
        for number in range(count):
            piece = tokens[number * size : (number + 1) * size]
            if llama.bos is not None:
                piece[0] = llama.bos
            progress(number, count)
            failed = context.run(Batch.of(piece))
            if collector.failure is not None:
                raise collector.failure
            if failed:
                raise RefusedError("llama.cpp cannot compute over the text", owner=model.name)
    progress(count, count)
    _save(target, collector, text.name, count, size)


def _save(target: Path, collector: Collector, dataset: str, chunks: int, size: int) -> None:
    text = struct.pack("<I", 8)
    keys = {
        "general.type": text + gguf_file.string("imatrix"),
        "imatrix.datasets": struct.pack("<IIQ", 9, 8, 1) + gguf_file.string(dataset),
        "imatrix.chunk_count": gguf_file.uint32(chunks),
        "imatrix.chunk_size": gguf_file.uint32(size),
    }
    tensors, data = [], []
    for name in sorted(collector.sums):
        counts = collector.counts[name].astype(np.float32).reshape(-1, 1)
        for suffix, values in ((".in_sum2", collector.sums[name]), (".counts", counts)):
            shape = values.shape if len(values) > 1 else values.shape[1:]
            tensors.append(TensorInfo(name=name + suffix, shape=shape, kind=TensorType.F32))
            raw = values.tobytes()
            data.append(raw + bytes(gguf_file.padding(len(raw))))
    target.write_bytes(gguf_file.header(keys, tensors) + b"".join(data))


def main() -> None:
    """Answer one request from standard input; progress goes to standard output, a line each."""
    request = json.loads(sys.stdin.read())

    compute(
        Path(request["model"]),
        Path(request["text"]),
        Path(request["target"]),
        request["chunks"],
        say_progress,
    )


if __name__ == "__main__":
    main()
