"""Merged tensors are bit for bit those of peft's merge in float32, cast once.

Seen equal: torch and MKL with AVX2 and on their plain paths, in 1, 2 and 4 threads; AVX-512 in CI.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from merged_models import save
from merged_tools import FUSES_EXPERTS, Merge, peft_merged, save_llama, train
from saved_models import load_all, same_bits
from uploader_core.plugin import SourceError

pytestmark = pytest.mark.bits

KINDS: dict[str, dict[str, Any]] = {
    "every linear layer": {"r": 8, "lora_alpha": 13, "target_modules": "all-linear"},
    "rsLoRA": {"r": 11, "lora_alpha": 16, "use_rslora": True, "target_modules": "all-linear"},
    "one layer": {"r": 4, "lora_alpha": 7, "target_modules": ["k_proj"], "layers_to_transform": 1},
    "patterns": {
        "r": 8,
        "lora_alpha": 16,
        "target_modules": "all-linear",
        "rank_pattern": {r"(layers|h)\.1\..*": 3},
        "alpha_pattern": {r"(layers|h)\.0\..*(k_proj|c_attn|qkv_proj|query_key_value)": 5},
    },
    "biases of LoRA": {"target_modules": ["q_proj", "v_proj"], "lora_bias": True},
    "all biases": {"target_modules": ["q_proj"], "bias": "all"},
    "biases of adapted layers": {"target_modules": ["q_proj", "k_proj"], "bias": "lora_only"},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"], "r": 5, "lora_alpha": 7},
    "head": {"target_modules": ["q_proj", "lm_head"], "r": 5, "lora_alpha": 7},
    "both ends": {"target_modules": ["embed_tokens", "lm_head"], "r": 5, "lora_alpha": 7},
    "whole modules": {
        "target_modules": ["q_proj"],
        "modules_to_save": ["lm_head", "embed_tokens", "input_layernorm"],
    },
    "whole modules by any end of their names": {
        "target_modules": ["q_proj"],
        "modules_to_save": ["tokens", "norm", "layers.1.mlp.up_proj"],
    },
    "token rows": {"target_modules": ["q_proj"], "trainable_token_indices": [5, 2, 90]},
    "rows by the end of a name": {
        "target_modules": ["q_proj"],
        "trainable_token_indices": {"tokens": [5, 2], "head": [7, 90]},
    },
    "rows of both ends": {
        "target_modules": ["q_proj"],
        "trainable_token_indices": {"embed_tokens": [5, 2], "lm_head": [7, 90, 1]},
    },
    "gaussian": {"target_modules": ["q_proj"], "init_lora_weights": "gaussian"},
    "orthogonal": {"target_modules": ["q_proj"], "init_lora_weights": "orthogonal"},
}
LLAMA = list(KINDS)
FUSED = {"target_parameters": ["experts.gate_up_proj", "experts.down_proj"]}
EXPERTS: dict[str, dict[str, Any]] = {
    "fused experts": {**FUSED, "target_modules": ["q_proj"], "r": 3, "lora_alpha": 5},
    "fused experts, patterns": {
        **FUSED,
        "target_modules": [],
        "use_rslora": True,
        "rank_pattern": {"experts.gate_up_proj": 5},
        "alpha_pattern": {"experts.down_proj": 11},
    },
    "one fused parameter": {
        "target_modules": ["q_proj"],
        "target_parameters": FUSED["target_parameters"][1:],
    },
    "router": {"target_modules": ["q_proj"], "target_parameters": ["gate.weight"]},
    "experts by old names": {
        "target_modules": ["q_proj", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"],
    },
    "everything linear": {"target_modules": "all-linear"},
}
KINDS |= EXPERTS
FUSED_KINDS = list(EXPERTS)[:3]
FUSED_EVER = ["gpt-oss"]
# What is said of layers and patterns holds for every architecture.
LINEAR = ["every linear layer", "rsLoRA", "patterns"]
ARCHITECTURES = ["mistral", "qwen2", "qwen3", "gemma3", "phi3", "gpt2", "gpt-neox", "llama-tied"]
CASES = [("llama", kind) for kind in LLAMA] + [
    (architecture, kind) for architecture in ARCHITECTURES for kind in LINEAR
]
CASES += [(architecture, kind) for architecture in ("mixtral", "qwen3-moe") for kind in EXPERTS]
CASES += [
    (architecture, kind)
    for architecture in ("gpt-oss", "granite-moe", "deepseek-v3", "square-moe")
    for kind in FUSED_KINDS
]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return functools.cache(lambda kind: save(kind, tmp_path_factory.mktemp(kind)))


def loaded(folder: Path) -> dict[str, torch.Tensor]:
    """What transformers makes of a folder: fused experts, its own names."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").state_dict()


def assert_same(merged: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> None:
    assert merged.keys() == reference.keys()
    # transformers loads some tensors, such as a router's bias, in float32 whatever the file has.
    different = [
        name
        for name, tensor in merged.items()
        if not same_bits(tensor, reference[name].to(tensor.dtype))
    ]
    assert not different


@pytest.mark.parametrize(("architecture", "kind"), CASES, ids=lambda value: value)
def test_bits_of_peft(
    architecture: str, kind: str, models: Any, tmp_path: Path, merge: Merge
) -> None:
    if architecture not in FUSED_EVER and kind in FUSED_KINDS and not FUSES_EXPERTS:
        pytest.skip("transformers 4 holds the experts of this architecture as single modules")
    base = models(architecture)
    adapter = train(base, tmp_path / "adapter", **KINDS[kind])
    made = merge(base, adapter)
    reference, _ = peft_merged(base, adapter)
    assert_same(loaded(made.path), reference)
    merged, before = load_all(made.path), load_all(base)
    assert merged.keys() == before.keys()
    changed = [name for name in before if not same_bits(merged[name], before[name])]
    proof: Any = made.metadata["proof"]
    assert proof["changed"] == len(changed) > 0
    assert proof["largest_error_in_last_place"] <= 0.51


DORA = {
    "linear": ("llama", {"target_modules": "all-linear"}),
    "linear, rsLoRA": ("qwen3", {"target_modules": "all-linear", "use_rslora": True}),
    "embedding": ("llama", {"target_modules": ["embed_tokens"]}),
    "Conv1D": ("gpt2", {"target_modules": ["c_attn", "c_fc"]}),
}


def test_last_block_of_few_rows(tmp_path: Path, merge: Merge) -> None:
    """Libraries of linear algebra sum in another order where a matrix has very few rows."""
    # 256 rows of 1,024 columns make a block, so three are left over.
    shape = {"hidden_size": 1024, "intermediate_size": 259, "num_hidden_layers": 1}
    base = save_llama(tmp_path / "base", **shape)
    adapter = train(base, tmp_path / "adapter", target_modules=["up_proj"], r=16, lora_alpha=21)
    made = load_all(merge(base, adapter, dtype="float32").path)
    reference, _ = peft_merged(base, adapter, dtype=torch.float32)
    name = "model.layers.0.mlp.up_proj.weight"
    assert same_bits(made[name], reference[name])


@pytest.mark.parametrize("kind", DORA)
def test_dora_is_closer_to_the_truth_than_peft(
    kind: str, models: Any, tmp_path: Path, merge: Merge
) -> None:
    architecture, flags = DORA[kind]
    base = models(architecture)
    adapter = train(base, tmp_path / "adapter", use_dora=True, r=6, lora_alpha=7, **flags)
    ours = load_all(merge(base, adapter, dtype="float32").path)
    theirs, _ = peft_merged(base, adapter, dtype=torch.float32)
    exact, _ = peft_merged(base, adapter, dtype=torch.float64, compute=torch.float64)
    assert ours.keys() <= exact.keys()
    errors = {"ours": 0.0, "peft": 0.0}
    for name, tensor in ours.items():
        errors["ours"] += (tensor.double() - exact[name]).abs().sum().item()
        errors["peft"] += (theirs[name].double() - exact[name]).abs().sum().item()
        torch.testing.assert_close(tensor, exact[name].float(), rtol=3e-7, atol=2e-8)
    assert errors["ours"] <= errors["peft"]
    stored = load_all(Merge(tmp_path / "stored")(base, adapter).path)
    for name, tensor in stored.items():
        apart = steps_apart(tensor, exact[name].to(tensor.dtype))
        assert apart <= 1, name


def steps_apart(left: torch.Tensor, right: torch.Tensor) -> int:
    """Largest number of representable values between two tensors of 16-bit floats."""

    def rank(tensor: torch.Tensor) -> torch.Tensor:
        bits = tensor.contiguous().view(torch.int16).int()
        return torch.where(bits < 0, -(bits & 0x7FFF), bits)

    return int((rank(left) - rank(right)).abs().max())


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(1, 30)[None]).logits


TIED = {
    "linear": ({"target_modules": ["q_proj", "up_proj"]}, True),
    "head": ({"target_modules": ["q_proj", "lm_head"]}, False),
    "embedding": ({"target_modules": ["q_proj", "embed_tokens"]}, False),
    "embedding and head": ({"target_modules": ["embed_tokens", "lm_head"]}, False),
    "both kept tied": (
        {
            "target_modules": ["q_proj", "embed_tokens"],
            "ensure_weight_tying": True,
            "dtype": torch.float32,
        },
        True,
    ),
    "whole embedding": ({"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}, False),
    "whole head": ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, False),
    "both whole": (
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        False,
    ),
    "both whole, kept tied": (
        {
            "target_modules": ["q_proj"],
            "modules_to_save": ["embed_tokens", "lm_head"],
            "ensure_weight_tying": True,
        },
        True,
    ),
    "token rows": ({"target_modules": ["q_proj"], "trainable_token_indices": [5, 2, 90]}, True),
    "rows by name": (
        {
            "target_modules": ["q_proj"],
            "trainable_token_indices": {"embed_tokens": [5, 2], "lm_head": [5, 2]},
        },
        True,
    ),
    "DoRA on the embedding": ({"target_modules": ["embed_tokens"], "use_dora": True}, False),
}


@pytest.mark.parametrize("architecture", ["llama", "llama-tied", "gemma3"])
@pytest.mark.parametrize("kind", TIED)
def test_answers_are_those_of_base_and_adapter(
    architecture: str, kind: str, models: Any, tmp_path: Path, merge: Merge
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    flags, stays_tied = TIED[kind]
    base = models(architecture)
    adapter = train(base, tmp_path / "adapter", **flags)
    made = merge(base, adapter, dtype="float32")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    expected = logits(PeftModel.from_pretrained(model, adapter))
    ours = AutoModelForCausalLM.from_pretrained(made.path)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(logits(ours), expected, atol=2e-5, rtol=2e-5)
    if architecture != "llama":
        assert ("lm_head.weight" in load_all(made.path)) is not stays_tied
        assert (
            json.loads((made.path / "config.json").read_text()).get("tie_word_embeddings", True)
            is stays_tied
        )


@pytest.mark.parametrize("architecture", ["llama", "llama-tied"])
@pytest.mark.parametrize(
    "flags",
    [
        {"target_modules": ["q_proj"]},
        {"target_modules": ["q_proj"], "trainable_token_indices": [96, 97]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    ],
    ids=["linear", "token rows", "embedding", "whole"],
)
def test_resized_vocabulary(
    architecture: str, flags: dict[str, Any], models: Any, tmp_path: Path, merge: Merge
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = models(architecture)
    adapter = train(base, tmp_path / "adapter", vocabulary=104, **flags)
    if architecture == "llama" and "embed_tokens" in flags["target_modules"]:
        # PEFT stores the new rows of an embedding that it adapts, and forgets those of the head.
        with pytest.raises(SourceError, match="104 entries at the input and 96 at the output"):
            merge(base, adapter)
        return
    made = merge(base, adapter, dtype="float32")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.resize_token_embeddings(104, mean_resizing=False)
    expected = logits(PeftModel.from_pretrained(model, adapter))
    ours = AutoModelForCausalLM.from_pretrained(made.path)
    assert ours.config.vocab_size == 104
    torch.testing.assert_close(logits(ours), expected, atol=2e-5, rtol=2e-5)
