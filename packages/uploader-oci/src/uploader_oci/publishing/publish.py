"""Push to one tag, or several: blobs, then manifests, then everything is asked for again.

Nobody sees a part of a release: a tag is one manifest, which is put when all its blobs are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uploader_core.plugin import (
    CleanUpContext,
    IntegrityError,
    Receipt,
    RefusedError,
    StepContext,
    refuse_secrets,
)
from uploader_oci.modelpack.forms import KIND
from uploader_oci.publishing.referrers import refer
from uploader_oci.publishing.tags import Tagged, plan_tags
from uploader_oci.registry.answer import AGAIN
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.client import Registry
from uploader_oci.registry.line import Options
from uploader_oci.registry.reference import Reference, parse_reference
from uploader_oci.registry.sessions import give_up
from uploader_oci.registry.uploads import Sent

ALLOW = "--oci-allow-secret"
KEEP = 24 * 3600.0
"""Seconds for which a session of an upload that failed is kept for the next attempt."""


def options_of(settings: Any) -> Options:
    """Return how the registry is talked to."""
    return Options(
        plain_http=settings.plain_http, timeout=settings.timeout, chunk=int(settings.chunk)
    )


def upload(context: StepContext) -> Receipt:
    """Push ``context.files`` to the tag ``context.target``, and those beside it."""
    place = parse_reference(context.target or "")
    settings = context.settings
    refuse_secrets(context.files, ALLOW, allowed=settings.allow_secret)
    tags = plan_tags(
        place.tag, settings.format, context.files, context.inputs, context.release, context.work
    )
    with Registry(
        place,
        secrets=context.secrets,
        push=True,
        options=options_of(settings),
        state=context.state,
        tell=lambda text: context.progress(text, 0, None, "steps"),
    ) as registry:
        if settings.foreign == "refuse":
            refuse_foreign(registry, [tagged.tag for tagged in tags])
        sent = _Sending(context, registry, _mounts(context, place)).send(tags)
        for tagged in tags:
            _tag(registry, tagged)
        _compare(context, registry, tags)
        signatures = {tagged.tag: _refer(context, registry, tagged) for tagged in tags}
        main = tags[-1]
        found = registry.find_manifest(main.tag)
        return context.receipt(
            url=f"oci://{place}",
            revision="" if found is None else found.digest,
            private=None,  # no registry tells who may read
            # Those too that no tag has on purpose, which the plan names: the others are compared.
            files=len(context.files),
            bytes_sent=sum(one.size for one in sent),
            metadata={
                "tags": {tagged.tag: digest_of_tag(tagged) for tagged in tags},
                "signatures": {tag: digest for tag, digest in signatures.items() if digest},
                "bytes_sent_again": sum(one.again for one in sent),
                "mounted": sum(one.how == "mounted" for one in sent),
                "waits": registry.transport.waits,
            },
        )


def digest_of_tag(tagged: Tagged) -> str:
    """Return the digest of what a tag stands for."""
    return Blob.of_bytes(tagged.packed.content, tagged.tag).digest


def refuse_foreign(registry: Registry, tags: Sequence[str]) -> None:
    """Refuse tags that are there and that no release made.

    Raises:
        RefusedError: There is one.
    """
    for tag in tags:
        if registry.find_manifest(tag) is not None and not is_ours(registry, tag):
            raise foreign_tag(registry, tag)


def foreign_tag(registry: Registry, tag: str) -> RefusedError:
    """Return the error for a tag of somebody else."""
    return RefusedError(
        f"{registry.place}:{tag} is there, and no release of uploader made it",
        owner="whoever pushed it",
        safe="nothing was sent",
        next="choose another tag, or replace it: --oci-foreign replace",
    )


def is_ours(registry: Registry, tag: str) -> bool:
    """Tell whether a release made what a tag stands for."""
    annotations = registry.get_manifest(tag).parse().get("annotations")
    return isinstance(annotations, dict) and KIND in annotations


class _Sending:
    """Sends the blobs of all tags, each once."""

    def __init__(self, context: StepContext, registry: Registry, mounts: Sequence[str]) -> None:
        self._context = context
        self._registry = registry
        self._mounts = tuple(mounts)
        self._total = self._done = 0

    def send(self, tags: Sequence[Tagged]) -> list[Sent]:
        """Send what is missing; documents last."""
        files = {file.sha256: file for tagged in tags for file in tagged.files}
        order = sorted(files.values(), key=lambda file: file.role == "document")
        configs = {tagged.packed.config.digest: tagged.packed.config for tagged in tags}
        self._total = sum(file.size for file in order)
        found = [self._push(Blob.of_file(file)) for file in order]
        return [*found, *(self._registry.push_blob(config) for config in configs.values())]

    def _push(self, blob: Blob) -> Sent:
        def tell(at: int) -> None:
            percent = 100 * at // max(1, blob.size)
            text = f"sending: {blob.label} {percent}%"
            self._context.progress(text, self._done + at, self._total)

        sent = self._registry.push_blob(blob, mount_from=self._mounts, tell=tell)
        self._done += blob.size
        return sent


def _mounts(context: StepContext, place: Reference) -> list[str]:
    """Return the repositories of this registry that may have the same files."""
    others = [parse_reference(target) for target in context.targets]
    found = [*context.settings.mount_from]
    found += [other.repository for other in others if other.host == place.host]
    return [name for name in dict.fromkeys(found) if name != place.repository]


def _tag(registry: Registry, tagged: Tagged) -> None:
    """Give a tag its manifest, where it has another one or none."""
    if not registry.stands_for(tagged.tag, tagged.packed.content):
        registry.put_manifest(tagged.tag, tagged.packed.content, tagged.packed.media_type)


def _refer(context: StepContext, registry: Registry, tagged: Tagged) -> str | None:
    """Make the signature in a tag a referrer, where the registry takes such a thing."""
    try:
        return refer(registry, tagged)
    except RefusedError as error:
        # It is in the tag as a file, so nothing is lost but a way to find it.
        context.log.warning("%s takes no referrer of %s: %s", registry.host, tagged.tag, error)
        return None


def _compare(context: StepContext, registry: Registry, tags: Sequence[Tagged]) -> None:
    """Ask for every tag and every blob again.

    Raises:
        IntegrityError: Something is not there as it was sent.
    """
    for tagged in tags:
        if not registry.stands_for(tagged.tag, tagged.packed.content):
            raise _not_there(registry, f"the tag {tagged.tag}")
    layers = {x.digest: x for tagged in tags for x in tagged.packed.layers}
    for number, layer in enumerate(layers.values()):
        context.progress("comparing", number, len(layers), "files")
        if not registry.has_blob(layer.digest, layer.size):
            raise _not_there(registry, layer.name)
        if context.settings.verify == "read":
            for _ in registry.open_blob(layer.digest, layer.size):
                context.progress("comparing", number, len(layers), "files")


def _not_there(registry: Registry, what: str) -> IntegrityError:
    return IntegrityError(
        f"{what} is not in {registry.place} as it was sent", owner=registry.host, next=AGAIN
    )


def clean_up(context: CleanUpContext) -> bool:
    """Give up sessions that no attempt will go on with; keep those that one may."""
    place = parse_reference(context.target)
    kept = False
    with Registry(
        place,
        secrets=context.secrets,
        push=True,
        options=options_of(context.settings),
        state=context.state,
    ) as registry:
        for session in registry.journal:
            if context.again or (context.why == "failed" and session.age < KEEP):
                kept = True
            elif give_up(registry.transport, session):
                registry.journal.drop(session)
            else:
                kept = True
    return not kept


def tags_in(receipt: Receipt) -> Mapping[str, str]:
    """Return the tags that an upload made, with the digest of each."""
    tags = receipt.metadata.get("tags")
    return {str(k): str(v) for k, v in tags.items()} if isinstance(tags, dict) else {}
