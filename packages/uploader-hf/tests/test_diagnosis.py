"""Lines of ``uploader doctor`` about the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from uploader_hf.diagnosis import diagnose


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf"


def lines(*, online: bool = False) -> dict[str, tuple[str, str]]:
    return {line.name: (line.level, line.what) for line in diagnose(online=online)}


def test_login(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines()["login"][0] == "warn"
    home.mkdir()
    (home / "token").write_text("hf_canary")
    assert lines()["login"] == ("ok", f"stored in {home / 'token'}")
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    said = lines()
    assert said["login"] == ("ok", "by HF_TOKEN")
    assert "canary" not in str(said)
    monkeypatch.setenv("HF_OIDC_RESOURCE", "me/model")
    assert lines(online=True)["login"] == ("ok", "by the identity of a CI's job")


def test_cache_and_network(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(home / "hub") in lines()["cache"][1]
    assert lines()["network"][0] == "ok"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert lines()["network"][0] == "warn"
    assert not home.exists()  # looking makes nothing


def test_account(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_TOKEN")  # the fixture logs in
    assert lines(online=True)["account"][0] == "warn"
    monkeypatch.setenv("HF_TOKEN", hub.token("me"))
    level, what = lines(online=True)["account"]
    assert (level, what) == ("ok", f"me, at {hub.url}")
    monkeypatch.setenv("HF_TOKEN", "hf_notthisone")
    level, what = lines(online=True)["account"]
    assert level == "fail"
    assert "notthisone" not in what
