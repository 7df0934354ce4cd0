"""Imports that were documented before stay."""

from __future__ import annotations

import subprocess
import sys

import pytest

import uploader_kit
import uploader_kit.faults
import uploader_kit.fixtures


def test_conformance_kit_by_its_old_name() -> None:
    from uploader_core import testing

    assert all(getattr(testing, name) is getattr(uploader_kit, name) for name in testing.__all__)
    newer = {"ExecutorConformance", "make_input"}
    assert {*testing.__all__} == {*uploader_kit.__all__} - newer


@pytest.mark.parametrize(
    ("module", "name"), [("faults", "Campaign"), ("fixtures", "make_model"), ("faults", "digests")]
)
def test_module_of_the_kit_by_its_old_name(module: str, name: str) -> None:
    old = __import__(f"uploader_core.testing.{module}", fromlist=[name])
    assert getattr(old, name) is getattr(getattr(uploader_kit, module), name)


def test_old_name_says_what_to_install() -> None:
    code = "import sys; sys.modules['uploader_kit'] = None; import uploader_core.testing"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "uploader-core[testing]"' in result.stderr.splitlines()[-1]
