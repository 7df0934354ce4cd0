"""A release through Xet, with the command, its workers and the client's own store."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import LoopbackHub

hf_xet = pytest.importorskip("hf_xet")


@pytest.mark.skipif(not hasattr(hf_xet, "XetSession"), reason="this hf_xet is too old")
def test_release_arrives_through_xet(uploader: Any, fine_tune: Path, tmp_path: Path) -> None:
    with LoopbackHub(tmp_path / "hub", xet=True) as hub:
        uploader.environment |= {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": hub.token("me"),
            "HF_HOME": str(tmp_path / "hf-home"),
        }
        arguments = ("run", fine_tune, "--plugins", "merged-16bit", "--to", "hf:me/tiny", "--yes",
                     "--json")  # fmt: skip
        result = uploader(*arguments)
        assert result.returncode == 0, result.stderr
        report = json.loads(result.stdout)
        receipts = [step["receipt"] for step in report["steps"] if step["receipt"]]
        assert [receipt["metadata"]["transport"] for receipt in receipts] == ["xet"]
        assert not any("/_lfs/" in line for line in hub.requests)
        weights = Path(report["output"]) / "merged-16bit" / "model.safetensors"
        stored = hub.store.repos["me/tiny"].resolve("main").files["model.safetensors"]
        assert stored.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert uploader("verify", "hf:me/tiny").returncode == 0
