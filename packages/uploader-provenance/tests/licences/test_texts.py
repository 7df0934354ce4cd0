"""A licence is known by its text, where no card names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_core.plugin import ReleaseInfo
from uploader_provenance.licences.check import findings
from uploader_provenance.licences.said import SaidLicence, licences_said
from uploader_provenance.licences.texts import licence_of_texts

OWN = Path(__file__).parents[2] / "LICENSE"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\nLlama 3.2 Version Release Date: x", "llama3.2"),
        ("META LLAMA 3 COMMUNITY LICENSE AGREEMENT", "llama3"),
        ("Qwen RESEARCH LICENSE AGREEMENT\n\nQwen RESEARCH LICENSE AGREEMENT", "qwen-research"),
        ("# Mistral AI Research License\n\nIf You want to use a Mistral Model", "mrl"),
        ("Creative Commons Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "gpl-3.0"),
        ("MIT License\n\nCopyright (c) 2026", "mit"),
        ("Modified MIT License\n\nCopyright (c) 2026", ""),
        ("Our own terms." + " word" * 100 + " MIT License", ""),
    ],
)
def test_text_is_known_by_its_title(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "LICENSE.txt"
    path.write_text(text)
    assert licence_of_texts([path]) == name


def test_text_of_the_apache_license_is_known() -> None:
    assert licence_of_texts([OWN]) == "apache-2.0"


def test_texts_that_disagree_are_none(tmp_path: Path) -> None:
    paths = [tmp_path / "LICENSE", tmp_path / "COPYING"]
    for path, text in zip(paths, ("MIT License", "LLAMA 2 COMMUNITY LICENSE"), strict=True):
        path.write_text(text)
    assert licence_of_texts(paths) == ""


def said_of(folder: Path, card: str, text: str, source: str = "adapter") -> SaidLicence:
    """Return what is said of a model with a card and a licence's text."""
    if card:
        (folder / "README.md").write_text(f"---\n{card}\n---\n")
    (folder / "LICENSE").write_text(text)
    kind = "base" if source == "adapter" else source
    return licences_said({kind: folder}, ReleaseInfo(name="x", source=source))


def test_text_tells_the_licence_of_a_base_without_a_card(tmp_path: Path) -> None:
    assert said_of(tmp_path, "", "Apache License\nVersion 2.0").base == "apache-2.0"
    assert said_of(tmp_path, "license: other", "LLAMA 4 COMMUNITY LICENSE").base == "llama4"


def test_permissive_text_beside_a_fine_tune_is_not_that_of_its_base(tmp_path: Path) -> None:
    card = "license: mit\nbase_model: acme/unheard-of"
    assert said_of(tmp_path, card, "MIT License", source="checkpoint").base == ""
    assert said_of(tmp_path, card, "LLAMA 2 COMMUNITY LICENSE", source="checkpoint").base == (
        "llama2"
    )


def test_card_that_is_laxer_than_the_text_is_not_believed(tmp_path: Path) -> None:
    said = said_of(tmp_path, "license: apache-2.0", "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT")
    found = [*findings(said, {"hf:me/x": True}, "tiny")]
    assert [f.level for f in found] == ["warning", "warning"]
    assert "README.md says `license: apache-2.0`, and the text in its folder" in found[0].what
    assert "'Llama'" in found[1].what


def test_card_and_text_that_agree_are_no_matter(tmp_path: Path) -> None:
    said = said_of(tmp_path, "license: llama3.1", "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT")
    assert not [*findings(said, {"hf:me/x": True}, "Llama-tiny")]
