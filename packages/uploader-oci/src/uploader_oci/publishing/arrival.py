"""Whether what an earlier run brought to its tags is what they stand for now: a request each."""

from __future__ import annotations

from uploader_core.plugin import ArrivalContext
from uploader_oci.publishing.publish import options_of, tags_in
from uploader_oci.registry.client import Registry
from uploader_oci.registry.reference import parse_reference


def still_there(context: ArrivalContext) -> bool:
    """Tell whether every tag has the digest that was compared then.

    Raises:
        UploaderError: The repository is not there, or not for this login; or the network.
    """
    tags = tags_in(context.receipt)
    with Registry(
        parse_reference(context.target),
        secrets=context.secrets,
        options=options_of(context.settings),
    ) as registry:
        found = {tag: registry.find_manifest(tag) for tag in tags}
    return bool(tags) and all(
        manifest is not None and manifest.digest == tags[tag] for tag, manifest in found.items()
    )
