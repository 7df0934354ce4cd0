"""Every byte of codes and scales is that of compressed-tensors."""

from __future__ import annotations

import pytest
import torch

import uploader_kernels
from compressed_tools import by_the_library
from saved_models import same_bits
from uploader_compressed.encode import NotFiniteError, encode, global_scale, largest
from uploader_compressed.schemes import DATA_FREE, SCHEMES

pytestmark = pytest.mark.bits  # equal with AVX-512, with AVX2 alone and without either

SPELLED = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


def weights(distribution: str, shape: tuple[int, int]) -> torch.Tensor:
    torch.manual_seed(3)
    normal = torch.randn(shape) * 0.05
    return {
        "normal": normal,
        "heavy tails": normal * 1e3 * torch.rand(shape).pow(8),
        "tiny": normal * 1e-6,
        "zero groups": torch.cat([torch.zeros(shape[0], 128), normal[:, 128:]], 1),
        "negative zeros": torch.where(normal < 0.02, -0.0, normal),
        "constant": torch.full(shape, 0.3),
        "halfway": (normal * 40).round() / 16,
    }[distribution]


@pytest.mark.parametrize("kind", DATA_FREE)
@pytest.mark.parametrize("dtype", SPELLED, ids=str)
@pytest.mark.parametrize("shape", [(128, 256), (72, 1152)], ids=["blocks", "part of a block"])
def test_bits_are_those_of_the_library(
    kind: str, dtype: torch.dtype, shape: tuple[int, int]
) -> None:
    scheme = SCHEMES[kind]
    kernels = uploader_kernels.load()
    for distribution in ("normal", "heavy tails", "tiny", "zero groups", "negative zeros",
                         "constant", "halfway"):  # fmt: skip
        matrix = weights(distribution, shape).to(dtype)
        overall = global_scale(largest(matrix)) if scheme.strategy == "tensor_group" else None
        theirs = by_the_library(kind, matrix)
        for compiled in (None, kernels):
            codes, scales = encode(scheme, matrix.clone(), overall, compiled)
            ending = scheme.parts(SPELLED[dtype], shape)[0].ending
            assert same_bits(codes, theirs[ending]), distribution
            assert same_bits(scales, theirs["weight_scale"]), distribution
        if overall is not None:
            assert same_bits(overall, theirs["weight_global_scale"])


@pytest.mark.parametrize("kind", DATA_FREE)
def test_types_and_shapes_are_those_that_are_planned(kind: str) -> None:
    planned = {p.ending: (p.dtype, p.shape) for p in SCHEMES[kind].parts("BF16", (200, 384))}
    theirs = by_the_library(kind, weights("normal", (200, 384)).bfloat16())
    names = {torch.int8: "I8", torch.uint8: "U8", torch.int32: "I32", torch.int64: "I64",
             torch.float8_e4m3fn: "F8_E4M3", **SPELLED}  # fmt: skip
    assert {n: (names[t.dtype], tuple(t.shape)) for n, t in theirs.items()} == planned


@pytest.mark.parametrize("kind", DATA_FREE)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_has_no_scale(kind: str, value: float) -> None:
    matrix = weights("normal", (128, 128)).bfloat16()
    matrix[100, 100] = value
    for compiled in (None, uploader_kernels.load()):
        with pytest.raises(NotFiniteError):
            encode(SCHEMES[kind], matrix, torch.ones(1), compiled)


def test_rows_of_a_block_that_is_cut_off_are_padded_with_nothing() -> None:
    matrix = weights("normal", (130, 130)).bfloat16()
    codes, scales = encode(SCHEMES["fp8-block"], matrix)
    assert codes.shape == (130, 130)
    assert scales.shape == (2, 2)
