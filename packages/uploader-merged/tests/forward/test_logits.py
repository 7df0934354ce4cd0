"""A checkpoint computed block by block says what transformers says with all of it in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from merged_models import save
from merged_tools import FUSES_EXPERTS, peft_merged, save_llama, train
from uploader_core.plugin import PluginError, RefusedError
from uploader_merged import open_checkpoint
from uploader_merged.forward.empty_model import build_empty
from uploader_merged.forward.filling import Filler
from uploader_merged.forward.in_step import run_in_step
from uploader_merged.forward.logits import predict
from uploader_merged.forward.outside import fill_when_used

KINDS = (
    "llama", "llama-tied", "mistral", "qwen2", "qwen3", "gemma3", "phi3", "gpt2", "gpt-neox",
    "mixtral", "qwen3-moe", "gpt-oss", "granite-moe", "deepseek-v3",
    "ctrl", "llama4",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not FUSES_EXPERTS, reason="needs transformers 5")


def windows(count: int = 3, size: int = 20) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randint(3, 90, (1, size)) for _ in range(count)]


def predicted(checkpoint: Any, texts: list[torch.Tensor]) -> list[torch.Tensor]:
    found: dict[int, torch.Tensor] = {}
    predict(checkpoint, texts, found.__setitem__, lambda done, total: None)
    return [found[number] for number in range(len(texts))]


def by_transformers(folder: Path, texts: list[torch.Tensor]) -> list[torch.Tensor]:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return [model(text).logits[0, -(text.shape[1] // 2) :] for text in texts]


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    folder = save(kind, tmp_path)
    found = predicted(open_checkpoint(folder), windows())
    expected = by_transformers(folder, windows())
    assert all(
        torch.allclose(f, e, rtol=1e-5, atol=1e-6) for f, e in zip(found, expected, strict=True)
    )


def test_base_and_adapter_are_computed_with_as_one(tmp_path: Path) -> None:
    base = save_llama(tmp_path / "base")
    adapter = train(base, tmp_path / "adapter", target_modules=["q_proj", "down_proj"])
    _, model = peft_merged(base, adapter, torch.float32)
    with torch.no_grad():
        expected = model(windows(1)[0]).logits[0, -10:]
    found = predicted(open_checkpoint(base, adapter).widened(), windows(1))[0]
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_no_block_keeps_its_weights_while_another_one_has_them(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save("qwen3-moe", tmp_path))
    empty = build_empty(checkpoint.config)
    filler = Filler(empty.model, checkpoint.names)
    fill_when_used(empty, filler, checkpoint, windows())
    filled = []

    def at_block(number: int, calls: Any) -> Any:
        filler.fill(empty.prefixes[number], checkpoint.read)
        filled.append([not next(block.parameters()).is_meta for block in empty.blocks])
        outputs = [call.through(empty.blocks[number]) for call in calls]
        filler.empty(empty.prefixes[number])
        return outputs

    run_in_step(empty, windows(), at_block)
    assert filled == [[True, False], [False, True]]


def test_of_the_embedding_only_the_rows_of_the_text_are_read(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save("llama", tmp_path))
    rows = set()

    class Watched:
        config, names, shape = checkpoint.config, checkpoint.names, checkpoint.shape
        stacks = checkpoint.stacks

        def read(self, name: str) -> torch.Tensor:
            assert "embed" not in name
            return checkpoint.read(name)

        def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
            rows.update(range(start, stop))
            return checkpoint.read_rows(name, start, stop)

    predicted(Watched(), windows())
    assert rows == {token for text in windows() for token in text.flatten().tolist()}


def test_a_token_without_a_row_is_refused(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save("llama", tmp_path))
    with pytest.raises(RefusedError, match="makes token 200 .* 96 rows"):
        predicted(checkpoint, [torch.tensor([[3, 200, 4, 5]])])


def test_a_checkpoint_that_lacks_a_weight_is_no_model(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save("llama", tmp_path))

    class Torn:
        config, shape, stacks = checkpoint.config, checkpoint.shape, checkpoint.stacks
        read, read_rows = checkpoint.read, checkpoint.read_rows
        names = tuple(n for n in checkpoint.names if "layers.1.mlp.up_proj" not in n)

    with pytest.raises(PluginError, match=r"layers\.1\.mlp\.up_proj"):
        predicted(Torn(), windows())


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"model_type": "nowhere"}, "does not know the model type nowhere"),
        ({"model_type": "t5"}, "encoder-decoder"),
        ({"model_type": "llama", "auto_map": {"AutoModel": "x.Y"}}, "auto_map"),
        ({"model_type": "bert", "architectures": ["BertModel"]}, "predicts no next token"),
    ],
)
def test_what_cannot_be_computed_with_is_refused(config: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        build_empty(config)
