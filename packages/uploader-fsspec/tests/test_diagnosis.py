"""What `uploader doctor` says of storage."""

from __future__ import annotations

from uploader_fsspec.diagnosis import diagnose


def test_protocols_are_named_with_what_brings_them() -> None:
    lines = list(diagnose(online=False))
    assert "s3:// can be reached" in lines[0].what or "s3://, " in lines[0].what
    for line in lines[1:]:
        assert "uploader-fsspec[" in str(line.fix)
