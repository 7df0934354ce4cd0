"""What transformers 5 has other words for is said in those that mlx-lm knows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compressed_models import SMALL
from mlx_tools import make
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint
from uploader_mlx.architecture.configured import for_mlx
from uploader_mlx.architecture.sanitised import sanitise
from uploader_mlx.kinds import SIXTEEN

ROPE = {
    "default": {"rope_type": "default", "rope_theta": 777.0},
    "llama3": {
        "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
    },
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
}  # fmt: skip


def _save(folder: Path, config: Any) -> Any:
    import transformers as t

    torch.manual_seed(1)
    model = t.AutoModelForCausalLM.from_config(config).float()
    model.save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("name", ROPE)
def test_positions_of_transformers_5_are_computed_with(name: str, tmp_path: Path) -> None:
    import mlx.core as mx
    import transformers as t
    from mlx_lm.utils import load_model

    config = t.LlamaConfig(**SMALL, rope_parameters=ROPE[name], tie_word_embeddings=False)
    reference = _save(tmp_path / "base", config)
    make(tmp_path, tmp_path / "base", None, SIXTEEN)
    tokens = torch.arange(2, 62).reshape(1, 60)
    model, _ = load_model(tmp_path / SIXTEEN)
    with torch.no_grad():
        expected = reference(tokens).logits.numpy()
    np.testing.assert_allclose(np.array(model(mx.array(tokens.numpy()))), expected, atol=1e-4)


def test_layers_that_see_everything_in_no_order(tmp_path: Path) -> None:
    import transformers as t

    kinds = ["full_attention", "sliding_attention", "sliding_attention"]
    small = {**SMALL, "num_hidden_layers": 3}
    _save(tmp_path, t.Gemma3TextConfig(**small, head_dim=32, layer_types=kinds))
    with pytest.raises(SourceError, match="layer_types"):
        for_mlx(open_checkpoint(tmp_path))


def test_positions_by_the_kind_of_layer_where_mlx_lm_has_one(tmp_path: Path) -> None:
    import transformers as t

    _save(tmp_path, t.LlamaConfig(**SMALL, tie_word_embeddings=False))
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    config["rope_parameters"] = {
        f"{kind}_attention": {"rope_type": "default", "rope_theta": theta}
        for kind, theta in (("full", 1e6), ("sliding", 1e4))
    }
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(SourceError, match="differ by the kind of layer"):
        sanitise(open_checkpoint(tmp_path))


def test_stops_of_the_generation_file_are_those_of_the_model(llama: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(llama, tmp_path / "base"))
    (base / "generation_config.json").write_text('{"eos_token_id": [2, 7]}', "utf-8")
    assert for_mlx(open_checkpoint(base))["eos_token_id"] == [2, 7]
