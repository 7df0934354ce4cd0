"""A release for the Hub."""

from __future__ import annotations

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
