"""Reports: written by a check, signed, and noticed when they were changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uploader_core.errors import IntegrityError, UsageError
from uploader_core.plugins.registry import Registry
from uploader_kit.report import Report, make_report, verify_report, write_report
from uploader_kit.rules import ABOUT
from uploader_kit.tiers import Outcome


def report() -> Report:
    outcomes = [
        Outcome(rule=r.number, subject="T", about=about, spec=spec, check=r.check, outcome="passed")
        for spec, about in (("lora:lora", "SaveSpec"), ("lora:lora-use", "DocumentSpec"))
        for r in ABOUT[about]
    ]
    return make_report(outcomes, Registry())


@pytest.fixture
def keys(tmp_path: Path) -> list[Path]:
    """The private keys of two people."""
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization as form

    paths = [tmp_path / "mine.pem", tmp_path / "other.pem"]
    for path in paths:
        private = ed25519.Ed25519PrivateKey.generate()
        path.write_bytes(
            private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        )
    return paths


def test_command_writes_versions_and_every_outcome_also_of_what_could_not_be_tried(
    uploader: Any, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    result = uploader("plugins", "check", "dir", "--report", path)
    assert result.returncode == 0, result.stderr
    data = json.loads(path.read_text("utf-8"))
    assert data["plugins"]["dir"].startswith("uploader-core ")
    assert {*data["versions"]} == {"uploader-core", "uploader-kit", "python"}
    arrives = next(rule for rule in data["rules"] if rule["rule"] == "R401")
    assert arrives["outcome"] == "skipped"
    assert "only the author of uploader-core knows a server" in arrives["why"]
    assert "uploader plugins check ." in arrives["why"]
    assert "could not be tried here" in result.stdout
    assert data["tier"] == "none"  # there was no server
    assert "tier none" in result.stdout
    told = uploader("plugins", "check", "--verify-report", path)
    assert told.returncode == 0, told.stderr
    assert "not signed" in told.stdout


def test_tier_that_somebody_wrote_down_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(report(), path)
    assert "platinum" in verify_report(path)[0]
    data = json.loads(path.read_text("utf-8"))
    data["rules"] = [rule for rule in data["rules"] if rule["rule"] != "R207"]
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(IntegrityError, match="says platinum, and its outcomes come to bronze"):
        verify_report(path)


def test_signature_holds_until_a_byte_is_changed(tmp_path: Path, keys: list[Path]) -> None:
    path = tmp_path / "report.json"
    write_report(report(), path, keys[0])
    assert "the signature holds" in verify_report(path, keys[0])[1]
    path.write_text(path.read_text("utf-8").replace("Linux", "Linus"), "utf-8")
    with pytest.raises(IntegrityError, match="changed after it was signed"):
        verify_report(path)


def test_signature_of_somebody_else_is_no_proof(tmp_path: Path, keys: list[Path]) -> None:
    path = tmp_path / "report.json"
    write_report(report(), path, keys[1])
    with pytest.raises(IntegrityError, match="another key"):
        verify_report(path, keys[0])
    write_report(report(), path)
    with pytest.raises(IntegrityError, match="not signed"):
        verify_report(path, keys[0])


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    key = tmp_path / "key.pem"
    key.write_text("no key", "utf-8")
    with pytest.raises(UsageError, match="no key that can be read"):
        write_report(report(), tmp_path / "report.json", key)
