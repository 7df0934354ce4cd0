"""Convolutions, and models of several parts whose files have other names than their modules.

Seen equal: torch and MKL with AVX2 and on their plain paths, in 1, 2 and 4 threads; AVX-512 in CI.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from merged_models import SMALL
from merged_tools import Merge
from saved_models import load_all, same_bits
from uploader_merged import open_checkpoint

pytestmark = pytest.mark.bits

VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
}


def adapted(model: Any, folder: Path, **flags: Any) -> Path:
    """Save an adapter whose every parameter is as if training had moved it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(2)
    model = get_peft_model(model, LoraConfig(r=3, lora_alpha=5, **flags))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


def peft_merged(model: Any, adapter: Path, compute: torch.dtype) -> dict[str, torch.Tensor]:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = PeftModel.from_pretrained(model.to(compute), adapter).to(compute)
        return dict(merged.merge_and_unload().state_dict())


@pytest.mark.parametrize("dora", [False, True], ids=["plain", "DoRA"])
def test_convolution(dora: bool, tmp_path: Path) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(1)
    base = tmp_path / "base"
    CLIPVisionModel(CLIPVisionConfig(**VISION)).to(torch.bfloat16).save_pretrained(base)
    adapter = adapted(
        CLIPVisionModel.from_pretrained(base),
        tmp_path / "adapter",
        target_modules=["patch_embedding", "q_proj"],
        use_dora=dora,
    )
    checkpoint = open_checkpoint(base, adapter)
    name = next(n for n in checkpoint.touched if "patch_embedding" in n)

    def reference(compute: torch.dtype) -> torch.Tensor:
        merged = peft_merged(CLIPVisionModel.from_pretrained(base), adapter, compute)
        (key,) = (k for k in merged if k.endswith(name) or name.endswith(k))
        return merged[key]

    single, exact = reference(torch.float32), reference(torch.float64)
    assert len(checkpoint.shape(name)) == 4
    # PEFT's own norms of DoRA are rounded, so its bits are not always the right ones.
    assert dora or same_bits(checkpoint.read(name), single.bfloat16())
    error = (checkpoint.read(name, "F32").double() - exact).abs().max()
    assert error <= (single.double() - exact).abs().max()


def vision_language(kind: str) -> Any:
    import transformers as t

    text = {**SMALL, "head_dim": 16}
    config: Any
    match kind:
        case "gemma3":
            config = t.Gemma3Config(
                text_config={**text, "sliding_window": 8},
                vision_config=VISION,
                mm_tokens_per_image=4,
            )
            return t.Gemma3ForConditionalGeneration(config)
        case "qwen2.5-vl":
            config = t.Qwen2_5_VLConfig(
                text_config={
                    **SMALL,
                    "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
                },
                vision_config={
                    "hidden_size": 32, "intermediate_size": 64, "depth": 2, "num_heads": 2,
                    "out_hidden_size": 64, "patch_size": 4, "window_size": 16,
                    "fullatt_block_indexes": [1],
                },
            )  # fmt: skip
            return t.Qwen2_5_VLForConditionalGeneration(config)
        case _:
            config = t.LlavaConfig(
                text_config={"model_type": "llama", **SMALL},
                vision_config={"model_type": "clip_vision_model", **VISION},
                image_token_index=90,
            )
            return t.LlavaForConditionalGeneration(config)


@pytest.mark.parametrize("kind", ["gemma3", "qwen2.5-vl", "llava"])
def test_model_of_several_parts(kind: str, tmp_path: Path, merge: Merge) -> None:
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(1)
    base = tmp_path / "base"
    vision_language(kind).to(torch.bfloat16).save_pretrained(base)

    def fresh(dtype: Any = "auto") -> Any:
        return AutoModelForImageTextToText.from_pretrained(base, dtype=dtype)

    adapter = adapted(
        fresh(), tmp_path / "adapter", target_modules=r".*(q_proj|qkv|up_proj|fc1|linear_1)"
    )
    made = merge(base, adapter)
    reference = peft_merged(fresh(torch.float32), adapter, torch.float32)
    ours = AutoModelForImageTextToText.from_pretrained(made.path, dtype="auto").state_dict()
    assert ours.keys() == reference.keys()
    for name, tensor in ours.items():
        assert same_bits(tensor, reference[name].to(tensor.dtype)), name
    assert load_all(made.path).keys() == load_all(base).keys()
    touched = open_checkpoint(base, adapter).touched
    assert any("vision" in n or "visual" in n for n in touched)
    assert any("language_model" in n or "model.layers" in n for n in touched)


def rename(adapter: Path, *pairs: tuple[str, str]) -> None:
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    for old, new in pairs:
        tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
    save_file(tensors, file)


def test_names_of_a_tower_before_transformers_5(tmp_path: Path) -> None:
    """Adapters of LLaVA and Gemma 3 from before have a module more around the tower's layers."""
    from transformers import AutoModelForImageTextToText

    base = tmp_path / "base"
    vision_language("llava").to(torch.bfloat16).save_pretrained(base)
    model = AutoModelForImageTextToText.from_pretrained(base)
    adapter = adapted(model, tmp_path / "adapter", target_modules=r".*(q_proj|fc1|linear_1)")
    touched = open_checkpoint(base, adapter).touched
    rename(
        adapter,
        ("model.model.language_model.", "model.language_model.model."),
        ("model.model.multi_modal_projector.", "model.multi_modal_projector."),
        ("model.model.vision_tower.", "model.vision_tower."),
    )
    names = load_file(adapter / "adapter_model.safetensors")
    if not any("vision_tower.vision_model" in name for name in names):
        rename(adapter, ("vision_tower.", "vision_tower.vision_model."))
    assert open_checkpoint(base, adapter).touched == touched


@pytest.mark.parametrize("on_disk", ["BertForMaskedLM", "BertModel"])
def test_encoder_in_the_files_of_a_model_with_a_head(
    on_disk: str, tmp_path: Path, merge: Merge
) -> None:
    """AutoModel knows no ``bert.`` in front, which the files of bert-base have."""
    import transformers as t

    torch.manual_seed(1)
    base, small = tmp_path / "base", {k: v for k, v in SMALL.items() if "key_value" not in k}
    getattr(t, on_disk)(t.BertConfig(**small)).to(torch.bfloat16).save_pretrained(base)
    flags: dict[str, Any] = {"target_modules": ["query"], "task_type": "FEATURE_EXTRACTION"}
    adapter = adapted(t.AutoModel.from_pretrained(base), tmp_path / "adapter", **flags)
    reference = peft_merged(t.AutoModel.from_pretrained(base), adapter, torch.float32)
    ours = t.AutoModel.from_pretrained(merge(base, adapter).path, dtype="auto").state_dict()
    queries = [name for name in ours if "query.weight" in name]
    assert queries
    assert all(same_bits(ours[n], reference[n].to(ours[n].dtype)) for n in queries)
