"""A model with eyes: the language model and its mmproj, both as llama.cpp's script writes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gguf_llamas import sentencepiece_tokenizer
from gguf_oracles import Job, context, run_script, same
from uploader_core.plugin import IntegrityError
from uploader_gguf import card, preflight, step
from uploader_gguf.llama_cpp import smoke

pytestmark = pytest.mark.slow


def build(place: Path, *, as_on_the_hub: bool) -> Path:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    folder = place / "Tiny-Eyes"
    folder.mkdir()
    text = {
        "vocab_size": sentencepiece_tokenizer(folder, prefix=False),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
    }
    vision = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 112,
        "patch_size": 14,
        "vision_use_head": False,
    }
    torch.manual_seed(0)
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=16)
    Gemma3ForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {"size": {"height": 112, "width": 112}, "image_mean": [0.5] * 3}
            | {"image_std": [0.5] * 3, "image_seq_length": 16}
        ),
        "utf-8",
    )
    if as_on_the_hub:
        # transformers 5 leaves a part of the names away that published models have.
        path = folder / "model.safetensors"
        old, new = "vision_tower.", "vision_tower.vision_model."
        tensors = {
            name if new in name else name.replace(old, new): tensor
            for name, tensor in load_file(path).items()
        }
        save_file(tensors, path, metadata={"format": "pt"})
    return folder


def test_both_parts_equal_the_unmodified_script(tmp_path: Path) -> None:
    folder = build(tmp_path, as_on_the_hub=True)
    artifact = step.convert(context(folder, tmp_path, quants=("F16", "Q8_0")))
    assert [file.name for file in artifact.files] == [
        "Tiny-Eyes-F16.gguf",
        "Tiny-Eyes-Q8_0.gguf",
        "mmproj-Tiny-Eyes-F16.gguf",
    ]
    text = Job(folder=folder, target=tmp_path / "text.gguf", kind="F16")
    eyes = Job(folder=folder, target=tmp_path / "eyes.gguf", kind="F16", flags=("--mmproj",))
    run_script([text, eyes])
    same(artifact.file("Tiny-Eyes-F16.gguf"), text.target)
    same(artifact.file("mmproj-Tiny-Eyes-F16.gguf"), eyes.target)
    assert "llama-mtmd-cli" in card.render(artifact)


@pytest.mark.parametrize("kind", ["BF16", "Q8_0", "F32"])
def test_the_encoder_of_every_type_equals_the_unmodified_script(kind: str, tmp_path: Path) -> None:
    folder = build(tmp_path, as_on_the_hub=True)
    artifact = step.convert(context(folder, tmp_path, quants=("Q8_0",), mmproj=kind))
    eyes = Job(folder=folder, target=tmp_path / "eyes.gguf", kind=kind, flags=("--mmproj",))
    run_script([eyes])
    assert same(artifact.file(f"mmproj-Tiny-Eyes-{kind}.gguf"), eyes.target) > 20


def test_the_names_of_transformers_5_work_as_well(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir(), (tmp_path / "new").mkdir()
    made = []
    for place, hub in (("hub", True), ("new", False)):
        folder = build(tmp_path / place, as_on_the_hub=hub)
        artifact = step.convert(context(folder, tmp_path / place, quants=("F16",)))
        made.append(artifact.file("mmproj-Tiny-Eyes-F16.gguf"))
    same(*made)


def test_the_language_model_alone_can_be_asked_for(tmp_path: Path) -> None:
    folder = build(tmp_path, as_on_the_hub=True)
    artifact = step.convert(context(folder, tmp_path, quants=("Q8_0",), mmproj="none"))
    assert [file.name for file in artifact.files] == ["Tiny-Eyes-Q8_0.gguf"]


def test_the_estimate_knows_both(tmp_path: Path) -> None:
    from gguf_checks import plan_context

    folder = build(tmp_path, as_on_the_hub=True)
    artifact = step.convert(context(folder, tmp_path, quants=("F16",)))
    real = {file.name: file.size for file in artifact.files}
    said = dict(preflight.estimate(plan_context(folder, quants=("F16",))).files)
    assert said == {name: pytest.approx(size, rel=0.03) for name, size in real.items()}


def test_the_projector_is_a_piece(tmp_path: Path) -> None:
    from gguf_checks import plan_context

    folder = build(tmp_path, as_on_the_hub=True)
    given = context(folder, tmp_path, quants=("Q8_0",), smoke_test=False)
    *_, last = preflight.estimate(plan_context(folder)).pieces
    artifact = step.convert(replace(given, pieces=(last.name,), work=tmp_path / "piece"))
    assert [file.name for file in artifact.files] == ["mmproj-Tiny-Eyes-F16.gguf"]


def test_a_broken_projector_does_not_pass(tmp_path: Path) -> None:
    folder = build(tmp_path, as_on_the_hub=True)
    artifact = step.convert(context(folder, tmp_path, quants=("Q8_0",)))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(artifact.file("mmproj-Tiny-Eyes-F16.gguf").read_bytes()[:-50_000])
    with pytest.raises(IntegrityError):
        smoke.check(artifact.file("Tiny-Eyes-Q8_0.gguf"), projector=broken)
