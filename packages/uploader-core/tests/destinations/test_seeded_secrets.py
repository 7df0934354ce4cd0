"""How many secrets the upload scan finds, and how often it is wrong about ordinary files."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from seeded_secrets import FORMS, SORTS, secret
from uploader_core.plugin import UploadFile, find_secrets

# What documents the interface of AWS shows keys in every answer of its own examples.
_OF_AWS = {"botocore", "boto3", "moto", "cfnlint", "s3transfer"}


def found_in(folder: Path, name: str, text: str) -> list[str]:
    path = folder / name
    path.write_text(text, "utf-8")
    size = path.stat().st_size
    file = UploadFile(name=name, path=path, size=size, sha256="0" * 64, role="config", kind="x")
    return [str(leak) for leak in find_secrets(file)]


@pytest.mark.parametrize("seed", [20261129, 7, 11])
def test_59_of_60_seeded_secrets_are_found(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    kinds = itertools.islice(itertools.cycle(FORMS), 60)
    sorts = itertools.islice(itertools.cycle(source.sample([*SORTS], len(SORTS))), 60)
    missed = [
        f"{kind} in {name}"
        for kind, name in zip(kinds, sorts, strict=True)
        if not found_in(tmp_path, name, SORTS[name](secret(kind, source)))
    ]
    assert len(missed) <= 1, missed


def cards(root: Path) -> Iterator[str]:
    """What people write about what they publish: cards and their templates, and READMEs."""
    for path in sorted(root.rglob("*.md")):
        yield path.read_text("utf-8", "replace")
    for distribution in sorted(importlib.metadata.distributions(), key=lambda d: d.name.lower()):
        text = str(distribution.metadata.get_payload() or "")
        if len(text) > 500:
            yield text


def configs(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.json")):
        if path.relative_to(root).parts[0] not in _OF_AWS and 100 < path.stat().st_size < 1 << 20:
            yield path.read_text("utf-8", "replace")


def notebook(text: str) -> str:
    """A notebook of a card: each paragraph of it is a cell, or the output of one."""
    cells = [
        {"cell_type": "code", "source": [], "outputs": [{"text": part.splitlines(True)}]}
        if number % 3 == 0
        else {"cell_type": "markdown", "source": part.splitlines(True)}
        for number, part in enumerate(text.split("\n\n"))
    ]
    return json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def test_2_of_200_ordinary_files_are_held_up_at_most(tmp_path: Path) -> None:
    source = random.Random(20261129)
    root = Path(sysconfig.get_path("purelib"))
    roots = [Path(p) for p in {str(root), *map(str, _site_folders())} if Path(p).is_dir()]
    texts = [text for place in roots for text in cards(place)]
    others = [text for place in roots for text in configs(place)]
    if len(texts) < 120 or len(others) < 80:
        pytest.skip("too few packages are installed here")
    picked = source.sample(texts, 120)
    files = [
        *((f"{n}.md", text) for n, text in enumerate(picked[:80])),
        *((f"{n}.json", text) for n, text in enumerate(source.sample(others, 80))),
        *((f"{n}.ipynb", notebook(text)) for n, text in enumerate(picked[80:])),
    ]
    assert len(files) == 200
    wrong = {name: found for name, text in files if (found := found_in(tmp_path, name, text))}
    assert len(wrong) <= 2, wrong


def _site_folders() -> Iterator[Path]:
    for distribution in importlib.metadata.distributions(name="click"):
        yield Path(str(distribution.locate_file("")))
