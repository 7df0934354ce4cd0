"""Small real models and adapters, made on the spot, and the steps run as core runs them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from json_files import edit_json
from saved_models import checkpoint_artifact, load_all
from uploader_core.plugin import Artifact as Made
from uploader_core.plugin import OutputFolder, PlanContext, ReleaseInfo, StepContext
from uploader_merged.settings import Merged16Settings
from uploader_merged.sixteen_bit.save import save

FUSES_EXPERTS = int(version("transformers").partition(".")[0]) >= 5
"""Whether transformers holds the experts of most architectures in fused parameters."""
needs_fused_experts = pytest.mark.skipif(
    not FUSES_EXPERTS, reason="transformers 4 holds experts as single modules"
)

LLAMA = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}


def save_llama(folder: Path, **changes: Any) -> Path:
    """Save a random Llama in bfloat16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shards = {"max_shard_size": changes.pop("shards", "5GB")}
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(**{**LLAMA, **changes}))
    model.to(torch.bfloat16).save_pretrained(folder, **shards)
    return folder


def save_contradicted(folder: Path) -> Path:
    """Save a model whose configuration calls two different matrices tied."""
    edit_json(save_llama(folder) / "config.json", tie_word_embeddings=True)
    return folder


def train(
    base: Path,
    folder: Path,
    vocabulary: int | None = None,
    dtype: torch.dtype | None = None,
    **flags: Any,
) -> Path:
    """Save an adapter whose every parameter is as if training had moved it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(2)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype or "auto")
    if vocabulary is not None:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # patterns and targets that only some models have
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **flags))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


def peft_merged(
    base: Path,
    adapter: Path,
    dtype: torch.dtype | None = None,
    compute: torch.dtype = torch.float32,
) -> tuple[dict[str, torch.Tensor], Any]:
    """Merge with peft in ``compute``, cast once to ``dtype``, by default the base's type."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).to(compute)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = PeftModel.from_pretrained(model, adapter).to(compute).merge_and_unload()
    if dtype is None:
        (dtype,) = {t.dtype for t in load_all(base).values() if t.is_floating_point()}
    return {name: tensor.to(dtype) for name, tensor in merged.state_dict().items()}, merged


class Merge:
    """Runs the 16-bit step as core does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps: list[str] = []

    def plan(self, base: Path, adapter: Path | None, **settings: Any) -> PlanContext:
        return PlanContext(
            inputs=(checkpoint_artifact(base, adapter),),
            settings=Merged16Settings(**settings),
            release=ReleaseInfo(name="tiny", source="adapter"),
            output=self.root / "merged-16bit",
        )

    def __call__(
        self,
        base: Path,
        adapter: Path | None,
        *,
        on_progress: Callable[..., None] = lambda *_: None,
        **settings: Any,
    ) -> Made:
        output = OutputFolder(
            self.root / "merged-16bit", self.root / "scratch", self.root / "units"
        )
        return save(
            StepContext(
                step="merged:16bit",
                inputs=(checkpoint_artifact(base, adapter),),
                settings=Merged16Settings(**settings),
                release=ReleaseInfo(name="tiny", source="adapter"),
                output=output,
                work=self.root / "scratch",
                produces="merged-16bit",
                on_progress=on_progress,
            )
        )
