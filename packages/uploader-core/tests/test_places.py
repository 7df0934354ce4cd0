"""Documents about everything at a place: made last, from its manifest, and brought along."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader_core.destinations.verify import verify_folder

PLUGIN = """
from dataclasses import dataclass
from uploader_core.plugin import DocumentSpec, SaveSpec, hookimpl, setting

@dataclass(frozen=True, kw_only=True)
class Settings:
    seal: bool = setting(True, help="whether to seal")

@hookimpl
def uploader_savers():
    yield SaveSpec(name="made", summary="made", consumes=("adapter",), produces="acme.made",
                   loads=("*.bin",), run="seal_work:make")

@hookimpl
def uploader_documenters():
    # Registered the wrong way round: order says which is first.
    yield DocumentSpec(name="seal", summary="seal", output="SEAL", scope="place", order=90,
                       settings=Settings, when="seal_work:wanted", secrets=("ACME_SEALING_KEY",),
                       run="seal_work:seal")
    yield DocumentSpec(name="list", summary="list", output="LIST", scope="place", order=10,
                       run="seal_work:list_all", isolation="inline")
"""

WORK = """
import json, os

def make(context):
    assert "ACME_SEALING_KEY" not in os.environ
    context.output.write("made.txt", "12345")
    return context.artifact()

def list_all(context):
    assert "ACME_SEALING_KEY" not in context.secrets
    said = [[file.name, file.sha256] for file in context.files]
    context.output.write("LIST", json.dumps(said))
    return context.artifact()

def wanted(settings):
    return settings.seal

def seal(context):
    if context.target is not None and context.target.endswith("refused"):
        raise RuntimeError("not this one")
    said = {"files": [file.name for file in context.files], "target": context.target,
            "key": context.secrets["ACME_SEALING_KEY"][:4],
            "materials": {m.kind: [f.sha256 for f in m.files] for m in context.materials}}
    context.output.write("SEAL", json.dumps(said))
    if context.target is None:
        context.output.write("acme.made/SEAL", "of the artifact")
    return context.artifact()
"""


@pytest.fixture(autouse=True)
def seal(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"plugins": {"seal": "seal_plugin"}, "artifacts": {"acme.made": "seal_plugin"}}
    install("acme-seal", {"seal_plugin": PLUGIN, "seal_work": WORK}, points)
    monkeypatch.setenv("ACME_SEALING_KEY", "key-0123456789")


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def run(uploader: Any, adapter: Path, release: Path, *more: object) -> Any:
    return uploader("run", adapter, "--plugins", "seal", "--output", release, "--yes", *more)


def test_place_is_described_whole_by_each_document_in_turn(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    result = run(uploader, adapter, release, "--to", f"dir:{copy}")
    assert result.returncode == 0, result.stderr
    for place in (release, copy):
        manifest = read(place / "upload_manifest.json")
        listed = {file["path"] for file in manifest["files"]}
        assert manifest["detached"] == ["LIST", "SEAL"]
        assert {name for name, _ in read(place / "LIST")} == listed | {"upload_manifest.json"}
        assert {*read(place / "SEAL")["files"]} == listed | {"upload_manifest.json", "LIST"}
        assert verify_folder(place).problems == ()
    assert read(release / "SEAL")["target"] is None
    assert read(copy / "SEAL")["target"] == str(copy)
    assert read(copy / "SEAL")["key"] == "key-"
    assert len(read(copy / "SEAL")["materials"]["adapter"][0]) == 64


def test_release_folder_may_have_one_in_each_artifact(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    assert run(uploader, adapter, release, "--to", f"dir:{copy}").returncode == 0
    assert (release / "acme.made" / "SEAL").read_text() == "of the artifact"
    assert not (copy / "acme.made" / "SEAL").exists()


def test_nothing_is_made_again_when_nothing_changed(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    assert run(uploader, adapter, release, "--to", f"dir:{copy}").returncode == 0
    again = run(uploader, adapter, release, "--to", f"dir:{copy}", "--json")
    assert {s["status"] for s in json.loads(again.stdout)["steps"]} == {"kept"}


def test_made_again_when_another_key_is_set(
    uploader: Any, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    for key in ("one-" + "0123456789abcdef" * 3, "two-" + "0123456789abcdef" * 3):
        monkeypatch.setenv("ACME_SEALING_KEY", key)
        assert run(uploader, adapter, release, "--to", f"dir:{copy}").returncode == 0
        assert read(release / "SEAL")["key"] == read(copy / "SEAL")["key"] == key[:4]


def test_identity_of_another_job_makes_nothing_again(
    uploader: Any, adapter: Path, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = PLUGIN.replace("secrets=(", "passing_secrets=True, secrets=(")
    (site / "seal_plugin.py").write_text(passing, "utf-8")
    for identity in ("one-" + "0123456789abcdef" * 3, "two-" + "0123456789abcdef" * 3):
        monkeypatch.setenv("ACME_SEALING_KEY", identity)
        assert run(uploader, adapter, tmp_path / "release").returncode == 0
        assert read(tmp_path / "release" / "SEAL")["key"] == "one-"


def test_no_digest_tells_of_a_password(
    uploader: Any, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    for password in ("hunter2", "hunter3"):
        monkeypatch.setenv("ACME_SEALING_KEY", password)
        assert run(uploader, adapter, tmp_path / "release").returncode == 0
        (record,) = (tmp_path / "release" / ".uploader" / "steps").glob("seal-seal-release-*")
        keys.append(read(record)["key"])
    assert keys[0] == keys[1]


def test_one_that_no_later_run_makes_is_taken_away(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    assert run(uploader, adapter, release).returncode == 0
    assert run(uploader, adapter, release, "--no-seal-seal").returncode == 0
    assert not (release / "SEAL").exists() and not (release / "acme.made" / "SEAL").exists()
    assert (release / "LIST").is_file()
    assert run(uploader, adapter, release).returncode == 0
    assert (release / "SEAL").is_file() and (release / "acme.made" / "SEAL").is_file()


def test_one_that_somebody_wrote_over_stays(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    assert run(uploader, adapter, release).returncode == 0
    (release / "SEAL").write_text("notes of mine")
    assert run(uploader, adapter, release, "--no-seal-seal").returncode == 0
    assert (release / "SEAL").read_text() == "notes of mine"


def test_left_out_where_its_settings_say_so(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    assert run(uploader, adapter, release, "--no-seal-seal").returncode == 0
    assert not (release / "SEAL").exists()
    assert read(release / "upload_manifest.json")["detached"] == ["LIST"]


def test_its_failure_keeps_the_upload_back(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    refused, other = tmp_path / "refused", tmp_path / "other"
    targets = ("--to", f"dir:{refused}", "--to", f"dir:{other}")
    result = run(uploader, adapter, tmp_path / "release", *targets)
    assert result.returncode != 0
    assert "not this one" in result.stderr
    assert not refused.exists()
    assert (other / "SEAL").is_file()


def test_next_release_without_it_takes_it_away(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    assert run(uploader, adapter, tmp_path / "one", "--to", f"dir:{copy}").returncode == 0
    without = ("--no-seal-seal", "--to", f"dir:{copy}")
    assert run(uploader, adapter, tmp_path / "two", *without).returncode == 0
    assert not (copy / "SEAL").exists()
    assert (copy / "LIST").is_file()


def test_copy_that_lost_it_is_not_whole(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    assert run(uploader, adapter, release).returncode == 0
    shutil.copytree(release, copy, ignore=shutil.ignore_patterns(".uploader"))
    (copy / "SEAL").unlink()
    assert [problem.path for problem in verify_folder(copy).problems] == ["SEAL"]


def test_where_the_release_went_is_beside_the_manifest_and_not_in_it(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    assert run(uploader, adapter, release, "--to", f"dir:{copy}").returncode == 0
    assert "publications" not in read(release / "upload_manifest.json")
    (publication,) = read(release / "publications.json")["publications"]
    assert publication["url"] == copy.as_uri()
    assert not (copy / "publications.json").exists()


def test_files_of_others_are_not_kept_beside_what_is_about_everything(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    assert run(uploader, adapter, release, "--to", f"dir:{copy}").returncode == 0
    (copy / "acme.made" / "loaded.bin").write_text("of somebody else")
    keep = ("--dir-foreign", "keep", "--redo", f"dir:{copy}", "--to", f"dir:{copy}")
    result = run(uploader, adapter, release, *keep)
    assert result.returncode != 0
    assert "would stay there, which LIST, SEAL would not be about" in result.stderr


def test_who_verifies_is_given_the_documents_and_the_names_of_others(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    assert run(uploader, adapter, release).returncode == 0
    found = verify_folder(release)
    assert {*found.documents} == {"upload_manifest.json", "LIST", "SEAL"}
    assert found.documents["SEAL"] == (release / "SEAL").read_bytes()
    assert "report.html" in found.others
    with (release / "SEAL").open("wb") as file:
        file.truncate(100 << 20)
    (problem,) = verify_folder(release).problems
    assert problem.path == "SEAL" and "far too many" in problem.what


@pytest.mark.skipif(os.name == "nt", reason="has no such pipes")
def test_document_that_is_a_link_or_a_pipe_is_not_read(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    assert run(uploader, adapter, release).returncode == 0
    for name in ("LIST", "SEAL"):
        (release / name).unlink()
    (release / "LIST").symlink_to("/dev/zero")
    os.mkfifo(release / "SEAL")
    found = verify_folder(release)
    assert [problem.path for problem in found.problems] == ["LIST", "SEAL"]
    assert {*found.documents} == {"upload_manifest.json"}


def test_verify_names_the_documents_that_it_does_not_look_into(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    assert run(uploader, adapter, release).returncode == 0
    assert "LIST, SEAL about all of it" in uploader("verify", release).stdout
