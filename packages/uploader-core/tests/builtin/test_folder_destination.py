"""A second release replaces the first: what only the first had goes, what is somebody's stays."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from uploader_core.builtin.folder_destination import check, upload, verify
from uploader_core.builtin.plugin import FolderSettings
from uploader_core.plugin import (
    Artifact,
    OutputFolder,
    PlanContext,
    RefusedError,
    ReleaseInfo,
    StepContext,
    UploadFile,
    VerifyContext,
    find_leftovers,
)

LOADS = ("x/*.safetensors", "x/*.index.json", "x/templates/*.jinja")
ONE = {"x/model.safetensors": "one", "x/config.json": "{}", "x/templates/a.jinja": "one"}
SHARDS = {
    "x/model-1.safetensors": "two",
    "x/model-2.safetensors": "zwei",
    "x/model.index.json": "i",
    "x/config.json": "{}",
}
LAST = {"x/model-1.safetensors": "three", "y/adapter.safetensors": "three", "x/config.json": "{}"}
Contents = Mapping[str, str]


def manifest(contents: Contents) -> str:
    files = [
        {"path": n, "size": len(t), "sha256": hashlib.sha256(t.encode()).hexdigest()}
        for n, t in contents.items()
    ]
    artifacts = [{"kind": kind} for kind in sorted({name[0] for name in contents})]
    data = {"schema": "uploader.manifest/1", "files": files, "artifacts": artifacts}
    return json.dumps({**data, "loads": LOADS})


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., None]:
    """Copy a release to ``tmp_path / "there"``; keywords are settings."""

    def put(contents: Contents, **settings: Any) -> None:
        folder = tmp_path / "here"
        files = []
        for name, text in {**contents, "upload_manifest.json": manifest(contents)}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            digest = hashlib.sha256(text.encode()).hexdigest()
            files.append(
                UploadFile(
                    name=name, path=path, size=len(text), sha256=digest, role="other", kind="x"
                )
            )
        upload(
            StepContext(
                step="dir:copy",
                inputs=tuple(Artifact(kind=k, path=folder) for k in {n[0] for n in contents}),
                settings=FolderSettings(**settings),
                release=ReleaseInfo(name="m", source="adapter"),
                output=OutputFolder(folder, tmp_path / "work"),
                work=tmp_path / "work",
                target=str(tmp_path / "there"),
                files=tuple(files),
                loads=LOADS,
            )
        )

    return put


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """Return level and text of what the preflight finds."""

    def look(contents: Contents, **settings: Any) -> list[tuple[str, str]]:
        kinds = sorted({name[0] for name in contents})
        context = PlanContext(
            inputs=tuple(Artifact(kind=kind, path=tmp_path) for kind in kinds),
            settings=FolderSettings(**settings),
            release=ReleaseInfo(name="m", source="adapter"),
            output=tmp_path / "out",
            target=str(tmp_path / "there"),
            files=tuple(contents),
            loads=LOADS,
        )
        return [(finding.level, finding.what) for finding in check(context)]

    return look


def test_files_that_only_the_earlier_release_had_go(
    release: Callable[..., None], tmp_path: Path
) -> None:
    release(ONE)
    (tmp_path / "there" / "notes.txt").write_text("mine")
    release(SHARDS)
    assert names(tmp_path / "there") == {*SHARDS, "upload_manifest.json", "notes.txt"}
    assert not (tmp_path / "there" / "x" / "templates").exists()


def test_the_plan_says_what_goes_and_warns_of_a_format(
    release: Callable[..., None], planned: Callable[..., list[tuple[str, str]]]
) -> None:
    release(SHARDS)
    ((level, text),) = planned(ONE)
    assert level == "note"
    assert "x/model-1.safetensors, x/model-2.safetensors, x/model.index.json go" in text
    release(LAST)
    ((level, text),) = planned(ONE)
    assert level == "warning"
    assert "has y, which this one does not have" in text


def test_nothing_is_said_of_a_folder_that_is_not_there(
    planned: Callable[..., list[tuple[str, str]]],
) -> None:
    assert planned(ONE) == []


def test_file_of_nobodys_release_that_would_be_loaded_is_refused_by_name(
    release: Callable[..., None],
    planned: Callable[..., list[tuple[str, str]]],
    tmp_path: Path,
) -> None:
    release(ONE)
    foreign = tmp_path / "there" / "x" / "best.safetensors"
    foreign.write_text("somebody's")
    before = {name: (tmp_path / "there" / name).read_text() for name in names(tmp_path / "there")}
    assert [level for level, text in planned(SHARDS) if "best.safetensors" in text] == ["error"]
    with pytest.raises(RefusedError, match=r"x/best\.safetensors") as caught:
        release(SHARDS)
    assert "--dir-foreign" in (caught.value.next or "")
    after = {name: (tmp_path / "there" / name).read_text() for name in names(tmp_path / "there")}
    assert after == before


@pytest.mark.parametrize("decision", ["remove", "keep"])
def test_the_user_decides_about_such_a_file(
    release: Callable[..., None], tmp_path: Path, decision: str
) -> None:
    release(ONE)
    foreign = tmp_path / "there" / "x" / "best.safetensors"
    foreign.write_text("somebody's")
    release(SHARDS, foreign=decision)
    assert foreign.exists() is (decision == "keep")
    assert verify(VerifyContext(target=str(tmp_path / "there"))).problems == ()


def test_verify_names_a_file_that_would_be_loaded_and_no_other(
    release: Callable[..., None], tmp_path: Path
) -> None:
    release(SHARDS)
    (tmp_path / "there" / "notes.txt").write_text("mine")
    (tmp_path / "there" / "x" / "model.safetensors").write_text("somebody's")
    (problem,) = verify(VerifyContext(target=str(tmp_path / "there"))).problems
    assert problem.path == "x/model.safetensors"


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        '{"schema": "uploader.manifest/2", "files": []}',
        manifest({"../outside.safetensors": "x"}),
        manifest({"/outside.safetensors": "x"}),
    ],
)
def test_manifest_that_cannot_be_used_is_refused_and_nothing_is_touched(
    release: Callable[..., None], tmp_path: Path, damage: str
) -> None:
    release(ONE)
    (tmp_path / "outside.safetensors").write_text("precious")
    (tmp_path / "there" / "upload_manifest.json").write_text(damage)
    before = names(tmp_path / "there")
    with pytest.raises(RefusedError, match=r"upload_manifest\.json"):
        release(SHARDS)
    assert names(tmp_path / "there") == before
    assert (tmp_path / "outside.safetensors").read_text() == "precious"


def test_nothing_behind_a_link_is_removed(release: Callable[..., None], tmp_path: Path) -> None:
    release(LAST)
    outside = tmp_path / "outside"
    (tmp_path / "there" / "y").rename(outside)
    (tmp_path / "there" / "y").symlink_to(outside)
    release(ONE)
    assert names(outside) == {"adapter.safetensors"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a child that is killed, by fork")
def test_copy_killed_anywhere_is_replaced_whole_by_another_release(
    release: Callable[..., None], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    moments = 0
    while True:
        release(ONE)
        (there / "notes.txt").write_text("mine")
        if not killed(lambda: release(SHARDS), after=moments):
            break
        release(LAST)
        assert names(there) == {*LAST, "upload_manifest.json", "notes.txt"}, moments
        moments += 2
    assert moments > 20


def killed(work: Callable[[], None], after: int) -> bool:
    """Do something in a child that ends at once at its n-th change of the disk; tell if it did."""
    child = os.fork()
    if child == 0:
        left = after

        def count(event: str, _: object) -> None:
            nonlocal left
            if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"):
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(count)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return code == 9


def test_names_within_a_folder_are_no_files_of_its_own() -> None:
    left = find_leftovers(
        ["deep/er/a.safetensors", "a.safetensors"],
        [],
        ["*.safetensors"],
        kinds=(),
        manifest=None,
        place="there",
    )
    assert left.foreign == ("a.safetensors",)


@pytest.mark.parametrize("look", [check, verify])
def test_address_of_something_else_is_refused_and_no_folder_is_made(
    look: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    context = VerifyContext(target="s3://bucket/x")
    with pytest.raises(RefusedError, match="no folder of this machine") as caught:
        list(look(context))
    assert caught.value.next == 'pip install "uploader-fsspec[s3]"'
    assert not list(tmp_path.iterdir())


def test_file_url_is_the_folder_that_it_names(release: Callable[..., None], tmp_path: Path) -> None:
    release(ONE)
    assert not verify(VerifyContext(target=(tmp_path / "there").as_uri())).problems
