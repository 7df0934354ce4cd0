"""The numbers are the same whichever worker measured a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gguf_llamas import sharp_llama
from gguf_oracles import context, convert
from uploader_core.plugin import (
    Artifact,
    ArtifactFile,
    OutputFolder,
    PlanContext,
    ReleaseInfo,
    StepContext,
    hash_file,
)
from uploader_gguf.fidelity import measure, plan, unquantised
from uploader_gguf.settings import MeasureSettings

KINDS = ("Q8_0", "Q4_K_M", "Q2_K")
SETTINGS = MeasureSettings(measure_contexts=2)
SPEEDS = ("prompt_tokens_per_second", "generation_tokens_per_second")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sharp_llama(tmp_path_factory.mktemp("models") / "Sharp", positions=256)


@pytest.fixture(scope="module")
def subject(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Three files, as core records them."""
    files = convert(model, tmp_path_factory.mktemp("files"), KINDS)
    described = []
    for path in files.values():
        size, digest = hash_file(path)
        described.append(ArtifactFile(name=path.name, size=size, sha256=digest))
    quants = {path.name: kind for kind, path in files.items()}
    folder = next(iter(files.values())).parent
    return Artifact(kind="gguf", path=folder, files=tuple(described), metadata={"quants": quants})


def given_to(
    subject: Artifact, model: Path, place: Path, pieces: tuple[str, ...] = ()
) -> StepContext:
    """Return what core gives to a worker; one without pieces makes all that is left."""
    work = place / f"work-{len([*place.iterdir()])}"
    work.mkdir()
    return StepContext(
        step="gguf:fidelity@gguf",
        inputs=(subject, context(model, place).inputs[0]),
        settings=SETTINGS,
        release=ReleaseInfo(name="m", source="checkpoint"),
        output=OutputFolder(place / "out", work, place / "units"),
        work=work,
        produces="document",
        pieces=pieces,
    )


Worker = Callable[..., StepContext]


@pytest.fixture
def worker(model: Path, subject: Artifact, tmp_path: Path) -> Worker:
    return lambda *pieces: given_to(subject, model, tmp_path, pieces)


@pytest.fixture(scope="module")
def whole(model: Path, subject: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one worker says that measured everything."""
    place = tmp_path_factory.mktemp("whole")
    return without_speeds(measure.measure(given_to(subject, model, place)))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """How many contexts of each model every child process found measured."""
    seen: list[list[int]] = []
    run = measure.run_counting

    def watched(module: str, request: Any, *more: Any, **options: Any) -> Any:
        seen.append(request["known"])
        return run(module, request, *more, **options)

    monkeypatch.setattr(measure, "run_counting", watched)
    return seen


def without_speeds(artifact: Artifact) -> Any:
    data: Any = artifact.metadata["fidelity"]
    every = [data["reference"], *data["models"]]
    assert all(model[speed] > 0 for model in every for speed in SPEEDS)
    return data | {
        "reference": {k: v for k, v in data["reference"].items() if k not in SPEEDS},
        "models": [{k: v for k, v in m.items() if k not in SPEEDS} for m in data["models"]],
    }


def names_of(subject: Artifact) -> list[str]:
    return sorted(file.name for file in subject.files)


def test_numbers_are_those_of_one_worker(
    whole: Any, worker: Worker, subject: Artifact, computed: list[list[int]]
) -> None:
    first, *others = names_of(subject)
    assert measure.measure(worker(first)).files == ()
    assert measure.measure(worker(*others)).files == ()
    assert without_speeds(measure.measure(worker())) == whole
    assert computed == [[0], [0, 0], [2, 2, 2]]


def test_the_reference_is_written_once(
    worker: Worker, subject: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = names_of(subject)
    measure.measure(worker(first))
    monkeypatch.delattr(unquantised, "write")
    made = measure.measure(worker(second))
    assert "not_measured" not in made.metadata


def test_contexts_that_a_killed_worker_finished_are_kept(
    worker: Worker, subject: Artifact, computed: list[list[int]]
) -> None:
    name = names_of(subject)[0]

    class Killed(BaseException):
        pass

    def kill(what: str, done: int, *_: Any) -> None:
        if what == "measuring" and done == 2:  # of the reference and of the file, one context each
            raise Killed

    with pytest.raises(Killed):
        measure.measure(replace(worker(name), on_progress=kill))
    measure.measure(worker(name))
    measure.measure(worker(name))
    assert computed == [[0], [1], [2]]


def test_what_is_not_there_or_changed_is_measured_at_the_end(
    whole: Any, worker: Worker, subject: Artifact, computed: list[list[int]], tmp_path: Path
) -> None:
    first, second, _ = names_of(subject)
    measure.measure(worker(first, second))
    parts = tmp_path / "units" / "parts"
    changed = parts / f"context-00001.{first}"
    changed.write_bytes(changed.read_bytes().replace(b"0.", b"1.", 1))  # as a disk may
    (parts / f"context-00002.{second}").unlink()
    (parts / "reference" / "reference.gguf").write_bytes(b"GGUF")
    computed.clear()
    assert without_speeds(measure.measure(worker())) == whole
    assert computed == [[0, 1, 0]]


def test_files_are_the_pieces(model: Path, tmp_path: Path) -> None:
    planned = PlanContext(
        inputs=(Artifact(kind="gguf", path=tmp_path), context(model, tmp_path).inputs[0]),
        settings=SETTINGS,
        release=ReleaseInfo(name="m", source="checkpoint"),
        output=tmp_path / "out",
        names={
            "gguf": (
                ("m-Q8_0-00001-of-00002.gguf", 9),
                ("m-Q8_0-00002-of-00002.gguf", 9),
                ("m-Q2_K.gguf", 5),
                ("m-imatrix.gguf", 1),
                ("mmproj-m-F16.gguf", 2),
            )
        },
    )
    pieces = plan.estimate(planned).pieces
    assert [piece.name for piece in pieces] == ["m-Q8_0-00001-of-00002.gguf", "m-Q2_K.gguf"]
