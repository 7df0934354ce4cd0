"""A trainer's folder as it really looks: what is sent equals a golden list."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

TOKEN = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNm123456"

# Weights that nothing reads stop a run until the user says that nobody misses them.
NOT_OURS = "pytorch_model.bin,old_adapter_model.safetensors"

GOLDEN = {
    "me/tiny": {
        ".gitattributes",
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_lineage.json",
        "upload_manifest.json",
    },
    "me/tiny-LoRA": {
        ".gitattributes",
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_lineage.json",
        "upload_manifest.json",
    },
    "me/tiny-GGUF": {
        ".gitattributes",
        "Modelfile",
        "README.md",
        "params",
        "tiny-Q8_0.gguf",
        "training_lineage.json",
        "upload_manifest.json",
    },
}


@pytest.fixture
def dirty(fine_tune: Path, tmp_path: Path) -> Path:
    """The adapter among everything that a trainer and its user leave beside it."""
    (fine_tune / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    for name in (
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "training_args.bin",
        "pytorch_model.bin",
    ):
        (fine_tune / name).write_bytes(pickle.dumps({"token": TOKEN}))
    texts = {
        ".env": f"HF_TOKEN={TOKEN}",
        ".netrc": f"machine huggingface.co password {TOKEN}",
        "train.py": f'login("{TOKEN}")',
        "run.sh": f"export HF_TOKEN={TOKEN}",
        "notebook.ipynb": json.dumps({"cells": [{"source": [f'login("{TOKEN}")']}]}),
        ".ipynb_checkpoints/notebook-checkpoint.ipynb": TOKEN,
        "wandb/run-1/files/config.yaml": f"key: {TOKEN}",
        "runs/events.out.tfevents.1": TOKEN,
        "checkpoint-10/adapter_model.safetensors": "not the last one",
        "checkpoint-10/trainer_state.json": TOKEN,
        "checkpoint-10/optimizer.pt": TOKEN,
        "mlruns/0/meta.yaml": TOKEN,
        ".git/config": f"https://me:{TOKEN}@huggingface.co",
        ".cache/huggingface/token": TOKEN,
        "__pycache__/train.cpython-311.pyc": TOKEN,
        "train.log": TOKEN,
        "dataset.jsonl": TOKEN,
        "notes.txt": TOKEN,
        "results.json": json.dumps({"by": "/home/alice"}),
        "adapter_model.safetensors.bak": "old",
        "old_adapter_model.safetensors": "old",
        "tokenizer.json.partial": "half",
    }
    for name, text in texts.items():
        path = fine_tune / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "id_ed25519").write_text("-----BEGIN OPENSSH " + "PRIVATE KEY-----")
    (fine_tune / "secrets").symlink_to(outside)
    (fine_tune / "keys.json").symlink_to(outside / "id_ed25519")
    return fine_tune


def test_uploaded_set_is_the_golden_list(uploader: Any, dirty: Path, hub: Any) -> None:
    result = uploader("run", dirty, "--plugins", "lora,merged-16bit,gguf", "--gguf-quants", "Q8_0",
                      "--leave-behind", NOT_OURS, "--to", "hf:me/tiny", "--yes",
                      "--output", uploader.cwd / "r")  # fmt: skip
    assert result.returncode == 0, result.stderr
    sent = {repo.id: set(repo.resolve("main").files) for repo in hub.store.repos.values()}
    assert sent == GOLDEN
    for path in (hub.store.folder / "objects").iterdir():
        content = path.read_bytes()
        assert TOKEN.encode() not in content
        assert b"PRIVATE KEY" not in content


def test_everything_in_one_repository_is_the_golden_list_too(
    uploader: Any, dirty: Path, hub: Any
) -> None:
    result = uploader("run", dirty, "--plugins", "lora", "--to", "hf:me/tiny", "--hf-layout",
                      "single", "--leave-behind", NOT_OURS, "--yes",
                      "--output", uploader.cwd / "r")  # fmt: skip
    assert result.returncode == 0, result.stderr
    inside = GOLDEN["me/tiny-LoRA"] - {".gitattributes", "upload_manifest.json"}
    outside = {".gitattributes", "README.md", "training_lineage.json", "upload_manifest.json"}
    assert set(hub.store.repos) == {"me/tiny"}
    sent = set(hub.store.repos["me/tiny"].resolve("main").files)
    assert sent == {f"lora/{name}" for name in inside} | outside


def test_companion_that_leads_out_of_the_folder_is_refused(
    uploader: Any, dirty: Path, hub: Any
) -> None:
    (dirty / "chat_template.jinja").unlink()
    (dirty / "chat_template.jinja").symlink_to("/etc/hostname")
    result = uploader("run", dirty, "--plugins", "lora", "--to", "hf:me/tiny", "--yes")
    assert result.returncode == 4
    assert "chat_template.jinja" in result.stderr
    assert hub.bytes_received == 0


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
def test_secret_in_a_text_that_would_go_up_stops_the_run(
    uploader: Any, dirty: Path, hub: Any, name: str
) -> None:
    if name.endswith(".jinja"):
        lines = ["{{ messages }}", "{#- made with", f"{TOKEN} -#}}"]
    else:
        lines = json.dumps(json.loads((dirty / name).read_text()), indent=1).split("\n")
        lines.insert(2, f' "source": "{TOKEN}",')
    (dirty / name).write_text("\n".join(lines))
    line = next(n for n, line in enumerate(lines, 1) if TOKEN in line)
    # In a GGUF the template would be, where nobody sees it.
    for formats in ("lora", "gguf"):
        result = uploader("run", dirty, "--plugins", formats, "--to", "hf:me/tiny", "--yes")
        assert result.returncode == 4
        assert f"{name}:{line} a Hugging Face token, hf_Q***" in result.stderr
        assert TOKEN not in result.stdout + result.stderr
    assert not list(uploader.cwd.rglob(".uploader"))  # nothing was begun
    assert hub.bytes_received == 0
    assert not hub.store.repos
