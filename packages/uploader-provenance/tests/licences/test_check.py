"""What is refused, and what is only said, of the licences of base and fine-tune."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from uploader_core.plugin import Finding, PlanContext, ReleaseInfo
from uploader_provenance.licences.check import check

HUB = "hf:me/tiny"
TEXTS = {"llama3.2", "gemma", "qwen-research", "creativeml-openrail-m"}
"""Those whose own text has to go along."""


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    folders = {kind: tmp_path / kind for kind in ("base", "adapter")}
    for folder in folders.values():
        folder.mkdir()
    return folders


def say(folder: Path, licence: str, more: str = "") -> None:
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n{more}\n---\n# x\n")


def found(
    sources: dict[str, Path],
    *,
    public: bool | None = None,
    to: str = HUB,
    name: str = "Llama-3-tiny",
    base: str = "",
    override: str = "",
    source: str = "adapter",
) -> dict[str, list[str]]:
    """Return what is found by level; ``public=None`` releases nowhere."""
    context: Any = PlanContext(
        inputs=(),
        settings=SimpleNamespace(licence_override=override),
        release=ReleaseInfo(
            name=name, source=source, base_model=base or None, base_is_hub_id=bool(base)
        ),
        output=Path(),
        sources=sources,
        uploads={} if public is None else {to: {"public": public}},
    )
    levels: dict[str, list[str]] = {"error": [], "warning": [], "note": []}
    for finding in check(context):
        assert isinstance(finding, Finding)
        levels[finding.level].append(f"{finding.what} | {finding.next}")
    return levels


COMMON = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")


@pytest.mark.parametrize("licence", COMMON)
def test_nothing_is_said_of_a_permissive_base(sources: dict[str, Path], licence: str) -> None:
    say(sources["base"], licence)
    say(sources["adapter"], "mit")
    assert found(sources, public=True) == {"error": [], "warning": [], "note": []}


@pytest.mark.parametrize("licence", ["llama3.2", "gemma", "apache-2.0", "mit"])
def test_nothing_is_said_of_a_private_upload(sources: dict[str, Path], licence: str) -> None:
    say(sources["base"], licence)
    assert found(sources, public=False, name="tiny") == {"error": [], "warning": [], "note": []}


@pytest.mark.parametrize(
    ("base", "own", "clause"),
    [
        ("llama2", "apache-2.0", "section 1.b"),
        ("llama3", "mit", "section 1.b.i"),
        ("llama3.1", "apache-2.0", "section 1.b.i"),
        ("llama4", "cc-by-4.0", "section 1.b.i"),
        ("gemma", "apache-2.0", "section 3.1"),
        ("openrail", "mit", "section III, paragraph 4"),
        ("bigcode-openrail-m", "apache-2.0", "section III, paragraph 4"),
        ("cc-by-nc-4.0", "cc-by-4.0", "section 3(a)(4)"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-4.0", "section 3(b)"),
        ("cc-by-sa-4.0", "mit", "section 3(b)"),
        ("gpl-3.0", "apache-2.0", "section 5(c)"),
        ("agpl-3.0", "gpl-3.0", "section 5(c)"),
        ("mpl-2.0", "mit", "sections 3.1 and 3.3"),
    ],
)
def test_more_permissive_licence_than_the_base_allows_is_refused(
    sources: dict[str, Path], base: str, own: str, clause: str
) -> None:
    say(sources["base"], base)
    say(sources["adapter"], own)
    (sources["base"] / "LICENSE").write_text("text")
    (error,) = found(sources, public=True)["error"]
    assert clause in error
    assert f"write `license: {base}`" in error
    assert "--provenance-licence-override REASON" in error
    assert "not legal advice" in error


@pytest.mark.parametrize(
    ("base", "own"),
    [
        ("llama3.1", "llama3.1"),
        ("cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
        ("lgpl-3.0", "gpl-3.0"),
        ("creativeml-openrail-m", "openrail"),
    ],
)
def test_licence_that_the_base_allows_is_not(sources: dict[str, Path], base: str, own: str) -> None:
    say(sources["base"], base)
    say(sources["adapter"], own)
    (sources["base"] / "LICENSE").write_text("text")
    assert not found(sources, public=True)["error"]


@pytest.mark.parametrize("tags", ["7", "true", "{unsloth: 1}", "2026-01-01"])
def test_tags_of_any_type_are_none(sources: dict[str, Path], tags: str) -> None:
    say(sources["base"], "llama3.1")
    say(sources["adapter"], "mit", f"tags: {tags}")
    assert "`license: mit`" in found(sources, public=True)["error"][0]


def test_licence_that_a_trainer_writes_for_every_model_is_nobodys_claim(
    sources: dict[str, Path],
) -> None:
    say(sources["base"], "llama3.1")
    say(sources["adapter"], "apache-2.0", "tags: [unsloth, trl]")
    (sources["base"] / "LICENSE").write_text("text")
    assert not found(sources, public=True)["error"]


@pytest.mark.parametrize("licence", ["cc-by-nd-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-nd-3.0"])
def test_what_may_not_be_shared_is_not_published(sources: dict[str, Path], licence: str) -> None:
    say(sources["base"], licence)
    (error,) = found(sources, public=True)["error"]
    assert "does not let others have what is made of it" in error
    assert not found(sources, public=False)["error"]
    assert found(sources, public=False)["warning"]
    assert not found(sources)["warning"]


@pytest.mark.parametrize(
    ("place", "settings", "public"),
    [
        ("oci:registry.example/x", {}, True),
        ("dir:s3://bucket/x", {}, True),
        ("dir:/there", {}, False),
        ("dir:C:/there", {}, False),
        ("dir:file:///there", {}, False),
        ("ollama:x:v1", {"remote": False}, False),
        ("ollama:x:v1", {"remote": True}, True),
        ("ollama-registry:registry.example/me/x", {}, True),
    ],
)
def test_place_of_which_nobody_knows_who_reads_it_counts_as_public(
    sources: dict[str, Path], place: str, settings: dict[str, Any], public: bool
) -> None:
    say(sources["base"], "cc-by-nd-4.0")
    context: Any = PlanContext(
        inputs=(),
        settings=SimpleNamespace(licence_override=""),
        release=ReleaseInfo(name="x", source="adapter"),
        output=Path(),
        sources=sources,
        uploads={place: settings},
    )
    assert [place in f.what for f in check(context) if f.level == "error"] == [True] * public


@pytest.mark.parametrize("licence", sorted(TEXTS))
def test_text_that_has_to_go_along_is_missed(sources: dict[str, Path], licence: str) -> None:
    name = f"other\nlicense_name: {licence}" if licence == "qwen-research" else licence
    say(sources["base"], name)
    (error,) = found(sources, public=True)["error"]
    assert "wants a copy of itself" in error
    assert "as LICENSE in the folder of the fine-tune" in error
    for folder in sources.values():
        (folder / "LICENSE").write_text("text")
        assert not found(sources, public=True)["error"]
        (folder / "LICENSE").unlink()


def test_reason_overrules_and_is_repeated(sources: dict[str, Path]) -> None:
    say(sources["base"], "llama3.1")
    say(sources["adapter"], "mit")
    levels = found(sources, public=True, override="our contract of 2026-05-02")
    assert not levels["error"]
    assert "overruled with --provenance-licence-override: our contract" in levels["warning"][0]


def test_reason_without_a_need_is_said_to_be_none(sources: dict[str, Path]) -> None:
    say(sources["base"], "mit")
    assert "was not needed" in found(sources, public=True, override="why")["note"][0]


@pytest.mark.parametrize("licence", ["unknown", "other", "somebodys-own"])
def test_unknown_licence_is_never_taken_for_a_permissive_one(
    sources: dict[str, Path], licence: str
) -> None:
    say(sources["base"], licence)
    assert found(sources, public=True)["warning"]
    assert found(sources, public=False)["warning"]


def test_base_without_a_card_is_unknown(sources: dict[str, Path]) -> None:
    assert "is not known" in found(sources)["warning"][0]


@pytest.mark.parametrize(
    "base",
    ["meta-llama/Llama-3.1-8B", "unsloth/Meta-Llama-3.1-8B-Instruct", "me/llama-3.1-fine"],
)
def test_name_of_a_base_tells_what_restricts_it(sources: dict[str, Path], base: str) -> None:
    say(sources["adapter"], "mit")
    assert "Llama 3.1 Community License" in found(sources, public=True, base=base)["error"][0]


def test_name_of_a_base_makes_nothing_permissive(sources: dict[str, Path]) -> None:
    assert "is not known" in found(sources, base="mistralai/Mistral-7B-v0.1")["warning"][0]


def test_licence_of_the_fine_tune_says_nothing_of_an_unknown_base(
    sources: dict[str, Path],
) -> None:
    say(sources["adapter"], "mit")
    assert "is not known" in found(sources, public=True)["warning"][0]


def test_full_model_of_the_users_own_needs_no_licence_of_a_base(sources: dict[str, Path]) -> None:
    say(sources["base"], "mit")
    of_own = {"checkpoint": sources["base"]}
    assert found(of_own, public=True, source="checkpoint") == {
        "error": [],
        "warning": [],
        "note": [],
    }


def test_full_model_whose_card_names_a_base_is_made_of_it(sources: dict[str, Path]) -> None:
    of_own = {"checkpoint": sources["base"]}
    say(sources["base"], "mit", "base_model: meta-llama/Llama-3.1-8B")
    (sources["base"] / "LICENSE").write_text("text")
    assert "Llama 3.1" in found(of_own, public=True, source="checkpoint")["error"][0]
    say(sources["base"], "mit", "base_model: acme/unheard-of")
    assert "is not known" in found(of_own, public=True, source="checkpoint")["warning"][0]


def test_name_that_the_licence_wants_is_a_warning(sources: dict[str, Path]) -> None:
    say(sources["base"], "llama3.1")
    (sources["base"] / "LICENSE").write_text("text")
    assert "'Llama'" in found(sources, public=True, name="tiny")["warning"][0]
    assert not found(sources, public=True, name="Llama-tiny")["warning"]


def test_commerce_that_is_forbidden_is_noted(sources: dict[str, Path]) -> None:
    say(sources["base"], "cc-by-nc-4.0")
    assert "section 2(a)(1)" in found(sources)["note"][0]
