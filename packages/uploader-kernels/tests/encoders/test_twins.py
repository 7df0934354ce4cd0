"""What is written in numpy to be read is what the kernels compute, and what llama.cpp does."""

from __future__ import annotations

import numpy as np
import pytest

import uploader_kernels
from kernel_rows import DISTRIBUTIONS, importances, rows_of
from stock_ggml import NAMES, stock
from uploader_kernels.encoders import twins


def test_every_kernel_has_a_twin() -> None:
    assert twins.TWINS.keys() == uploader_kernels.TYPES.keys() == set(NAMES.values())


@pytest.mark.bits
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_twin_kernel_and_llama_cpp_make_the_same(name: str, distribution: str) -> None:
    kind = NAMES[name]
    random = np.random.default_rng(3)
    rows = rows_of(distribution, name, random, 3, 512)
    for weights, importance in importances(random, 512).items():
        kernel, strange = uploader_kernels.encode(uploader_kernels.load(), rows, kind, importance)
        size = uploader_kernels.TYPES[kind][1]
        made = [kernel, twins.encode(rows, kind, importance), stock(rows, kind, importance)]
        # Strange blocks are for llama.cpp alone.
        kept = [np.delete(data.reshape(-1, size), strange, axis=0) for data in made]
        np.testing.assert_array_equal(kept[1], kept[2], f"twin, importance: {weights}")
        np.testing.assert_array_equal(kept[0], kept[2], f"kernel, importance: {weights}")
