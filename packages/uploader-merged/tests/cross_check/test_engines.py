"""Other engines, for people who want to see the same tensors from another hand.

Seen equal: torch and MKL with AVX2 and on their plain paths, in 1, 2 and 4 threads; AVX-512 in CI.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from merged_models import save
from merged_tools import Merge, needs_fused_experts, train
from saved_models import load_all, same_bits
from uploader_core.plugin import RefusedError
from uploader_merged.preflight import check

pytestmark = pytest.mark.bits

KINDS: dict[str, dict[str, Any]] = {
    "linear": {"target_modules": "all-linear", "r": 5, "lora_alpha": 7},
    "whole modules": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "experts": {
        "target_modules": ["q_proj"],
        "target_parameters": ["experts.gate_up_proj", "experts.down_proj"],
    },
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return functools.cache(lambda kind: save(kind, tmp_path_factory.mktemp(kind)))


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("llama", "linear"),
        ("llama", "whole modules"),
        ("llama-tied", "whole modules"),
        ("phi3", "linear"),
        pytest.param("qwen3-moe", "experts", marks=needs_fused_experts),
    ],
)
def test_peft_gives_the_same_files(
    architecture: str, kind: str, models: Any, tmp_path: Path
) -> None:
    base = models(architecture)
    adapter = train(base, tmp_path / "adapter", **KINDS[kind])
    ours = load_all(Merge(tmp_path / "ours")(base, adapter).path)
    made = Merge(tmp_path / "theirs")(base, adapter, engine="peft")
    theirs = load_all(made.path)
    assert made.metadata["engine"] == "peft"
    assert ours.keys() == theirs.keys()
    assert all(same_bits(tensor, theirs[name]) for name, tensor in ours.items())


def test_engine_that_loads_the_model_says_so(llama: Path, adapter: Path, merge: Merge) -> None:
    findings = list(check(merge.plan(llama, adapter, engine="peft")))
    assert any("loads the whole model" in finding.what for finding in findings)


@pytest.mark.skipif(importlib.util.find_spec("unsloth") is not None, reason="Unsloth is installed")
def test_engine_that_is_not_installed(llama: Path, adapter: Path, merge: Merge) -> None:
    with pytest.raises(RefusedError, match="needs unsloth") as caught:
        list(check(merge.plan(llama, adapter, engine="unsloth")))
    assert "uploader-merged[unsloth]" in str(caught.value.next)


def test_engine_without_an_adapter(llama: Path, merge: Merge) -> None:
    with pytest.raises(RefusedError, match="has none"):
        list(check(merge.plan(llama, None, engine="peft")))
