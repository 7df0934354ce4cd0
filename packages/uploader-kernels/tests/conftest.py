"""The compiled kernels, at each level that this processor has."""

from __future__ import annotations

import dataclasses

import pytest

import uploader_kernels
from uploader_kernels.library import LEVELS


def _levels() -> list[uploader_kernels.Library]:
    library = uploader_kernels.load()
    return [dataclasses.replace(library, level=name) for name in LEVELS[: library.number + 1]]


@pytest.fixture(params=_levels(), ids=lambda library: library.level)
def library(request: pytest.FixtureRequest) -> uploader_kernels.Library:
    """The kernels with one set of instructions."""
    return request.param


@pytest.fixture
def every_level() -> list[uploader_kernels.Library]:
    """The kernels, once for each set of instructions that this processor has."""
    return _levels()
