"""The collector of cycles rests while much is made, and works again afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from uploader_core.garbage import uncollected


@pytest.fixture(autouse=True)
def collector_as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_rests_inside_and_works_again_after() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_works_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"), uncollected():
        raise ValueError("broken")
    assert gc.isenabled()


def test_stays_off_where_somebody_else_switched_it_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_what_stays_is_not_walked_again() -> None:
    with uncollected(stays=True):
        made = [[number] for number in range(100)]
    assert gc.get_freeze_count() > len(made)
