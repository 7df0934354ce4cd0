"""Every product of a block is known by the matrices of the checkpoint that it is with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from merged_models import save
from merged_tools import FUSES_EXPERTS
from uploader_core.plugin import PluginError
from uploader_merged import open_checkpoint
from uploader_merged.forward.logits import predict

pytestmark = pytest.mark.skipif(not FUSES_EXPERTS, reason="needs transformers 5")


def seen(folder: Path, change: Any = None) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Inputs by matrix, and the logits of one text."""
    inputs: dict[str, torch.Tensor] = {}
    logits = []

    def instead(names: tuple[str, ...], rows: torch.Tensor) -> torch.Tensor | None:
        inputs.update(dict.fromkeys(names, rows))
        return None if change is None else change(names, rows)

    torch.manual_seed(0)
    text = torch.randint(3, 90, (1, 40))
    predict(
        open_checkpoint(folder), [text], lambda _, found: logits.append(found),
        lambda done, total: None, instead,
    )  # fmt: skip
    return inputs, logits[0]


@pytest.mark.parametrize("kind", ["llama", "phi3", "mixtral", "qwen3-moe", "deepseek-v3"])
def test_all_matrices_of_the_layers_are_seen(kind: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save(kind, tmp_path))
    inputs, _ = seen(tmp_path)
    wanted = {n for n in checkpoint.names if len(checkpoint.shape(n)) == 2 and ".layers." in n}
    assert {n for n in wanted if ".gate.weight" not in n} <= inputs.keys()
    assert all(rows.shape[1] == checkpoint.shape(n)[1] for n, rows in inputs.items())


@pytest.mark.parametrize("kind", ["falcon", "mamba"])
def test_products_that_are_no_linear_layer_are_seen(kind: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save(kind, tmp_path))
    inputs, plain = seen(tmp_path)
    wanted = {n for n in checkpoint.names if n.endswith(("h_to_4h.weight", "_proj.weight"))}
    assert wanted
    assert wanted <= inputs.keys()
    assert all(inputs[n].shape[1] == checkpoint.shape(n)[1] for n in wanted)
    _, without = seen(tmp_path, lambda names, rows: rows * 0 if names[0] in wanted else None)
    _, same = seen(tmp_path, lambda names, rows: rows.clone())
    assert torch.equal(same, plain)
    assert not torch.allclose(without, plain)


def test_a_product_that_is_not_seen_stops_it(tmp_path: Path) -> None:
    save("mamba", tmp_path)
    needed = frozenset({"backbone.layers.0.mixer.A_log"})  # a matrix, and no product is with it
    with pytest.raises(PluginError, match=r"layers\.0\.mixer\.A_log in a way"):
        predict(
            open_checkpoint(tmp_path), [torch.ones(1, 8, dtype=torch.long)], lambda _, __: None,
            lambda done, total: None, lambda names, rows: None, needed,
        )  # fmt: skip


def test_experts_that_are_stacked_in_memory_see_their_own_tokens(tmp_path: Path) -> None:
    save("qwen3-moe", tmp_path)
    inputs, _ = seen(tmp_path)
    tokens = [
        inputs[f"model.layers.0.mlp.experts.{expert}.gate_proj.weight"].shape[0]
        for expert in range(4)
    ]
    assert sum(tokens) == 2 * 40  # each token goes to two of four


def test_an_input_can_be_replaced(tmp_path: Path) -> None:
    save("llama", tmp_path)
    _, plain = seen(tmp_path)
    _, without = seen(tmp_path, lambda names, rows: rows * 0 if "down_proj" in names[0] else None)
    _, same = seen(tmp_path, lambda names, rows: rows.clone())
    assert torch.equal(same, plain)
    assert not torch.allclose(without, plain)
