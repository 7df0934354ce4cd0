"""Licences of bases by formats: what a release carries, and whether it may be published."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bom_tools import artifact_of, make_sources, write_document
from uploader_core.builtin.companions import write as write_companions
from uploader_core.plugin import PlanContext, ReleaseInfo
from uploader_provenance.bom.documents import write_of_artifact
from uploader_provenance.licences.check import check

KINDS = ("lora", "merged-16bit", "gguf", "compressed-fp8-dynamic", "mlx")
BASES = {
    # The base's licence: what the bill names, whether a NOTICE is wanted, and whether a fine-tune
    # that claims MIT may be published.
    "apache-2.0": ("Apache-2.0", False, True),
    "mit": ("MIT", False, True),
    "cc-by-4.0": ("CC-BY-4.0", False, True),
    "openmdw-1.0": ("OpenMDW-1.0", False, True),
    "cc-by-sa-4.0": ("CC-BY-SA-4.0", False, False),
    "cc-by-nc-4.0": ("CC-BY-NC-4.0", False, False),
    "cc-by-nc-nd-4.0": ("CC-BY-NC-ND-4.0", False, False),
    "gpl-3.0": ("GPL-3.0-only", False, False),
    "bigscience-openrail-m": ("BigScience Open RAIL-M", False, False),
    "llama2": ("Llama 2 Community License", True, False),
    "llama3": ("Llama 3 Community License", True, False),
    "llama3.1": ("Llama 3.1 Community License", True, False),
    "llama3.2": ("Llama 3.2 Community License", True, False),
    "llama3.3": ("Llama 3.3 Community License", True, False),
    "llama4": ("Llama 4 Community License", True, False),
    "gemma": ("Gemma Terms of Use", True, False),
    "other\nlicense_name: qwen-research": ("Qwen Research License Agreement", True, False),
    "other\nlicense_name: deepseek": ("DeepSeek Model License 1.0", False, False),
    "other\nlicense_name: mrl": ("Mistral AI Research License", True, False),
    "other\nlicense_name: falcon-llm-license": ("Falcon LLM License", False, False),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", BASES)
def test_licence_of_a_base_and_a_format(tmp_path: Path, base: str, kind: str) -> None:
    named, wants_notice, may_be_mit = BASES[base]
    sources = make_sources(tmp_path / "sources", base)
    for name in ("LICENSE", "USE_POLICY.md"):
        (sources["base"] / name).write_text("text")
    made = artifact_of(tmp_path / "release" / kind, kind, "weights.bin")

    carried = write_document(write_companions, tmp_path / "a", sources, (made,))
    assert {"LICENSE", "USE_POLICY.md"} <= set(carried)
    assert ("NOTICE" in carried) == wants_notice
    bill = json.loads(
        write_document(write_of_artifact, tmp_path / "b", sources, (made,))["ml-bom.cdx.json"]
    )
    (licence,) = bill["metadata"]["component"]["licenses"]
    assert named in (licence["license"].get("id"), licence["license"].get("name"))

    assert not errors(sources, public=False)
    head = "---\ntags: [trl, sft]\nlicense: mit\n---\n"
    (sources["adapter"] / "README.md").write_text(head)
    assert not errors(sources, public=False)
    assert (not errors(sources, public=True)) == may_be_mit


def errors(sources: dict[str, Path], *, public: bool) -> list[str]:
    context: Any = PlanContext(
        inputs=(),
        settings=SimpleNamespace(licence_override=""),
        release=ReleaseInfo(name="Llama-3-x", source="adapter"),
        output=Path(),
        sources=sources,
        uploads={"hf:me/x": {"public": public}},
    )
    return [finding.what for finding in check(context) if finding.level == "error"]
