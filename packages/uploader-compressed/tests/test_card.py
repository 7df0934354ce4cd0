"""What a card says of a compressed model."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_compressed.card import commands, section
from uploader_core.plugin import (
    Artifact,
    Json,
    OutputFolder,
    ReleaseInfo,
    StepContext,
    UseContext,
)
from uploader_lora.task import Task
from uploader_lora.where_it_runs import Described, of_model, recorded

RELEASE = ReleaseInfo(name="tiny", source="adapter")


def artifact(folder: Path, architecture: str, *kept: str, names: tuple[str, ...] = ()) -> Artifact:
    task = Task(tag="text-generation", auto_class="AutoModelForCausalLM")
    described = Described(architectures=(architecture,), names=names)
    where = recorded(of_model("compressed", described), task)
    named: list[Json] = [*kept]
    metadata = {**task.to_json(), **where, "scheme": "w4a16", "kept_in_16_bit": named}
    return Artifact(kind="compressed-w4a16", path=folder, metadata=metadata)


def card(folder: Path, made: Artifact) -> str:
    output = OutputFolder(folder, folder)
    return section(
        StepContext(
            step="hf:card",
            inputs=(made,),
            settings=None,
            release=RELEASE,
            output=output,
            work=folder,
        )
    )


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (("lm_head",), "the output head are in 16 bits. The"),
        (("lm_head", "model.router"), "are in 16 bits, and so is `model.router`. The"),
        (("lm_head", "a", "b"), "are in 16 bits, and so are 2 other layers (`a`, ...). The"),
    ],
)
def test_what_stays_in_16_bits_is_named(tmp_path: Path, kept: tuple[str, ...], said: str) -> None:
    assert said in card(tmp_path, artifact(tmp_path, "LlamaForCausalLM", *kept))


@pytest.mark.parametrize(("architecture", "served"), [("LlamaForCausalLM", True), ("New", False)])
def test_vllm_is_named_where_it_has_code_for_the_model(
    tmp_path: Path, architecture: str, served: bool
) -> None:
    made = artifact(tmp_path, architecture)
    assert ("vllm serve" in card(tmp_path, made)) is served
    assert bool(commands(UseContext(artifact=made, release=RELEASE))) is served


def test_no_code_for_transformers_where_it_does_not_load_it(tmp_path: Path) -> None:
    names = ("model.layers.0.block_sparse_moe.experts.0.gate_proj.weight",)
    text = card(tmp_path, artifact(tmp_path, "GraniteMoeForCausalLM", names=names))
    assert "from_pretrained" not in text
    assert "| transformers | no | it holds the experts of a layer in one parameter" in text
    assert "vllm serve" in text
