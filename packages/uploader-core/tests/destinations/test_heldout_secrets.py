"""Secrets and places that were written without a look at the patterns; ordinary files of others."""

from __future__ import annotations

import importlib.metadata
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from heldout_secrets import first, second
from uploader_core.destinations.secret_text import find_in_file

SORTS = {".cfg", ".csv", ".html", ".ini", ".j2", ".jinja", ".rst", ".sh", ".toml", ".txt", ".yaml"}


@pytest.mark.parametrize(("made", "seed"), [(first, 20261130), (second, 424242), (second, 7)])
def test_29_of_30_are_found(
    tmp_path: Path, made: Callable[[int], list[tuple[str, str, bytes]]], seed: int
) -> None:
    seeded = made(seed)
    missed = []
    for what, name, content in seeded:
        path = tmp_path / name.replace("/", "_")
        path.write_bytes(content)
        if not find_in_file(path):
            missed.append(what)
    assert len(seeded) >= 200
    assert len(missed) * 30 <= len(seeded), missed


def test_one_of_100_ordinary_files_is_held_up_at_most() -> None:
    root = Path(str(importlib.metadata.distribution("click").locate_file("")))
    paths = sorted(
        path
        for path in root.rglob("*.*")
        if path.suffix in SORTS and path.is_file() and 100 < path.stat().st_size < 1 << 19
    )
    if len(paths) < 100:
        pytest.skip("too few packages are installed here")
    picked = random.Random(20261130).sample(paths, min(len(paths), 300))
    wrong = [path.name for path in picked if find_in_file(path)]
    assert len(wrong) * 100 <= len(picked), wrong
