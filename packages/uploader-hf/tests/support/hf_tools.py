"""A release for the Hub, and a process that is logged in there."""

from __future__ import annotations

import pytest

from loopback_hub import LoopbackHub
from uploader_core.api import Registry
from uploader_core.contract.specs import MakeSpec
from uploader_core.plugin import ReleaseInfo

RELEASE = ReleaseInfo(name="tiny", source="adapter", base_model="acme/base", base_is_hub_id=True)


CARDS = {
    spec.produces: spec.card
    for plugin_id in ("lora", "merged", "gguf")
    for spec in Registry().load(plugin_id).of(MakeSpec)
    if spec.card is not None
}
"""What the formats say for cards, as a run hands it on."""


def log_in(server: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point this process at a Hub, as ``me``."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    # A worker has the variable before it imports the client; this process had not.
    where = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    for module in ("constants", "file_download"):  # 0.36 keeps a second reference to it
        name = f"huggingface_hub.{module}.HUGGINGFACE_CO_URL_TEMPLATE"
        monkeypatch.setattr(name, where, raising=False)
    monkeypatch.setenv("HF_TOKEN", server.token("me"))
