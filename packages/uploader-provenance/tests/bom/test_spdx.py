"""The document in SPDX 3.0.1 is what SPDX's own model reads, with what the AI profile demands."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from bom_tools import COMMIT, artifact_of, make_sources, write_document
from uploader_core.plugin import UsageError
from uploader_provenance.bom.documents import write_spdx
from uploader_provenance.bom.spdx import NO_TIME, time_of
from uploader_provenance.settings import BomSettings

AI = (
    # What the AI profile demands of an AIPackage besides the core.
    *("releaseTime", "suppliedBy", "software_downloadLocation", "software_packageVersion"),
    "software_primaryPurpose",
)


def text_of(root: Path, kind: str = "gguf", licence: str = "llama3.2", **more: Any) -> str:
    sources = make_sources(root / "sources", licence)
    made = artifact_of(root / "release" / kind, kind, "tiny.gguf", "config.json")
    settings = BomSettings(spdx=True, date=more.pop("date", ""))
    return write_document(
        write_spdx, root, sources, (made,), measured=True, settings=settings, **more
    )["spdx.json"]


def read(text: str) -> Any:
    """Read a document with SPDX's model, which refuses what it does not allow, and write it."""
    model = pytest.importorskip("spdx_python_model").v3_0_1
    objects = model.SHACLObjectSet()
    model.JSONLDDeserializer().read(io.BytesIO(text.encode()), objects)
    assert not objects.link()
    # Writing refuses elements without what they must have.
    model.JSONLDSerializer().write(objects, io.BytesIO())
    return model, objects


def of_type(text: str, kind: str) -> list[dict[str, Any]]:
    return [element for element in json.loads(text)["@graph"] if element["type"] == kind]


def related(text: str, kind: str) -> list[tuple[str, str]]:
    """Return the names of what is related."""
    elements = {e.get("spdxId"): e for e in json.loads(text)["@graph"]}
    return [
        (elements[r["from"]]["name"], elements[to].get("name", ""))
        for r in of_type(text, "Relationship")
        if r["relationshipType"] == kind
        for to in r["to"]
    ]


@pytest.mark.parametrize("kind", ["lora", "merged-16bit", "gguf"])
def test_spdx_reads_it(tmp_path: Path, kind: str) -> None:
    model, objects = read(text_of(tmp_path, kind))
    (package,) = objects.foreach_type(model.ai_AIPackage)
    assert package.name == "tiny"


def test_what_spdx_does_not_allow_is_refused_by_this_test(tmp_path: Path) -> None:
    broken = text_of(tmp_path).replace('"descendantOf"', '"cousinOf"')
    with pytest.raises(ValueError, match="cousinOf"):
        read(broken)


def test_ai_package_has_what_the_profile_demands(tmp_path: Path) -> None:
    (package,) = of_type(text_of(tmp_path), "ai_AIPackage")
    assert all(package[name] for name in AI)
    assert package["software_primaryPurpose"] == "model"
    assert package["ai_typeOfModel"] == ["LlamaForCausalLM"]
    assert package["ai_useSensitivePersonalInformation"] == "noAssertion"


def test_model_descends_from_base_and_data(tmp_path: Path) -> None:
    text = text_of(tmp_path)
    assert ("tiny", "acme/base") in related(text, "descendantOf")
    assert related(text, "trainedOn") == [("tiny", "acme/chats"), ("tiny", "acme/poems")]
    (base,) = [p for p in of_type(text, "software_Package") if p["name"] == "acme/base"]
    assert base["software_packageVersion"] == COMMIT


def test_files_have_their_digests(tmp_path: Path) -> None:
    text = text_of(tmp_path)
    made = artifact_of(tmp_path / "again", "gguf", "tiny.gguf", "config.json")
    found = {f["name"]: f["verifiedUsing"][0]["hashValue"] for f in of_type(text, "software_File")}
    assert {file.name: file.sha256 for file in made.files}.items() <= found.items()
    assert ("tiny", "tiny.gguf") in related(text, "contains")


def test_hyperparameters_and_metrics_are_told(tmp_path: Path) -> None:
    (package,) = of_type(text_of(tmp_path), "ai_AIPackage")
    how = {e["key"]: e["value"] for e in package["ai_hyperparameter"]}
    assert how["r"] == "8"
    assert how["target_modules"] == "q_proj, v_proj"
    metrics = {e["key"].partition(" (")[0]: e["value"] for e in package["ai_metric"]}
    assert metrics["top-1 agreement"] == "0.96875"


def test_licence_outside_of_spdx_names_its_text(tmp_path: Path) -> None:
    licences = of_type(text_of(tmp_path), "simplelicensing_LicenseExpression")
    said = {e["simplelicensing_licenseExpression"]: e for e in licences}
    (text,) = said["LicenseRef-llama3.2"]["simplelicensing_customIdToUri"]
    assert text["value"] == "https://www.llama.com/llama3_2/license/"
    licences = of_type(text_of(tmp_path / "b", licence="mit"), "simplelicensing_LicenseExpression")
    assert "MIT" in {e["simplelicensing_licenseExpression"] for e in licences}


def test_same_content_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    assert text_of(tmp_path / "one") == text_of(tmp_path / "two" / "deeper")


def test_time_is_what_the_user_says() -> None:
    assert time_of("2026-11-29", {}) == "2026-11-29T00:00:00Z"
    assert time_of("2026-11-29T13:00:00+01:00", {}) == "2026-11-29T12:00:00Z"
    assert time_of("", {"SOURCE_DATE_EPOCH": "1700000000"}) == "2023-11-14T22:13:20Z"
    assert time_of("2026-11-29", {"SOURCE_DATE_EPOCH": "1700000000"}) == "2026-11-29T00:00:00Z"
    assert time_of("", {}) == NO_TIME


@pytest.mark.parametrize(
    ("given", "environment"), [("yesterday", {}), ("", {"SOURCE_DATE_EPOCH": "soon"})]
)
def test_what_is_no_time_is_refused(given: str, environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="is no time"):
        time_of(given, environment)


def test_document_without_a_time_says_so(tmp_path: Path) -> None:
    (creation,) = of_type(text_of(tmp_path), "CreationInfo")
    assert creation["created"] == NO_TIME
    assert "not recorded" in creation["comment"]
    (creation,) = of_type(text_of(tmp_path / "b", date="2026-11-29"), "CreationInfo")
    assert "comment" not in creation
