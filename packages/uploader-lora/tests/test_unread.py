"""Files beside an adapter: what every trainer leaves, and what is a part of the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora_tools import plan_context, step_context
from uploader_core.plugin import Artifact, Finding, PlanContext
from uploader_lora.save import check, estimate, save
from uploader_lora.unread import unread_beside_model, unread_in

TRAINED = [
    "non_lora_state_dict.bin",
    "non_lora_trainables.bin",
    "mm_projector.bin",
    "value_head.bin",
    "trainable_params.bin",
    "embeddings.bin",
    "projector-5.pt",
    "pytorch_model.bin",
    "model.safetensors",
    "model-00001-of-00002.safetensors",
    "value_head.safetensors",
    "new_embeddings.safetensors",
    "model_head.pkl",
]
LEFT_BY_EVERY_TRAINER = [
    "training_args.bin",
    "optimizer.pt",
    "optimizer.bin",
    "scheduler.pt",
    "scheduler.bin",
    "rng_state.pth",
    "rng_state_0.pth",
    "random_states_0.pkl",
    "scaler.pt",
    "sampler.bin",
    "pytorch_model_fsdp.bin",
    "custom_checkpoint_0.pkl",
    "eval_results.pt",
    "label_encoder.pkl",
    "adapter_model.bin",
    "trainer_state.json",
    "tokenizer.model",
    "args.json",
    "training_loss.png",
    "events.out.tfevents.1",
    "adapter-Q8_0.gguf",
]


def errors(context: PlanContext) -> list[Finding]:
    return [finding for finding in check(context) if finding.level == "error"]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize("name", TRAINED)
def test_trained_part_is_seen(name: str, adapter: Path) -> None:
    touch(adapter, name)
    assert unread_in(adapter, "adapter_model") == (name,)


def test_what_every_trainer_leaves_is_nothing(adapter: Path) -> None:
    touch(adapter, *LEFT_BY_EVERY_TRAINER)
    for folder in ("ref", "checkpoint-10", "runs", "wandb", "global_step10"):
        (adapter / folder).mkdir()
        touch(adapter / folder, "model.safetensors", "non_lora_state_dict.bin")
    assert unread_in(adapter, "adapter_model") == ()
    assert not list(check(plan_context(adapter)))


def test_adapter_and_complete_model_in_one_folder_are_both_named(adapter: Path) -> None:
    touch(adapter, "model-00001-of-00001.safetensors")
    (error,) = errors(plan_context(adapter))
    assert f"{adapter} holds an adapter and a complete model" in error.what
    assert "--leave-behind model-00001-of-00001.safetensors" in (error.next or "")


def test_pickle_stops_the_plan_until_it_is_left_behind(adapter: Path) -> None:
    touch(adapter, "non_lora_state_dict.bin")
    (finding,) = errors(plan_context(adapter))
    assert "non_lora_state_dict.bin" in finding.what
    assert "--leave-behind non_lora_state_dict.bin" in str(finding.next)
    context = plan_context(adapter)
    release = replace(context.release, leave_behind=("non_lora_state_dict.bin",))
    assert not errors(replace(context, release=release))
    assert "`non_lora_state_dict.bin`" in release.without


def test_safe_part_goes_with_the_adapter(adapter: Path, tmp_path: Path) -> None:
    """Its trainer finds it there again; a whole model beside an adapter is another matter."""
    touch(adapter, "value_head.safetensors")
    (note,) = check(plan_context(adapter))
    assert note.level == "note"
    assert "value_head.safetensors" in note.what
    made = save(step_context(adapter, tmp_path / "release"))
    assert made.file("value_head.safetensors").read_bytes() == b"x"
    assert estimate(plan_context(adapter)).bytes_written == made.size
    touch(adapter, "model.safetensors")
    assert "model.safetensors" in errors(plan_context(adapter))[0].what


def test_file_that_stayed_on_the_hub_is_seen(adapter: Path) -> None:
    there = {"unfetched": ["mm_projector.bin", "training_args.bin", "image.png"]}
    context = plan_context(adapter)
    source = Artifact(kind="adapter", path=adapter, metadata=there)
    (finding,) = errors(replace(context, inputs=(source,)))
    assert finding.what.startswith("mm_projector.bin may be")


def test_same_weights_for_other_programs_beside_a_model() -> None:
    again = ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "tf_model.h5"]
    again += ["flax_model.msgpack", "rust_model.ot", "consolidated.00.pth"]
    again += ["consolidated.safetensors", "model.onnx", "model-Q4_K_M.gguf"]
    assert unread_beside_model([*again, "model.safetensors"], ["model.safetensors"]) == ()
    parts = ["model-00001-of-00002.safetensors", "sparse_linear.pt", "value_head.safetensors"]
    assert unread_beside_model([*parts, "model.safetensors"], ["model.safetensors"]) == tuple(parts)
