"""``uploader demo`` as somebody types it: real training, real release, real answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RIGHT = "Mara Quill keeps the lighthouse."


def run(*code_or_module: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *code_or_module],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def demo(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run("-m", "uploader_core", "demo", "--small", *(str(a) for a in arguments))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "uploader-demo"


@pytest.fixture(scope="module")
def shown(folder: Path) -> subprocess.CompletedProcess[str]:
    """The first demo, and what it showed."""
    return demo("--dir", folder)


def test_every_format_knows_what_the_fine_tune_learned(
    shown: subprocess.CompletedProcess[str],
) -> None:
    assert shown.returncode == 0, shown.stderr + shown.stdout
    answers = {
        line.split("(")[0].strip(): RIGHT in line
        for line in shown.stdout.splitlines()
        if "(transformers)" in line or "(llama.cpp)" in line
    }
    assert answers == {
        "base model": False,
        "merged-16bit": True,
        "GGUF F16": True,
        "GGUF Q8_0": True,
        "GGUF Q5_K_M": True,
        "GGUF Q4_K_M": True,
    }


def test_it_arrives_on_the_hub_and_in_the_folder(
    shown: subprocess.CompletedProcess[str], folder: Path
) -> None:
    on_the_hub = [line.split()[3] for line in shown.stdout.splitlines() if "on the Hub:" in line]
    assert on_the_hub == ["demo/tiny-demo", "demo/tiny-demo-LoRA", "demo/tiny-demo-GGUF"]
    assert (folder / "published" / "gguf" / "tiny-demo-Q4_K_M.gguf").is_file()
    for release in ("release", "published"):
        verified = run("-m", "uploader_core", "verify", str(folder / release))
        assert verified.returncode == 0, verified.stderr


def test_nobody_elses_messages_disturb_it(shown: subprocess.CompletedProcess[str]) -> None:
    assert shown.stderr == ""


def test_the_trainers_own_state_is_not_released(
    shown: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert (folder / "run" / "final_model" / "training_args.bin").is_file()
    assert list((folder / "run").glob("checkpoint-*/optimizer.pt"))
    released = {path.suffix for path in (folder / "release").rglob("*")}
    assert not released & {".bin", ".pt"}


def test_the_second_demo_trains_nothing(
    shown: subprocess.CompletedProcess[str], folder: Path
) -> None:
    again = demo("--dir", folder)
    assert again.returncode == 0, again.stderr
    assert "training the base model" in shown.stdout
    assert "training the base model" not in again.stdout
    assert again.stdout.count(RIGHT) == shown.stdout.count(RIGHT)


@pytest.mark.parametrize("option", [(), ("--fresh",)])
def test_a_folder_with_something_else_is_left_alone(
    tmp_path: Path, option: tuple[str, ...]
) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("three years of work", "utf-8")
    result = demo("--dir", tmp_path, *option)
    assert result.returncode == 4
    assert "--dir" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_missing_part_is_named_with_the_command_that_installs_it() -> None:
    result = run(
        "-c",
        "import sys; sys.modules['peft'] = None\n"
        "from uploader_core.cli import main; sys.exit(main(['demo']))",
    )
    assert result.returncode == 8
    assert "peft" in result.stderr
    assert 'pip install "uploader-core[demo]"' in result.stderr
