"""The old script's command line, in today's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_core.errors import UsageError
from uploader_trainers.legacy import is_old, translate


def new_form(line: str) -> str:
    return " ".join(translate(line.split()).arguments)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("out/final_model me/m", "run out/final_model --plugins merged-16bit --to hf:me/m"),
        ("m me/m --save-method merged_4bit", "run m --plugins merged-4bit --to hf:me/m"),
        ("m me/m --save-method=lora", "run m --plugins lora --to hf:me/m"),
        (
            "m me/m --create-gguf",
            "run m --plugins merged-16bit,gguf --gguf-quants Q4_K_M,Q5_K_M,Q8_0 --to hf:me/m",
        ),
        (
            "m me/m --create-gguf --gguf-quantizations q4_k_m Q8_0 --skip-standard",
            "run m --plugins gguf --gguf-quants Q4_K_M,Q8_0 --to hf:me/m",
        ),
        ("--save-method lora --model-size 7b m me/m", "run m --plugins lora --to hf:me/m"),
    ],
)
def test_old_line_becomes_a_run(old: str, new: str) -> None:
    assert new_form(old) == f"{new} --hf-layout single --yes"


def test_gguf_of_a_repository_goes_to_one_beside_it() -> None:
    assert new_form("--gguf-only me/m --gguf-quantizations Q8_0") == (
        "run me/m --plugins gguf --gguf-quants Q8_0 --to hf:me/m-GGUF --yes"
    )


def test_output_dir_is_the_folder_around_the_release() -> None:
    assert "--output releases/m " in new_form("x me/m --output-dir releases")


def test_unsaved_release_has_the_same_place_in_the_cache_every_time() -> None:
    line = ["x", "me/m", "--no-save-local"]
    first, again = translate(line), translate(line)
    assert first.throwaway == again.throwaway != translate(["y", *line[1:]]).throwaway
    assert first.throwaway is not None
    assert str(first.throwaway) in first.arguments


def test_silence_about_visibility_is_private_and_said() -> None:
    assert "private; --hf-public" in translate(["x", "me/m"]).note
    assert "private" not in translate(["x", "me/m", "--private"]).note


def test_token_is_in_no_command_line() -> None:
    translated = translate(["x", "me/m", "--token", "hf_secret"])
    assert translated.token == "hf_secret"
    assert "hf_secret" not in translated.note


def test_lineage_of_the_model_is_taken_as_it_is(tmp_path: Path) -> None:
    lineage = tmp_path / "training_lineage.json"
    lineage.write_text("{}")
    assert translate([str(tmp_path), "me/m", "--training-lineage", str(lineage)])


def test_lineage_from_elsewhere_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    model, lineage = tmp_path / "final_model", tmp_path / "other.json"
    model.mkdir()
    lineage.write_text("{}")
    with pytest.raises(UsageError) as caught:
        translate([str(model), "me/m", "--training-lineage", str(lineage)])
    assert caught.value.next == f"cp {lineage} {model / 'training_lineage.json'}"


@pytest.mark.parametrize(
    "line",
    [
        "x --save-method lora",
        "x me/m --skip-standard",
        "x me/m --save-method merged_8bit",
        "x me/m --save-method lora --jobs 2",
        "x me/m --create-gguf --gguf-quantizations",
    ],
)
def test_what_the_old_script_would_not_do_is_refused(line: str) -> None:
    assert is_old(line.split())
    with pytest.raises(UsageError):
        translate(line.split())


@pytest.mark.parametrize(
    "line",
    ["run x --to hf:me/m", "x --to hf:me/m", "x", "plan x", "--version", "", "x --plugins gguf"],
)
def test_lines_of_today_are_not_old(line: str) -> None:
    assert not is_old(line.split())
