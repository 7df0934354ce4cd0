"""``SHA256SUMS``, which the ``sha256sum`` of GNU accepts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from signing_tools import digests_in
from uploader_provenance.signing.checksums import checksums_of


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="there is no sha256sum here")
def test_sha256sum_accepts_it_until_a_byte_changes(folder: Path) -> None:
    (folder / "odd\\name\n.txt").write_text("as GNU escapes it")
    (folder / "SHA256SUMS").write_text(checksums_of(digests_in(folder)), "utf-8")
    words = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    assert subprocess.run(words, cwd=folder, capture_output=True).returncode == 0
    (folder / "config.json").write_text("[]")
    assert subprocess.run(words, cwd=folder, capture_output=True).returncode == 1


def test_lines_are_sorted_by_name() -> None:
    digests = {"b": "b" * 64, "a/c": "c" * 64}
    assert checksums_of(digests) == f"{'c' * 64}  a/c\n{'b' * 64}  b\n"
