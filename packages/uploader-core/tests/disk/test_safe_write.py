"""The write protocol: whole and durable under the final name, or not there."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steady import STEADY
from uploader_core.artifact import Artifact, ArtifactFile
from uploader_core.contract.output import OutputFolder
from uploader_core.disk.safe_write import child, create, hash_file
from uploader_core.errors import IntegrityError, SpaceError, UploaderError, from_json
from uploader_core.human_text import duration_text, size_text
from uploader_core.machine.os_errors import translate_os_error
from uploader_core.redact import without_local_paths


def folder(tmp_path: Path) -> OutputFolder:
    (tmp_path / "work").mkdir(exist_ok=True)
    return OutputFolder(tmp_path / "out", tmp_path / "work", tmp_path / "units")


def test_digest_is_taken_while_writing(tmp_path: Path) -> None:
    output = folder(tmp_path)
    with output.create("a/b.bin") as writer:
        writer.write(b"one")
        writer.write(memoryview(b"two"))
    (file,) = output.files
    assert file.sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert (tmp_path / "out/a/b.bin").read_bytes() == b"onetwo"


def test_failure_leaves_no_file_and_no_partial(tmp_path: Path) -> None:
    output = folder(tmp_path)
    with pytest.raises(ZeroDivisionError), output.create("x.bin") as writer:
        writer.write(b"half")
        raise ZeroDivisionError
    assert not list(tmp_path.rglob("x.bin*"))


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with create(tmp_path / "x"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_reserved_path_is_hashed_and_committed(tmp_path: Path) -> None:
    output = folder(tmp_path)
    with output.reserve("m.gguf") as path:
        assert path.suffix == ".gguf"
        path.write_bytes(b"library wrote this")
    assert output.files[0].size == 18
    assert (tmp_path / "out/m.gguf").is_file()


def test_finished_file_is_found_again_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    folder(tmp_path).write("x.txt", "whole")
    assert folder(tmp_path).done("x.txt") is not None
    (tmp_path / "out/x.txt").write_text("wholf")
    assert folder(tmp_path).done("x.txt") is None


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "C:x", "a\\b", ""])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(IntegrityError):
        child(tmp_path, name)


def test_full_disk_says_how_much_is_free(tmp_path: Path) -> None:
    error = translate_os_error(OSError(errno.ENOSPC, "full"), tmp_path / "x")
    assert isinstance(error, SpaceError)
    assert "bytes are free" in error.what


def test_full_file_system_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpaceError), create(tmp_path / "x") as writer:
        writer.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


names = st.text("abcäß漢0/", min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@STEADY
@given(
    files=st.lists(st.tuples(names, st.integers(0, 2**62)), max_size=4),
    metadata=st.dictionaries(names, json_values, max_size=3),
)
def test_artifact_survives_json(files: list[tuple[str, int]], metadata: dict[str, object]) -> None:
    artifact = Artifact(
        kind="acme.x",
        path=Path("/somewhere"),
        files=tuple(ArtifactFile(name=n, size=s, sha256="0" * 64) for n, s in files),
        metadata=metadata,  # type: ignore[arg-type]
    )
    assert Artifact.from_json(artifact.to_json()) == artifact


def test_error_survives_json_in_its_class() -> None:
    error = from_json({**SpaceError("full", owner="disk", next="free some").to_json()})
    assert (type(error), error.owner, error.next) == (SpaceError, "disk", "free some")


def test_error_of_an_unknown_class_becomes_the_base() -> None:
    assert type(from_json({"error": "NewError", "what": "x"})) is UploaderError


def test_hash_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(tmp_path / "x") == (3, hashlib.sha256(b"abc").hexdigest())


def test_local_paths_are_redacted_at_any_depth() -> None:
    value = {"a": ["/home/alice/model", {"b": r"C:\Users\bob\m"}], "c": "me/model"}
    assert without_local_paths(value) == {"a": ["model", {"b": "m"}], "c": "me/model"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "text"),
    [(999, "999 B"), (1000, "1.00 kB"), (4_370_000_000, "4.37 GB"), (999_600, "1.00 MB")],
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12, "12 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
