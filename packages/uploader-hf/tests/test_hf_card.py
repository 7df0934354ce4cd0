"""The card: metadata that the Hub takes, nothing invented, no local path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import RELEASE

from uploader_core.plugin import Artifact, ReleaseInfo
from uploader_hf.card import render


def card(kind: str, release: ReleaseInfo = RELEASE, **sections: str) -> Any:
    from huggingface_hub import ModelCard

    artifact = Artifact(kind=kind, path=Path("/home/alice/release") / kind)
    return ModelCard(render(artifact, release, list(sections.items())))


@pytest.mark.parametrize(
    ("kind", "relation", "library"),
    [
        ("lora", "adapter", "peft"),
        ("merged-16bit", "finetune", "transformers"),
        ("gguf", "quantized", "gguf"),
    ],
)
def test_metadata(kind: str, relation: str, library: str) -> None:
    data = card(kind).data
    assert data.base_model == "acme/base"
    assert data.to_dict()["base_model_relation"] == relation
    assert data.library_name == library


def test_local_base_is_left_out() -> None:
    release = ReleaseInfo(name="m", source="adapter", base_model="/home/alice/llama")
    text = str(card("lora", release))
    assert "base_model" not in text
    assert "alice" not in text


def test_sections_stand_in_order() -> None:
    text = str(card("gguf", first="one", second="two"))
    assert text.index("## first") < text.index("one") < text.index("## second")


def test_the_hub_takes_it(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.create_repo("me/x", private=True)
    api.upload_file(
        path_or_fileobj=str(card("gguf")).encode(), path_in_repo="README.md", repo_id="me/x"
    )
    assert "README.md" in api.list_repo_files("me/x")


def test_kind_of_a_third_party_gets_a_card() -> None:
    assert "acme.onnx" in str(card("acme.onnx"))


def test_section_with_nothing_to_say_has_no_heading() -> None:
    assert "## silent" not in str(card("gguf", silent="\n"))


def test_no_heading_stands_twice() -> None:
    """A plugin's section is called "Files" when it lists them."""
    assert str(card("gguf", Files="a table")).count("## Files\n") == 1
