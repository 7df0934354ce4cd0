"""Files are the same whatever of them other workers made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_checks import plan_context
from gguf_llamas import fine_tune
from gguf_oracles import context, save_imatrix
from uploader_core.plugin import Artifact, IntegrityError, Size, StepContext
from uploader_gguf import preflight, step
from uploader_gguf.writing import parts, writer

KINDS = ("F16", "Q8_0", "Q4_K_M")


def in_groups(folder: Path, given: StepContext, size: int) -> Iterator[StepContext]:
    """Yield what core hands to the workers of a step that is divided, each with some pieces."""
    names = [piece.name for piece in preflight.estimate(plan_context(folder)).pieces]
    assert len(names) == 8
    for n in range(0, len(names), size):
        work = given.work / f"piece-{n}"
        yield replace(given, pieces=tuple(names[n : n + size]), work=work)


def contents(artifact: Artifact) -> dict[str, bytes]:
    return {file.name: artifact.file(file.name).read_bytes() for file in artifact.files}


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the tensors whose values were stored by this process."""
    names: set[str] = set()
    store = writer._store

    def watched(encoders: Any, name: str, *more: Any) -> Any:
        names.add(name)
        return store(encoders, name, *more)

    monkeypatch.setattr(writer, "_store", watched)
    return names


@pytest.mark.parametrize(
    ("model", "size", "settings"),
    [
        ("llama_folder", 1, {}),
        ("llama_folder", 3, {"split_size": Size(200_000)}),
        ("llama_folder", 4, {"imatrix": "blk.1.ffn_up.weight"}),
        ("odd_folder", 2, {"tensor_types": ("ffn_down=Q5_0",)}),
    ],
)
def test_bytes_are_those_of_the_undivided_step(
    model: str,
    size: int,
    settings: dict[str, Any],
    stored: set[str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder: Path = request.getfixturevalue(model)
    if "imatrix" in settings:
        weights = {settings["imatrix"]: np.linspace(0.1, 2, 256, dtype=np.float32)}
        settings = {"imatrix": save_imatrix(tmp_path / "imatrix.gguf", weights)}
    adapter, _ = fine_tune(folder, tmp_path)
    asked = {"adapter": adapter, "quants": KINDS, "smoke_test": False, **settings}
    whole = step.convert(context(folder, tmp_path / "whole", **asked))
    given = context(folder, tmp_path / "divided", **asked)
    for part in in_groups(folder, given, size):
        stored.clear()
        assert step.convert(part).files == ()
        assert stored
    stored.clear()
    together = step.convert(given)
    assert stored == set()
    assert contents(together) == contents(whole)
    assert together.metadata == whole.metadata


def test_only_the_piece_that_is_missing_is_made_again(
    llama_folder: Path, stored: set[str], tmp_path: Path
) -> None:
    given = context(llama_folder, tmp_path, quants=KINDS, smoke_test=False)
    first, second = in_groups(llama_folder, given, 4)
    step.convert(first)
    of_first = set(stored)
    for n in range(2):
        step.convert(replace(first, work=tmp_path / f"again-{n}"))
    stored.clear()
    step.convert(second)
    assert not stored & of_first


def test_what_no_worker_made_is_made_at_the_end(
    llama_folder: Path, stored: set[str], tmp_path: Path
) -> None:
    asked = {"quants": KINDS, "smoke_test": False}
    whole = step.convert(context(llama_folder, tmp_path / "whole", **asked))
    given = context(llama_folder, tmp_path / "divided", **asked)
    first, _ = in_groups(llama_folder, given, 4)
    stored.clear()
    step.convert(first)
    of_first = set(stored)
    stored.clear()
    assert contents(step.convert(given)) == contents(whole)
    assert stored
    assert not stored & of_first


def test_a_part_that_the_disk_changed_is_refused_and_made_again(
    llama_folder: Path, tmp_path: Path
) -> None:
    given = context(llama_folder, tmp_path, quants=("Q8_0",), smoke_test=False)
    (only,) = in_groups(llama_folder, given, 8)
    step.convert(only)
    part = max((tmp_path / "units" / "parts").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(part.read_bytes())
    data[1000] ^= 1
    part.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"Q8_0\.gguf is not what a worker wrote"):
        step.convert(given)
    assert not part.exists()
    step.convert(replace(given, work=tmp_path / "again"))


def test_parts_make_room_for_the_files_where_the_disk_has_none(
    llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_RESERVE", 1 << 60)  # more than any disk has free
    given = context(llama_folder, tmp_path, quants=KINDS, smoke_test=False)
    (only,) = in_groups(llama_folder, given, 8)
    step.convert(only)
    assert [*(tmp_path / "units" / "parts").iterdir()]
    step.convert(given)
    assert not [*(tmp_path / "units" / "parts").iterdir()]


def test_an_importance_matrix_that_is_computed_is_computed_on_the_whole_model(
    llama_folder: Path,
) -> None:
    assert preflight.estimate(plan_context(llama_folder, calibration="builtin")).pieces == ()
