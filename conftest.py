"""For the tests of every package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_pace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """How long a run of a test takes is no measurement that a user should be shown."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPLOADER_PACE", str(tmp_path_factory.mktemp("pace") / "pace.json"))
        yield
