"""Bad input to the first-party formats: an exit code, and what to type next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from json_files import edit_json


def refuse(result: Any, code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr + result.stdout
    assert "Traceback" not in result.stderr
    for word in (*words, "next"):
        assert word in result.stderr, result.stderr


def test_base_not_found(uploader: Any, fine_tune: Path) -> None:
    edit_json(fine_tune / "adapter_config.json", base_model_name_or_path="/models/gone")
    refuse(uploader("run", fine_tune, "--plugins", "merged"), 4, "/models/gone", "--base")


def test_base_given_by_hand(uploader: Any, fine_tune: Path) -> None:
    edit_json(fine_tune / "adapter_config.json", base_model_name_or_path=None)
    base = fine_tune.parents[1] / "base"
    result = uploader("run", fine_tune, "--plugins", "merged", "--base", base)
    assert result.returncode == 0, result.stderr


def test_truncated_base(uploader: Any, fine_tune: Path) -> None:
    weights = fine_tune.parents[1] / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    refuse(uploader("run", fine_tune, "--plugins", "merged"), 4, "model.safetensors")


def test_truncated_adapter(uploader: Any, fine_tune: Path) -> None:
    weights = fine_tune / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    refuse(uploader("run", fine_tune, "--plugins", "lora"), 4, "adapter_model.safetensors")


def rewrite_adapter(folder: Path, old: str, new: str, rows: int | None = None) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "adapter_model.safetensors")
    changed = {}
    for name, tensor in tensors.items():
        cut = rows if rows is not None and old in name and "lora_B" in name else tensor.shape[0]
        changed[name.replace(old, new)] = tensor[:cut].contiguous()
    save_file(changed, folder / "adapter_model.safetensors")


def test_adapter_tensor_that_matches_nothing(uploader: Any, fine_tune: Path) -> None:
    rewrite_adapter(fine_tune, "layers.1.self_attn.q_proj", "layers.9.self_attn.q_proj")
    refuse(uploader("run", fine_tune, "--plugins", "merged"), 4, "layers.9.self_attn.q_proj")


def test_shape_that_does_not_fit(uploader: Any, fine_tune: Path) -> None:
    rewrite_adapter(fine_tune, "layers.0.mlp.up_proj", "layers.0.mlp.up_proj", rows=100)
    refuse(uploader("run", fine_tune, "--plugins", "merged"), 4, "layers.0.mlp.up_proj")


def test_unknown_adapter_flag(uploader: Any, fine_tune: Path) -> None:
    edit_json(fine_tune / "adapter_config.json", use_frobnication=True)
    refuse(uploader("run", fine_tune, "--plugins", "lora"), 4, "use_frobnication")


def test_unknown_quant_names_the_close_ones(uploader: Any, fine_tune: Path) -> None:
    result = uploader("run", fine_tune, "--plugins", "gguf", "--gguf-quants", "Q4_KM")
    refuse(result, 2, "Q4_K_M")


def test_bad_token(uploader: Any, fine_tune: Path, hub: Any) -> None:
    uploader.environment["HF_TOKEN"] = "hf_notthisone"
    result = uploader("run", fine_tune, "--plugins", "lora", "--to", "hf:me/x", "--yes")
    refuse(result, 6)
    assert "hf_notthisone" not in result.stderr + result.stdout


def test_no_token(uploader: Any, fine_tune: Path, hub: Any) -> None:
    del uploader.environment["HF_TOKEN"]
    refuse(uploader("run", fine_tune, "--plugins", "lora", "--to", "hf:me/x"), 6)


def test_existing_public_repository_stays_untouched(
    uploader: Any, fine_tune: Path, hub: Any
) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    api.create_repo("me/x-LoRA", private=False)
    before = api.list_repo_files("me/x-LoRA")
    result = uploader("run", fine_tune, "--plugins", "lora", "--to", "hf:me/x-LoRA", "--yes")
    refuse(result, 4, "public", "--hf-public")
    assert api.list_repo_files("me/x-LoRA") == before


def test_file_size_limit_stops_cleanly_and_resumes(uploader: Any, fine_tune: Path) -> None:
    import resource
    import subprocess

    release = uploader.cwd / "r"
    arguments = uploader.argv("run", fine_tune, "--plugins", "merged", "--output", release)

    def small_files() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    result = subprocess.run(
        arguments, capture_output=True, text=True, preexec_fn=small_files, cwd=uploader.cwd
    )
    refuse(result, 4, "a file may not become larger here")
    assert not (release / "merged-16bit" / "model.safetensors").exists()
    assert uploader("run", fine_tune, "--plugins", "merged", "--output", release).returncode == 0


@pytest.mark.parametrize("command", ["run", "plan"])
def test_json_report_is_json(uploader: Any, fine_tune: Path, command: str) -> None:
    result = uploader(command, fine_tune, "--plugins", "lora", "--json")
    assert json.loads(result.stdout)["schema"].startswith("uploader.")
