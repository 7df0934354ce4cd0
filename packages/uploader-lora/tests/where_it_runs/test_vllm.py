"""vLLM's own checks of an adapter, run on what is released; ``nox -s engines`` installs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from json_files import edit_json
from lora_tools import save_adapter, step_context
from uploader_lora import read_adapter
from uploader_lora.save import save
from uploader_lora.where_it_runs import Described, of_adapter, on_engine
from uploader_lora.where_it_runs.verdicts import facts

peft_helper = pytest.importorskip("vllm.lora.peft_helper", reason="nox -s engines installs vLLM")
_STRICTER = {"init_lora_weights": "lora_ga"}
"""PEFT takes part of the base away when it starts, so what was trained belongs to another base."""

LLAMA = Described(architectures=("LlamaForCausalLM",), model_type="llama")


def refusal(folder: Path, max_lora_rank: int = 16) -> str:
    """Return what vLLM says against an adapter, "" for nothing."""
    from vllm.config.lora import LoRAConfig

    try:
        helper = peft_helper.PEFTHelper.from_local_dir(str(folder), None)
        helper.validate_legal(LoRAConfig(max_lora_rank=max_lora_rank))
    except ValueError as error:
        return str(error)
    return ""


def test_what_is_released_is_taken(adapter: Path, tmp_path: Path) -> None:
    made = save(step_context(adapter, tmp_path / "release"))
    assert refusal(made.path) == ""
    found = on_engine(made.metadata, "vLLM")
    assert found is not None
    assert found.runs


@pytest.mark.parametrize(
    "flags",
    [
        {"use_rslora": True},
        {"bias": "all"},
        {"bias": "lora_only"},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["embed_tokens"]},
        {"modules_to_save": ["score"]},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "pissa_niter_16"},
        {"init_lora_weights": "olora"},
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": "eva"},
        {"init_lora_weights": "orthogonal"},
        {"init_lora_weights": "loftq"},
        {"init_lora_weights": "corda"},
        {"init_lora_weights": "lora_ga"},
        {"alpha_pattern": {"q_proj": 4}},
    ],
    ids=str,
)
def test_its_no_is_ours(adapter: Path, flags: dict[str, Any]) -> None:
    edit_json(adapter / "adapter_config.json", **flags)
    said = refusal(adapter)
    ours = {v.engine: v for v in of_adapter(read_adapter(adapter), LLAMA)}["vLLM"]
    assert ours.runs is not bool(said) or flags == _STRICTER, (said, ours)


@pytest.mark.parametrize("flag", ["use_dora", "lora_bias"])
def test_its_no_to_tensors_of_their_own_is_ours(tmp_path: Path, flag: str) -> None:
    folder = save_adapter(tmp_path / "adapter", target_modules=["q_proj"], **{flag: True})
    ours = {v.engine: v for v in of_adapter(read_adapter(folder), LLAMA)}["vLLM"]
    assert refusal(folder)
    assert ours.state == "not"


@pytest.mark.parametrize("rank", [16, 17, 300, 512])
def test_the_option_for_a_rank_is_enough(adapter: Path, rank: int) -> None:
    edit_json(adapter / "adapter_config.json", rank_pattern={"no_such_module": rank})
    ours = {v.engine: v for v in of_adapter(read_adapter(adapter), LLAMA)}["vLLM"]
    assert refusal(adapter, int(ours.needs.split()[-1]) if ours.needs else 16) == ""
    assert bool(refusal(adapter)) is bool(ours.needs)


def test_the_table_is_of_this_version() -> None:
    from importlib import metadata

    assert metadata.version("vllm") == facts()["vLLM"]["version"]
