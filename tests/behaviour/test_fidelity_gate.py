"""A release that lost too much is not published; what was made is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

GGUF = ("--plugins", "lora,gguf", "--gguf-quants", "Q2_K", "--gguf-measure-contexts", "2")


def run(uploader: Any, source: Path, *more: object) -> Any:
    return uploader("run", source, *GGUF, "--to", f"dir:{uploader.cwd / 'copy'}", "--yes",
                    "--output", uploader.cwd / "release", *more)  # fmt: skip


def words(ended: Any) -> str:
    return " ".join((ended.stdout + ended.stderr).split())


@pytest.mark.slow
def test_gate(uploader: Any, fine_tune: Path) -> None:
    refused = run(uploader, fine_tune, "--measure", "--max-kl", "1e-9")
    assert refused.returncode == 9, words(refused)
    assert "gguf Q2_K has a KL divergence of" in words(refused)
    assert "allowed are 1e-09" in words(refused)
    assert not (uploader.cwd / "copy").exists()
    made = {p: p.stat().st_mtime_ns for p in (uploader.cwd / "release").rglob("*.gguf")}
    assert made

    passed = run(uploader, fine_tune, "--measure", "--max-kl", "1e-9", "--max-kl", "gguf=50")
    assert passed.returncode == 0, words(passed)
    assert made == {p: p.stat().st_mtime_ns for p in made}  # nothing is made again
    gate = json.loads((uploader.cwd / "copy" / "fidelity_gate.json").read_text("utf-8"))
    assert [(m["kind"], m.get("max_kl_mean")) for m in gate["models"]] == [
        ("lora", None),
        ("gguf", 50.0),
    ]
    assert uploader("verify", uploader.cwd / "copy").returncode == 0


@pytest.mark.slow
def test_what_passes_goes_where_it_should(uploader: Any, fine_tune: Path, hub: Any) -> None:
    ended = uploader("run", fine_tune, *GGUF, "--to", "hf:me/tiny", "--yes", "--measure",
                     "--max-kl", "1e-9", "--output", uploader.cwd / "release")  # fmt: skip
    assert ended.returncode == 9, words(ended)
    assert hub.store.repos["me/tiny-LoRA"].resolve("main").files.keys() >= {"fidelity_gate.json"}
    assert "me/tiny-GGUF" not in hub.store.repos


def test_gate_without_a_measurement_refuses_the_plan(uploader: Any, fine_tune: Path) -> None:
    refused = run(uploader, fine_tune, "--max-kl", "0.1")
    assert refused.returncode == 9, words(refused)
    assert "nothing would measure what gguf lost" in words(refused)
    assert not (uploader.cwd / "release").exists()
