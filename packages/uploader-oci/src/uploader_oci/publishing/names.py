"""Which tag a format goes to: the one that was asked for, and others after their kinds."""

from __future__ import annotations

from collections.abc import Mapping

from uploader_core.plugin import GroupContext, UploadGroup, UsageError
from uploader_oci.registry.reference import LATEST, check_tag, parse_reference, suggest_tag

MAIN = ("merged-16bit", "gguf")
"""Kinds that people mean by the name of a model, in this order; else the first of the plan."""


def group(context: GroupContext) -> tuple[UploadGroup, ...]:
    """Split a request for ``oci:host/repo:tag`` into tags, one for each kind.

    The main kind gets the tag itself, the others ``TAG-KIND``; beside ``latest`` they are ``KIND``.

    Raises:
        UsageError: A name that registries do not take, a digest, a tag for a kind that is not part
            of the request, or one for two kinds.
    """
    place = parse_reference(context.target)
    if place.digest:
        raise UsageError(
            f"{context.target} names a digest, and what is there never changes",
            owner="--to oci:",
            safe="nothing was sent",
            next=f"--to oci:{place.host}/{place.repository}:TAG",
        )
    chosen = _chosen(context.settings.tag)
    if context.settings.layout == "single":
        if chosen:
            raise UsageError(
                "--oci-tag names a tag per format, and --oci-layout single has only one",
                next="leave one of the two out",
            )
        return (UploadGroup(target=str(place), kinds=context.kinds),)
    for kind in chosen.keys() - {*context.kinds}:
        raise UsageError(
            f"--oci-tag {kind}=...: this release has no {kind}",
            next=f"it has {', '.join(context.kinds)}",
        )
    main = next((kind for kind in MAIN if kind in context.kinds), context.kinds[0])
    groups: dict[str, UploadGroup] = {}
    for kind in context.kinds:
        tag = chosen.get(kind) or (place.tag if kind == main else beside(place.tag, kind))
        target = str(place.tagged(tag))
        if target in groups:
            raise UsageError(
                f"{target} would hold {groups[target].kinds[0]} and {kind}",
                next=f"--oci-tag {kind}=ANOTHER-TAG, or --oci-layout single for sub-folders",
            )
        groups[target] = UploadGroup(target=target, kinds=(kind,), flatten=True, documents=False)
    return tuple(groups.values())


def beside(tag: str, name: str) -> str:
    """Return the tag for something beside what a tag stands for (``v1-lora``; ``lora``)."""
    name = suggest_tag(name.replace(".", "-"))
    return check_tag(name if tag == LATEST else f"{tag}-{name}")


def _chosen(options: tuple[str, ...]) -> Mapping[str, str]:
    """Read ``KIND=TAG``."""
    found = {}
    for option in options:
        kind, equals, tag = option.partition("=")
        if not equals or not kind:
            raise UsageError(
                f"--oci-tag {option!r} is not of the form KIND=TAG",
                next="for example --oci-tag gguf=q4",
            )
        found[kind] = check_tag(tag, owner=f"--oci-tag {kind}=")
    return found
