"""A Hub on this machine and the unmodified client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_login import client_of, logged_in_hub
from loopback_hub import LoopbackHub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with logged_in_hub(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def api(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> Any:
    return client_of(hub, monkeypatch)
