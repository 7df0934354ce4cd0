"""The sources of a release: where they are, and whether a folder holds the very same."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from golden_releases import BASE, GOLDEN, SOURCE
from uploader_core.plugin import Artifact, ArtifactFile, SourceError
from uploader_provenance.reproduce.materials import as_material, check_sources, find_sources
from uploader_provenance.reproduce.published import Published, read_published


@pytest.fixture
def release() -> Published:
    return read_published("it", GOLDEN / "2026-11-29", complete=True)


def material(folder: Path, kind: str) -> dict[str, Any]:
    files = [p for p in sorted(folder.iterdir()) if p.is_file()]
    found = tuple(ArtifactFile(name=p.name, size=p.stat().st_size, sha256="") for p in files)
    return as_material(Artifact(kind=kind, path=folder, files=found))


def with_metadata(release: Published, kind: str, **metadata: Any) -> Published:
    """Return a release whose manifest says more of a source."""
    materials = [
        {**m, "metadata": {**m["metadata"], **(metadata if m["kind"] == kind else {})}}
        for m in release.manifest["materials"]
    ]
    return dataclasses.replace(release, manifest={**release.manifest, "materials": materials})


def test_the_very_same_sources_are_taken(release: Published) -> None:
    here = {"adapter": material(SOURCE, "adapter"), "base": material(BASE, "base")}
    assert check_sources(release, here, ("adapter", "base")) == []


def test_other_weights_are_refused_by_name(release: Published, tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "base")
    weights = tmp_path / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    here = {"base": material(tmp_path / "base", "base")}
    with pytest.raises(SourceError, match=r"not the base .* model\.safetensors has") as caught:
        check_sources(release, here, ("base",))
    assert "--base" in str(caught.value.next)


def test_file_that_the_maker_did_not_have_is_refused(release: Published, tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "adapter")
    (tmp_path / "adapter" / "generation_config.json").write_text("{}")
    here = {"adapter": material(tmp_path / "adapter", "adapter")}
    with pytest.raises(SourceError, match=r"generation_config\.json was not there then"):
        check_sources(release, here, ("adapter",))


def test_other_card_is_noted_and_changes_no_format(release: Published, tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "adapter")
    (tmp_path / "adapter" / "README.md").write_text("another card")
    here = {"adapter": material(tmp_path / "adapter", "adapter")}
    assert "README.md" in check_sources(release, here, ("adapter",))[0]


def test_recorded_commits_are_what_is_fetched(release: Published) -> None:
    known = with_metadata(release, "adapter", model_id="me/a", revision="1" * 40)
    known = with_metadata(known, "base", model_id="org/b", revision="2" * 40)
    wanted = find_sources(known, (), None)
    assert (wanted.source, wanted.base) == (f"me/a@{'1' * 40}", f"org/b@{'2' * 40}")


def test_source_that_only_its_maker_has_is_asked_for(release: Published) -> None:
    with pytest.raises(SourceError, match="does not say where its source") as caught:
        find_sources(release, (), None)
    assert "--from" in str(caught.value.next)
    with pytest.raises(SourceError, match="does not say where its base"):
        find_sources(release, ("./adapter",), None)


def test_an_adapter_alone_asks_for_no_base_that_its_run_had(release: Published) -> None:
    """As in a repository of its own, beside that of a GGUF."""
    lora = [made for made in release.artifacts if made["kind"] == "lora"]
    alone = dataclasses.replace(release, manifest={**release.manifest, "artifacts": lora})
    assert find_sources(alone, ("./adapter",), None).base is None
    assert (alone.sources, release.sources) == (["adapter"], ["adapter", "base"])


@pytest.mark.parametrize(("first", "source"), [(1.0, "./x"), (0.5, "./base")])
def test_stack_is_given_in_its_order_with_its_weights(
    release: Published, first: float, source: str
) -> None:
    adapters = [{"folder": "a", "weight": first}, {"folder": "b", "weight": 0.25}]
    stack = with_metadata(release, "adapter", adapters=adapters)
    renamed = [
        {**m, "kind": {"adapter": "adapter-stack"}.get(m["kind"], m["kind"])}
        for m in stack.manifest["materials"]
    ]
    stack = dataclasses.replace(
        stack, manifest={**stack.manifest, "source": "adapter-stack", "materials": renamed}
    )
    wanted = find_sources(stack, ("./x", "./y"), "./base")
    assert wanted.source == source
    assert wanted.adapters[-1] == "./y=0.25"
    with pytest.raises(SourceError, match="--from names 1 sources"):
        find_sources(stack, ("./x",), "./base")


@pytest.mark.parametrize("name", ["/etc", "./x", "~/models", "C:/x"])
def test_folder_that_a_manifest_names_is_never_looked_at(release: Published, name: str) -> None:
    theirs = with_metadata(release, "adapter", model_id=name, revision="1" * 40)
    with pytest.raises(SourceError, match="does not say where its source"):
        find_sources(theirs, (), "./base")


@pytest.mark.parametrize(
    ("reference", "name", "taken"),
    [
        ("hf:me/x", "org/b", True),
        ("./release", "org/b", True),
        ("oci:ghcr.io/me/x:v1", "oci:ghcr.io/org/b", True),
        ("s3://models/x", "s3://models/b", True),
        ("s3://models/x", "s3://others/b", False),
        ("oci:ghcr.io/me/x:v1", "oci:ghcr.io.evil.example/org/b", False),
        ("hf:me/x", "oci:evil.example/org/b", False),
        ("./release", "https://evil.example/b", False),
    ],
)
def test_manifest_chooses_no_server_that_is_shown_a_login(
    release: Published, reference: str, name: str, taken: bool
) -> None:
    theirs = with_metadata(release, "base", model_id=name, revision="2" * 40)
    theirs = dataclasses.replace(theirs, reference=reference)
    if taken:
        assert find_sources(theirs, ("./adapter",), None).base == f"{name}@{'2' * 40}"
        return
    with pytest.raises(SourceError, match="does not say where its base"):
        find_sources(theirs, ("./adapter",), None)
