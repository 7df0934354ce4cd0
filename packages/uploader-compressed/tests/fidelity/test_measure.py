"""What is measured of a compressed folder is what transformers computes with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from compressed_models import model_class, save
from compressed_tools import compress
from compressed_words import put_tokenizer, sharpen, write_text
from saved_models import checkpoint_artifact
from uploader_compressed.fidelity import measure as measure_module
from uploader_compressed.fidelity.measure import measure
from uploader_compressed.fidelity.plan import estimate
from uploader_compressed.schemes import DATA_FREE, SCHEMES
from uploader_compressed.settings import MeasureSettings
from uploader_core.plugin import (
    Artifact,
    ArtifactFile,
    OutputFolder,
    PlanContext,
    ReleaseInfo,
    StepContext,
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All schemes of a model in float32, in which transformers computes without rounding."""
    root = tmp_path_factory.mktemp("release")
    base = put_tokenizer(sharpen(save("llama", root / "base", torch.float32)))
    return root, base, compress(root, base, None, *DATA_FREE)


def with_files(artifact: Artifact) -> Artifact:
    """As core records it."""
    files = tuple(
        ArtifactFile(name=p.name, size=p.stat().st_size, sha256="0" * 64)
        for p in sorted(artifact.path.iterdir())
    )
    return Artifact(kind=artifact.kind, path=artifact.path, files=files, metadata=artifact.metadata)


def measured(
    release: Any, scheme: str, place: Path, pieces: tuple[str, ...] = (), **settings: Any
) -> Artifact:
    root, base, made = release
    text = write_text(root / "text.txt", 400)
    return measure(
        StepContext(
            step=f"compressed:fidelity@{scheme}",
            inputs=(with_files(made[scheme]), checkpoint_artifact(base, None)),
            settings=MeasureSettings(**{"measure_text": str(text), **settings}),
            release=ReleaseInfo(name="m", source="checkpoint"),
            output=OutputFolder(place / "out", place / "scratch"),
            work=place / "work",
            produces="document",
            pieces=pieces,
        )
    )


IN_FLOAT32 = [s for s in DATA_FREE if "fp4" not in s]
"""transformers undoes FP4 to bfloat16, and computes in it, whatever it is asked for."""


@pytest.mark.parametrize("scheme", IN_FLOAT32)
def test_divergence_is_that_of_transformers(release: Any, scheme: str, tmp_path: Path) -> None:
    root, base, _ = release
    found: Any = measured(release, scheme, tmp_path).metadata["fidelity"]
    words = put_tokenizer(tmp_path)
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(words)((root / "text.txt").read_text("utf-8"))[
        "input_ids"
    ]
    texts = torch.tensor(tokens[: 64 * (len(tokens) // 64)]).view(-1, 64)
    likely = []
    for folder in (base, root / f"compressed-{scheme}"):
        model = model_class("llama").from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad():
            likely.append(model(texts).logits[:, 32:-1].double().log_softmax(-1))
    ours, theirs = likely
    expected = (ours.exp() * (ours - theirs)).sum(-1).mean().item()
    assert found["models"][0]["kl_mean"] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("scheme", DATA_FREE)
def test_few_bits_are_farther_than_many(release: Any, scheme: str, tmp_path: Path) -> None:
    found: Any = measured(release, scheme, tmp_path).metadata["fidelity"]
    (model,) = found["models"]
    assert (0.003 < model["kl_mean"] < 1) == (SCHEMES[scheme].bits == 4), model["kl_mean"]


def test_the_numbers_are_in_the_folder_of_the_document(release: Any, tmp_path: Path) -> None:
    artifact = measured(release, "w4a16", tmp_path)
    data = json.loads((tmp_path / "out" / "fidelity.json").read_text("utf-8"))
    assert artifact.metadata["fidelity"] == data
    assert data["schema"] == "uploader.fidelity/1"
    (model,) = data["models"]
    assert model["kind"] == "compressed-w4a16"
    assert 4 < model["bits_per_weight"] < 16
    assert data["text"]["name"] == "text.txt"


def test_the_numbers_are_the_same_whoever_measured_a_context(
    release: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, base, made = release
    asked = PlanContext(
        inputs=(made["w4a16"], checkpoint_artifact(base, None)),
        settings=MeasureSettings(measure_text=str(root / "text.txt")),
        release=ReleaseInfo(name="m", source="checkpoint"),
        output=tmp_path,
    )
    whole = measured(release, "w4a16", tmp_path / "whole").metadata["fidelity"]
    names = [piece.name for piece in estimate(asked).pieces]
    for pieces in (names[:3], names[3:]):
        assert measured(release, "w4a16", tmp_path, tuple(pieces)).files == ()
    monkeypatch.delattr(measure_module, "compare_with")  # nothing is left to compute
    assert measured(release, "w4a16", tmp_path).metadata["fidelity"] == whole


def test_what_a_worker_did_not_measure_is_measured_at_the_end(release: Any, tmp_path: Path) -> None:
    whole = measured(release, "w4a16", tmp_path / "whole").metadata["fidelity"]
    measured(release, "w4a16", tmp_path, ("context-00001", "context-00002"))
    first, second = sorted((tmp_path / "scratch" / "parts").iterdir())
    first.write_bytes(first.read_bytes().replace(b"0.", b"1.", 1))  # as a disk may
    second.unlink()
    assert measured(release, "w4a16", tmp_path).metadata["fidelity"] == whole


def test_what_cannot_be_measured_is_released_without_the_numbers(
    release: Any, tmp_path: Path
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("a " * 50 + " " * 1000, "utf-8")
    artifact = measured(release, "w4a16", tmp_path, measure_text=str(short))
    assert "a window has 64" in str(artifact.metadata["not_measured"])
    assert artifact.files == ()
