"""Two releases compared: bits, tensors, and why they differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from golden_releases import GOLDEN, RELEASES
from uploader_core.plugin import IntegrityError, UsageError, hash_file
from uploader_provenance.reproduce.compare import Verdict, compare
from uploader_provenance.reproduce.published import read_published, release_id


def remade(folder: Path, **changes: Any) -> Path:
    """Write the manifest of a folder anew, with the digests of what is in it."""
    path = folder / "upload_manifest.json"
    manifest = {**json.loads(path.read_text()), **changes}
    for file in manifest["files"]:
        file["size"], file["sha256"] = hash_file(folder / file["path"])
    path.write_text(json.dumps(manifest))
    return folder


def verdicts(one: Path, other: Path) -> dict[str, Verdict]:
    releases = (read_published(str(f), f, complete=True) for f in (one, other))
    return {verdict.kind: verdict for verdict in compare(*releases)}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(GOLDEN / "2026-11-29", tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("release", RELEASES[:-1], ids=lambda path: path.name)
def test_versions_of_a_week_made_the_same_bits(release: Path) -> None:
    found = verdicts(release, RELEASES[-1])
    assert {kind: v.grade for kind, v in found.items()} == {
        "lora": "bit-equal",
        "merged-16bit": "bit-equal",
    }


def test_same_tensors_in_another_file_are_tensor_equal(copy: Path) -> None:
    weights = copy / "lora" / "adapter_model.safetensors"
    save_file(dict(reversed(load_file(weights).items())), weights, {"format": "pt", "more": "text"})
    found = verdicts(GOLDEN / "2026-11-29", remade(copy))["lora"]
    assert (found.grade, found.differs) == ("tensor-equal", ("adapter_model.safetensors",))
    assert found.tensors == ()


def test_quantisation_that_a_tag_does_not_have_is_no_difference(copy: Path) -> None:
    """Each has a tag of its own in a registry; the run made all of them, and does so again."""
    theirs = read_published("it", GOLDEN / "2026-11-29", complete=True)
    for made in theirs.artifacts:
        made["metadata"]["quants"] = {"adapter_model.safetensors": "Q8_0", "other.gguf": "Q4_K_M"}
    ours = json.loads((copy / "upload_manifest.json").read_text())
    (copy / "lora" / "other.gguf").write_bytes(b"GGUF")
    lora = next(file for file in ours["files"] if file["path"].startswith("lora/adapter_model"))
    remade(copy, files=[*ours["files"], {**lora, "path": "lora/other.gguf"}])
    found = compare(theirs, read_published("it", copy, complete=True))
    assert {verdict.kind: verdict.grade for verdict in found}["lora"] == "bit-equal"


def test_other_configuration_around_the_same_weights_is_named(copy: Path) -> None:
    (copy / "merged-16bit" / "generation_config.json").write_text("{}")
    found = verdicts(GOLDEN / "2026-11-29", remade(copy))["merged-16bit"]
    assert (found.grade, found.differs) == ("tensor-equal", ("generation_config.json",))


def test_tensors_that_differ_are_named_with_what_is_otherwise(copy: Path) -> None:
    weights = copy / "lora" / "adapter_model.safetensors"
    tensors = load_file(weights)
    name = sorted(tensors)[3]
    tensors[name] = np.nextafter(tensors[name], np.float32(9))
    save_file(tensors, weights, {"format": "pt"})
    steps = json.loads((copy / "upload_manifest.json").read_text())["steps"]
    steps[0]["version"] = "9.9"
    found = verdicts(GOLDEN / "2026-11-29", remade(copy, steps=steps))["lora"]
    assert found.grade == "not"
    assert found.tensors == (f"adapter_model: 1 of {len(tensors)} tensors differ: {name}",)
    assert "uploader-lora 9.9 here, 0.1.0 then" in found.why


def test_format_that_was_not_made_is_not_equal(copy: Path) -> None:
    manifest = json.loads((copy / "upload_manifest.json").read_text())
    artifacts = [a for a in manifest["artifacts"] if a["kind"] != "lora"]
    found = verdicts(GOLDEN / "2026-11-29", remade(copy, artifacts=artifacts))
    assert found["lora"].grade == "not"
    assert found["lora"].why == ("it was not rebuilt",)


def test_without_weights_and_digests_tensors_are_unknown(copy: Path, tmp_path: Path) -> None:
    save_file({"x": np.zeros(1)}, copy / "lora" / "adapter_model.safetensors")
    remade(copy)
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(GOLDEN / "2026-11-29" / "upload_manifest.json", bare)
    original = read_published("hf:me/x", bare, complete=False)
    (found, _) = compare(original, read_published("made", copy, complete=True))
    assert found.grade == "not"
    assert "its weights are not on this machine" in found.tensors[0]


def test_release_id_is_that_of_what_the_manifest_says_and_not_of_its_spelling() -> None:
    text = (GOLDEN / "2026-11-29" / "upload_manifest.json").read_text()
    manifest = json.loads(text)
    spelled = json.loads(json.dumps(dict(reversed(manifest.items())), indent=7))
    assert release_id(manifest) == release_id(spelled)
    assert release_id(manifest) != release_id({**manifest, "name": "other"})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}", IntegrityError),
        ("[" * 100_000, IntegrityError),
        ('{"schema": "uploader.manifest/2", "files": []}', IntegrityError),
        ('{"schema": "uploader.manifest/1", "files": []}', IntegrityError),
        (None, UsageError),
    ],
)
def test_manifest_of_somebody_else_that_is_none(
    tmp_path: Path, text: str | None, error: type[Exception]
) -> None:
    if text is not None:
        (tmp_path / "upload_manifest.json").write_text(text)
    with pytest.raises(error):
        read_published("theirs", tmp_path, complete=True)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\b", "."])
def test_manifest_that_names_a_file_outside_is_damaged(copy: Path, name: str) -> None:
    path = copy / "upload_manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][0]["path"] = name
    path.write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match="is damaged"):
        read_published("theirs", copy, complete=True)


@pytest.mark.parametrize("name", ["../x", "..", "a/b", "a\\b", ""])
def test_manifest_whose_name_is_a_path_is_damaged(copy: Path, name: str) -> None:
    path = copy / "upload_manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": name}))
    with pytest.raises(IntegrityError, match="is damaged"):
        read_published("theirs", copy, complete=True)


@pytest.mark.parametrize(
    "adapters", [None, 3, [1], [{"folder": "a"}], [{"folder": "a", "weight": "much"}]]
)
def test_manifest_with_a_stack_that_is_none_is_damaged(copy: Path, adapters: Any) -> None:
    path = copy / "upload_manifest.json"
    manifest = json.loads(path.read_text())
    manifest["materials"][0]["metadata"]["adapters"] = adapters
    path.write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match="is damaged"):
        read_published("theirs", copy, complete=True)


SET = {"files": ["a"], "digest": "0" * 64, "tensors": [["x", "F32", [1], "0" * 64]]}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([], "has no attribute"),
        ({"a": {}}, "tensors"),
        ({"a": SET}, "the digest of 'a' is not that of its tensors"),
        ({"a": {**SET, "tensors": [[]]}}, "not enough values"),
        ({"a": {**SET, "tensors": [["x", "F32", 7, "0"]]}}, "not iterable"),
    ],
)
def test_list_of_tensors_of_somebody_else_says_nothing_by_its_digest(
    copy: Path, weights: Any, said: str
) -> None:
    (copy / "lora" / "tensor_digests.json").write_text(
        json.dumps({"schema": "uploader.tensors/1", "weights": weights})
    )
    manifest = json.loads((copy / "upload_manifest.json").read_text())
    listed = {"path": "lora/tensor_digests.json", "size": 0, "sha256": "", "role": "document"}
    files = [*manifest["files"], {**listed, "kind": "document", "step": "provenance:tensors@lora"}]
    save_file({"x": np.zeros(1)}, copy / "lora" / "adapter_model.safetensors")
    found = verdicts(remade(copy, files=files), GOLDEN / "2026-11-29")["lora"]
    assert found.grade == "not"
    assert "tensor_digests.json is damaged" in found.tensors[0] and said in found.tensors[0]
