"""What is measured of a folder is what mlx-lm computes with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from compressed_models import model_class, save
from compressed_words import put_tokenizer, sharpen, write_text
from mlx_tools import RELEASE, make
from saved_models import checkpoint_artifact
from uploader_core.plugin import Artifact, ArtifactFile, OutputFolder, StepContext
from uploader_mlx.fidelity.measure import measure
from uploader_mlx.kinds import SIXTEEN
from uploader_mlx.settings import MeasureSettings

KINDS = (SIXTEEN, "8bit", "4bit", "2bit")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Numbers by kind, of a model in float32: (root, base, numbers)."""
    root = tmp_path_factory.mktemp("measured")
    base = put_tokenizer(sharpen(save("llama", root / "base", torch.float32)))
    text = write_text(root / "text.txt", 400)
    found = {}
    for kind, artifact in make(root, base, None, *KINDS).items():
        files = tuple(
            ArtifactFile(name=p.name, size=p.stat().st_size, sha256="0" * 64)
            for p in sorted(artifact.path.iterdir())
        )
        subject = Artifact(
            kind=artifact.kind, path=artifact.path, files=files, metadata=artifact.metadata
        )
        place = root / "measured" / kind
        found[kind] = measure(
            StepContext(
                step="mlx:mlx-fidelity",
                inputs=(subject, checkpoint_artifact(base, None)),
                settings=MeasureSettings(measure_text=str(text)),
                release=RELEASE,
                output=OutputFolder(place / "out", place / "scratch"),
                work=place / "work",
                produces="document",
            )
        ).metadata["fidelity"]
    return root, base, found


def test_16_bits_of_float32_are_the_reference(measured: Any) -> None:
    numbers = measured[2][SIXTEEN]["models"][0]
    assert numbers["kl_mean"] < 1e-6
    assert numbers["top1"] > 0.99
    assert numbers["bits_per_weight"] == pytest.approx(32, rel=0.05)


def test_few_bits_are_farther_than_many(measured: Any) -> None:
    far = [measured[2][kind]["models"][0]["kl_mean"] for kind in KINDS]
    assert far == sorted(far)


def test_divergence_is_that_of_mlx_lm(measured: Any) -> None:
    import mlx.core as mx
    from mlx_lm.utils import load_model
    from transformers import AutoTokenizer

    root, base, found = measured
    words = (root / "text.txt").read_text("utf-8")
    tokens = AutoTokenizer.from_pretrained(base)(words)["input_ids"]
    texts = torch.tensor(tokens[: 64 * (len(tokens) // 64)]).view(-1, 64)
    model = model_class("llama").from_pretrained(base, dtype=torch.float32)
    with torch.no_grad():
        ours = model(texts).logits[:, 32:-1].double().log_softmax(-1)
    theirs, _ = load_model(root / "4bit")
    logits = torch.from_numpy(np.array(theirs(mx.array(texts.numpy()))))
    likely = logits[:, 32:-1].double().log_softmax(-1)
    expected = (ours.exp() * (ours - likely)).sum(-1).mean().item()
    assert found["4bit"]["models"][0]["kl_mean"] == pytest.approx(expected, rel=0.02)
