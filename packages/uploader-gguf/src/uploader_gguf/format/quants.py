"""The names of GGUF quantisations, and the tensor types that they are made of.

Numbers and sizes are the file format's own: ``enum llama_ftype`` in ``include/llama.h``,
``enum ggml_type`` in ``ggml/include/ggml.h``, block sizes in ``gguf-py/gguf/constants.py``,
default types in ``llama_ftype_get_default_type`` of ``src/llama-quant.cpp`` (llama.cpp b10605).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import prod


class TensorType(enum.IntEnum):
    """``enum ggml_type``."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    I8 = 24
    I16 = 25
    I32 = 26
    I64 = 27
    F64 = 28
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39
    NVFP4 = 40
    Q1_0 = 41
    Q2_0 = 42

    @property
    def block(self) -> int:
        """Elements of a row that are stored together."""
        return _SIZES[self][0]

    def nbytes(self, shape: tuple[int, ...]) -> int:
        """Return the bytes of a tensor.

        Args:
            shape: Slowest axis first. The last is a row and divides by :attr:`block`.
        """
        block, size = _SIZES[self]
        return prod(shape) // block * size

    @property
    def is_quantized(self) -> bool:
        """``ggml_is_quantized``: stored in blocks with a scale."""
        return self.block > 1


_SIZES: dict[TensorType, tuple[int, int]] = {
    TensorType.F32: (1, 4),
    TensorType.F16: (1, 2),
    TensorType.BF16: (1, 2),
    TensorType.F64: (1, 8),
    TensorType.I8: (1, 1),
    TensorType.I16: (1, 2),
    TensorType.I32: (1, 4),
    TensorType.I64: (1, 8),
    TensorType.Q4_0: (32, 18),
    TensorType.Q4_1: (32, 20),
    TensorType.Q5_0: (32, 22),
    TensorType.Q5_1: (32, 24),
    TensorType.Q8_0: (32, 34),
    TensorType.Q2_K: (256, 84),
    TensorType.Q3_K: (256, 110),
    TensorType.Q4_K: (256, 144),
    TensorType.Q5_K: (256, 176),
    TensorType.Q6_K: (256, 210),
    TensorType.IQ2_XXS: (256, 66),
    TensorType.IQ2_XS: (256, 74),
    TensorType.IQ2_S: (256, 82),
    TensorType.IQ3_XXS: (256, 98),
    TensorType.IQ3_S: (256, 110),
    TensorType.IQ1_S: (256, 50),
    TensorType.IQ1_M: (256, 56),
    TensorType.IQ4_NL: (32, 18),
    TensorType.IQ4_XS: (256, 136),
    TensorType.TQ1_0: (256, 54),
    TensorType.TQ2_0: (256, 66),
    TensorType.MXFP4: (32, 17),
    TensorType.NVFP4: (64, 36),
    TensorType.Q1_0: (128, 18),
    TensorType.Q2_0: (64, 18),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Quant:
    """A type of file, as ``llama-quantize`` and the Hub name it.

    Attributes:
        name: ``Q4_K_M``.
        ftype: ``enum llama_ftype``, written as ``general.file_type``.
        default: Type of a tensor that no rule of the mixture treats otherwise.
        direct: llama.cpp's converter writes such a file itself, from the checkpoint's own values.
            All others are made by ``llama-quantize`` from the converter's F16 file.
        needs_imatrix: ``llama-quantize`` refuses it without an importance matrix.
    """

    name: str
    ftype: int
    default: TensorType
    direct: bool = False
    needs_imatrix: bool = False


def _table() -> dict[str, Quant]:
    t = TensorType
    rows = (
        Quant(name="F32", ftype=0, default=t.F32, direct=True),
        Quant(name="F16", ftype=1, default=t.F16, direct=True),
        Quant(name="BF16", ftype=32, default=t.BF16, direct=True),
        Quant(name="Q8_0", ftype=7, default=t.Q8_0, direct=True),
        Quant(name="Q6_K", ftype=18, default=t.Q6_K),
        Quant(name="Q5_K_M", ftype=17, default=t.Q5_K),
        Quant(name="Q5_K_S", ftype=16, default=t.Q5_K),
        Quant(name="Q5_1", ftype=9, default=t.Q5_1),
        Quant(name="Q5_0", ftype=8, default=t.Q5_0),
        Quant(name="Q4_K_M", ftype=15, default=t.Q4_K),
        Quant(name="Q4_K_S", ftype=14, default=t.Q4_K),
        Quant(name="Q4_1", ftype=3, default=t.Q4_1),
        Quant(name="Q4_0", ftype=2, default=t.Q4_0),
        Quant(name="IQ4_NL", ftype=25, default=t.IQ4_NL),
        Quant(name="IQ4_XS", ftype=30, default=t.IQ4_XS),
        Quant(name="Q3_K_L", ftype=13, default=t.Q3_K),
        Quant(name="Q3_K_M", ftype=12, default=t.Q3_K),
        Quant(name="Q3_K_S", ftype=11, default=t.Q3_K),
        Quant(name="IQ3_M", ftype=27, default=t.IQ3_S),
        Quant(name="IQ3_S", ftype=26, default=t.IQ3_S),
        Quant(name="IQ3_XS", ftype=22, default=t.IQ3_S, needs_imatrix=True),
        Quant(name="IQ3_XXS", ftype=23, default=t.IQ3_XXS, needs_imatrix=True),
        Quant(name="Q2_K", ftype=10, default=t.Q2_K),
        Quant(name="Q2_K_S", ftype=21, default=t.Q2_K, needs_imatrix=True),
        Quant(name="IQ2_M", ftype=29, default=t.IQ2_S, needs_imatrix=True),
        Quant(name="IQ2_S", ftype=28, default=t.IQ2_XS, needs_imatrix=True),
        Quant(name="IQ2_XS", ftype=20, default=t.IQ2_XS, needs_imatrix=True),
        Quant(name="IQ2_XXS", ftype=19, default=t.IQ2_XXS, needs_imatrix=True),
        Quant(name="IQ1_M", ftype=31, default=t.IQ1_M, needs_imatrix=True),
        Quant(name="IQ1_S", ftype=24, default=t.IQ1_S, needs_imatrix=True),
        Quant(name="TQ2_0", ftype=37, default=t.TQ2_0),
        Quant(name="TQ1_0", ftype=36, default=t.TQ1_0),
        Quant(name="MXFP4_MOE", ftype=38, default=t.MXFP4),
    )
    return {row.name: row for row in rows}


QUANTS = _table()
"""Every type of file that can be asked for, best quality first within a size."""
