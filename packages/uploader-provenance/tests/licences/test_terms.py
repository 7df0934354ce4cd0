"""The table of licences says the same as the lists of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uploader_core.plugin import LICENCES
from uploader_provenance.licences.terms import TERMS, terms_of


def test_many_licences_are_known() -> None:
    assert len(TERMS) >= 60


def test_names_without_an_own_text_are_the_hubs() -> None:
    """Names behind ``license: other`` are the makers' own."""
    others = {
        *("deepseek", "exaone", "falcon-llm-license", "lfm1.0", "mnpl", "mrl", "yi-license"),
        *("nvidia-open-model-license", "qwen", "qwen-research", "tongyi-qianwen"),
        "stabilityai-ai-community",
    }
    assert set(TERMS) - set(LICENCES) == others


def test_ids_are_those_of_spdx() -> None:
    cyclonedx = pytest.importorskip("cyclonedx.schema._res")
    schema = json.loads(Path(cyclonedx.SPDX_JSON).read_text())
    assert {terms.spdx for terms in TERMS.values() if terms.spdx} <= set(schema["enum"])


@pytest.mark.parametrize("name", sorted(TERMS))
def test_what_is_refused_names_a_clause_and_a_text(name: str) -> None:
    terms = TERMS[name]
    assert terms.url.startswith("https://")
    assert (terms.sharing == "yes") == (not terms.sharing_clause)
    assert (terms.carries is None) == (not terms.carries_clause)
    assert bool(terms.prefix) == bool(terms.prefix_clause)
    assert terms.carries is None or name in terms.carries
    for other in terms.carries or ():
        assert terms_of(other) is not None


def test_other_spellings_are_known() -> None:
    terms = terms_of("MRL-0.1")
    assert terms is not None
    assert terms.name == "mrl"
