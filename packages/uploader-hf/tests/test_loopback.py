"""Imports that were documented before stay."""

from __future__ import annotations

import subprocess
import sys

import loopback_hub


def test_loopback_hub_by_its_old_name() -> None:
    from uploader_hf import loopback

    for name in ("Fault", "LoopbackHub", "Rate", "blob_id"):
        assert getattr(loopback, name) is getattr(loopback_hub, name)


def test_old_name_says_what_to_install() -> None:
    code = "import sys; sys.modules['loopback_hub'] = None; import uploader_hf.loopback"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "uploader-hf[test]"' in result.stderr.splitlines()[-1]
