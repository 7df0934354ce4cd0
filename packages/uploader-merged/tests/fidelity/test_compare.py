"""What is counted is what transformers' own logits give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from merged_models import save
from merged_tools import FUSES_EXPERTS
from uploader_merged import open_checkpoint
from uploader_merged.fidelity.compare import compare

pytestmark = pytest.mark.skipif(not FUSES_EXPERTS, reason="needs transformers 5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("qwen3", tmp_path_factory.mktemp("model"))


class Rounded:
    """A checkpoint whose weights have few digits."""

    def __init__(self, folder: Path) -> None:
        self._checkpoint = open_checkpoint(folder)
        self.config, self.names = self._checkpoint.config, self._checkpoint.names
        self.stacks = self._checkpoint.stacks
        self.shape, self.read_rows = self._checkpoint.shape, self._checkpoint.read_rows

    def read(self, name: str) -> torch.Tensor:
        found = self._checkpoint.read(name).float()
        return (found * 16).round() / 16 if found.dim() > 1 and "layers" in name else found


def texts() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randint(3, 90, (1, 32)) for _ in range(2)]


def numbers(folder: Path, scratch: Path) -> dict[str, Any]:
    return compare(
        open_checkpoint(folder), Rounded(folder), texts(), scratch, lambda done, total: None
    )


def test_divergence_and_perplexity(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    found = numbers(folder, tmp_path)
    rounded, models = Rounded(folder), []
    for weights in (open_checkpoint(folder), rounded):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model.load_state_dict({n: weights.read(n).float() for n in weights.names})
        models.append(model)
    with torch.no_grad():
        ours, theirs = (
            torch.cat([m(text).logits[0, 16:-1] for text in texts()]).double().log_softmax(-1)
            for m in models
        )
    following = torch.cat([text[0, 17:] for text in texts()])
    divergence = (ours.exp() * (ours - theirs)).sum(-1)
    surprise = -theirs[torch.arange(len(following)), following]
    assert found["model"]["kl_mean"] == pytest.approx(divergence.mean().item(), rel=1e-4)
    assert found["model"]["perplexity"] == pytest.approx(surprise.mean().exp().item(), rel=1e-5)
    assert found["tokens"] == len(following)


def test_a_model_is_no_distance_from_itself(folder: Path, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(folder)
    found = compare(checkpoint, checkpoint, texts(), tmp_path, lambda done, total: None)
    assert found["model"]["kl_mean"] == 0
    assert found["model"]["top1"] == 1
    assert found["model"]["perplexity"] == found["reference"]["perplexity"]


def test_nothing_is_left_of_the_references_logits(folder: Path, tmp_path: Path) -> None:
    numbers(folder, tmp_path)
    assert list(tmp_path.iterdir()) == []
