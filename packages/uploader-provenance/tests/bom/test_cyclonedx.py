"""The ML-BOM says what is known, by the published schema, and the same wherever it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bom_tools import (
    COMMIT,
    artifact_of,
    hashes_of,
    make_sources,
    references_of,
    strict_error,
    write_document,
)
from uploader_provenance.bom.cyclonedx import VERSION
from uploader_provenance.bom.documents import write_of_artifact, write_of_release
from uploader_provenance.settings import BomSettings


def bill(root: Path, kind: str = "gguf", licence: str = "apache-2.0", **more: Any) -> Any:
    """Return the bill of one artifact, which is valid."""
    text = _text(root, kind, licence, **more)
    assert strict_error(text) is None
    found = json.loads(text)
    references = references_of(found)
    assert len(references) == len(set(references))
    return found


def _text(root: Path, kind: str = "gguf", licence: str = "apache-2.0", **more: Any) -> str:
    sources = make_sources(root / "sources", licence)
    names = ("tiny-Q4_K_M.gguf", "README.extra")
    made = artifact_of(root / "release" / kind, kind, *names, parameters=1000, llama_cpp="x 1.2")
    return write_document(write_of_artifact, root, sources, (made,), **more)["ml-bom.cdx.json"]


def test_it_is_of_the_newest_schema_that_the_library_knows() -> None:
    from cyclonedx.schema import SchemaVersion

    assert max(SchemaVersion).to_version() == VERSION


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("kind", ["lora", "merged-16bit", "gguf"])
def test_bill_of_every_kind_is_valid(tmp_path: Path, kind: str, measured: bool) -> None:
    assert bill(tmp_path, kind, measured=measured)["specVersion"] == "1.7"


def test_every_file_has_its_digest(tmp_path: Path) -> None:
    subject = bill(tmp_path)["metadata"]["component"]
    made = artifact_of(tmp_path / "again", "gguf", "tiny-Q4_K_M.gguf", "README.extra")
    assert hashes_of(subject) == {file.name: file.sha256 for file in made.files}


def test_base_and_adapter_are_named_with_commit_and_files(tmp_path: Path) -> None:
    found = bill(tmp_path)
    base, adapter = found["components"][:2]
    assert (base["group"], base["name"], base["version"]) == ("acme", "base", COMMIT)
    assert base["purl"] == f"pkg:huggingface/acme/base@{COMMIT}"
    assert [*hashes_of(base)] == ["model.safetensors"]
    assert [*hashes_of(adapter)] == ["adapter_model.safetensors"]
    ancestors = found["metadata"]["component"]["pedigree"]["ancestors"]
    assert ancestors[0]["purl"] == base["purl"]


def test_base_that_was_not_read_is_named_without_files(tmp_path: Path) -> None:
    (base, *_) = bill(tmp_path, "lora", materials=False)["components"]
    assert base["purl"] == "pkg:huggingface/acme/base"
    assert "components" not in base
    (base, *_) = bill(tmp_path / "pinned", "lora", materials=False, base_pinned=True)["components"]
    assert base["version"] == COMMIT


def test_path_of_a_local_base_is_not_published(tmp_path: Path) -> None:
    found = json.dumps(
        bill(tmp_path, base_model="/home/alice/base", base_is_hub_id=False, base_revision=None)
    )
    assert "alice" not in found
    assert str(tmp_path) not in found


def test_model_card_says_architecture_task_and_data(tmp_path: Path) -> None:
    found = bill(tmp_path)
    card = found["metadata"]["component"]["modelCard"]["modelParameters"]
    assert card["approach"] == {"type": "supervised"}
    assert card["modelArchitecture"] == "LlamaForCausalLM"
    assert card["architectureFamily"] == "llama"
    assert card["task"] == "text-generation"
    assert card["datasets"] == [{"ref": "dataset:acme/chats"}, {"ref": "dataset:acme/poems"}]
    urls = [d["data"][0]["contents"]["url"] for d in found["components"] if d["type"] == "data"]
    assert urls[0] == "https://huggingface.co/datasets/acme/chats"


def test_measured_fidelity_is_among_the_metrics(tmp_path: Path) -> None:
    component = bill(tmp_path, measured=True)["metadata"]["component"]
    metrics = component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    of_model = {m["type"]: m for m in metrics if m["slice"].startswith("tiny-Q4_K_M.gguf on ")}
    assert of_model["KL divergence, mean, nats"]["value"] == "0.0123457"
    assert of_model["top-1 agreement"]["value"] == "0.96875"
    assert of_model["perplexity"]["value"] == "8.5"
    assert of_model["perplexity"]["confidenceInterval"] == {
        "lowerBound": "7.52",
        "upperBound": "9.48",
    }
    assert {"type": "eval_loss", "value": "1.25", "slice": "training"} in metrics


def test_speed_of_a_machine_is_not_said(tmp_path: Path) -> None:
    assert "123.4" not in json.dumps(bill(tmp_path, measured=True))


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("apache-2.0", {"id": "Apache-2.0"}),
        ("gpl-3.0", {"id": "GPL-3.0-only"}),
        (
            "llama3.2",
            {
                "name": "Llama 3.2 Community License",
                "url": "https://www.llama.com/llama3_2/license/",
            },
        ),
        ("other\nlicense_name: acme-own", {"name": "acme-own"}),
    ],
)
def test_licence_is_an_id_of_spdx_or_a_name_with_its_text(
    tmp_path: Path, licence: str, said: dict[str, str]
) -> None:
    component = bill(tmp_path, licence=licence)["metadata"]["component"]
    assert component["licenses"] == [{"license": {**said, "acknowledgement": "declared"}}]


def test_unknown_licence_is_left_out(tmp_path: Path) -> None:
    assert "licenses" not in bill(tmp_path, licence="unknown")["metadata"]["component"]


def test_commerce_that_is_forbidden_is_a_limitation(tmp_path: Path) -> None:
    card = bill(tmp_path, licence="cc-by-nc-4.0")["metadata"]["component"]["modelCard"]
    assert "section 2(a)(1)" in card["considerations"]["technicalLimitations"][0]


def test_tools_are_those_of_the_records(tmp_path: Path) -> None:
    tools = {
        (tool["name"], tool["version"])
        for tool in bill(tmp_path, measured=True)["metadata"]["tools"]["components"]
    }
    assert tools >= {
        ("uploader-gguf", "0.1.0"),
        ("uploader-provenance", "0.1.0"),
        ("transformers", "5.24.0"),
        ("trl", "1.16.0"),
        ("xllamacpp", "2026.10.1"),
    }


def test_reason_for_overruling_a_licence_is_recorded(tmp_path: Path) -> None:
    found = bill(tmp_path, settings=BomSettings(licence_override="our contract"))
    assert {"name": "uploader:licence-override", "value": "our contract"} in found["properties"]


def test_same_content_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = _text(tmp_path / "one"), _text(tmp_path / "two" / "deeper")
    assert first == second
    assert json.loads(first)["serialNumber"].startswith("urn:uuid:")


def test_other_content_gives_another_serial_number(tmp_path: Path) -> None:
    numbers = {bill(tmp_path / kind, kind)["serialNumber"] for kind in ("lora", "gguf")}
    assert len(numbers) == 2


def test_bill_of_the_release_has_every_artifact(tmp_path: Path) -> None:
    sources = make_sources(tmp_path / "sources")
    made = tuple(
        artifact_of(tmp_path / "release" / kind, kind, "model.bin") for kind in ("lora", "gguf")
    )
    text = write_document(write_of_release, tmp_path, sources, made, measured=True)
    assert strict_error(text["ml-bom.cdx.json"]) is None
    found = json.loads(text["ml-bom.cdx.json"])
    references = references_of(found)
    assert len(references) == len(set(references))
    models = {c["bom-ref"]: c for c in found["components"] if c["bom-ref"].startswith("model:")}
    assert hashes_of(models["model:lora"]) == {"lora/model.bin": made[0].files[0].sha256}
    assert hashes_of(models["model:gguf"]) == {"gguf/model.bin": made[1].files[0].sha256}
    assert "quantitativeAnalysis" in models["model:lora"]["modelCard"]
