"""Before anything is computed: the address, the right to write, and what is there already."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import Finding, PlanContext, RefusedError, secrets_in_sources
from uploader_fsspec.publishing.place import ALLOW, FOREIGN, leftovers, refuse_strange
from uploader_fsspec.store.opening import open_store
from uploader_fsspec.store.s3 import SMALLEST, S3Store


def check(context: PlanContext) -> Iterable[Finding]:
    """Ask the store whether this login may write there, and say what is replaced.

    Raises:
        UsageError: It is no address.
        PluginError: Nothing that is installed speaks its protocol.
        AuthError: No login, a wrong one, or one without the right.
        RefusedError: No such bucket, or a folder with something else in it.
        TemporaryError: The store or the network.
    """
    settings = context.settings
    store = open_store(context.target or "", RefusedError)
    yield from secrets_in_sources(context.sources, ALLOW, allowed=settings.allow_secret)
    if isinstance(store, S3Store) and settings.part_size < SMALLEST:
        yield Finding(
            level="error",
            what=f"S3 takes no parts of {settings.part_size}",
            next="--fsspec-part-size 32MiB",
        )
        return
    there = store.list_all()
    refuse_strange(store, there)
    store.try_writing()
    if store.is_public():
        yield Finding(
            level="warning",
            what=f"everybody may read {store.address.protocol}://{store.address.bucket}",
            next="check the bucket's policy where the release shall be private",
        )
    kinds = [artifact.kind for artifact in context.inputs]
    left = leftovers(store, there, context.files, context.loads, kinds=kinds, documents=False)
    yield from left.findings(str(store.address), FOREIGN, settings.foreign)
