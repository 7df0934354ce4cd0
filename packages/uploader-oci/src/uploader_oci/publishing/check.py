"""Before anything is computed: names, login, the right to push, and tags of somebody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from uploader_core.plugin import Finding, PlanContext, UploadFile, secrets_in_sources
from uploader_oci.modelpack.facts import Facts
from uploader_oci.modelpack.forms import FORMS, pack
from uploader_oci.modelpack.layers import WEIGHT, Layer, layers_of
from uploader_oci.publishing.publish import ALLOW, foreign_tag, is_ours, options_of
from uploader_oci.publishing.tags import forms_of, no_form, quants_of, tags_of
from uploader_oci.registry.client import Registry
from uploader_oci.registry.manifests import check_manifest_size
from uploader_oci.registry.reference import Reference, parse_reference

_DOCUMENTS = 64 << 10
"""Bytes of a manifest for what a plan does not name yet: documents, licences, facts."""


def check(context: PlanContext) -> Iterable[Finding]:
    """Ask the registry whether this login may push there, and say which tags will be made.

    Raises:
        UsageError: A name that no registry takes.
        AuthError: No login, a wrong one, or one without the right to push.
        RefusedError: http to another machine, or too many files for a manifest.
        TemporaryError: The registry or the network.
    """
    place, settings = parse_reference(context.target or ""), context.settings
    yield from secrets_in_sources(context.sources, ALLOW, allowed=settings.allow_secret)
    yield from _check_forms(context, place)
    tags = planned_tags(context, place.tag)
    with Registry(
        place, secrets=context.secrets, push=True, options=options_of(settings)
    ) as registry:
        registry.check_push()
        login = registry.transport.login.origin
        yield Finding(
            level="note",
            what=f"{registry.place} can be pushed to, {f'by {login}' if login else 'by anybody'}; "
            f"{'tag' if len(tags) == 1 else 'tags'} {', '.join(tags)}",
        )
        yield from _replaced(registry, tags, settings.foreign)
    yield from _left_out(context)


def planned_tags(context: PlanContext, tag: str) -> list[str]:
    """Return the tags that the step will make, as far as the plan names its files."""
    sizes = {name: size for known in context.names.values() for name, size in known}
    quants = {
        quant: sum(sizes.get(name, 0) for name in names)
        for quant, names in quants_of(context.files, context.inputs).items()
    }
    facts, layers = _outlook(context)
    return [
        place
        for own, _ in tags_of(tag, quants)
        for place, name in forms_of(own, context.settings.format)
        if name == FORMS[0] or not layers or pack(name, facts, layers) is not None
    ]


def _left_out(context: PlanContext) -> Iterator[Finding]:
    """Say which documents are about more files than a tag has."""
    about_all = sorted(
        artifact.producer.partition("@")[0]
        for artifact in context.inputs
        if artifact.kind == "document" and artifact.path.parent.name == "places"
    )
    if about_all and len(quants_of(context.files, context.inputs)) > 1:
        yield Finding(
            level="note",
            what="each tag has one quantisation, and so nothing that is about all files: "
            f"{', '.join(about_all)}",
            next="release one quantisation, or --oci-layout single",
        )


def _replaced(registry: Registry, tags: Iterable[str], foreign: str) -> Iterator[Finding]:
    for tag in tags:
        found = registry.find_manifest(tag)
        if found is None:
            continue
        if is_ours(registry, tag):
            yield Finding(
                level="note", what=f"{tag} stands for {found.digest[:19]}..., which stays there"
            )
        elif foreign == "refuse":
            error = foreign_tag(registry, tag)
            yield Finding(level="error", what=error.what, next=error.next)
        else:
            yield Finding(
                level="warning", what=f"{registry.place}:{tag} is of no release and is replaced"
            )


def _check_forms(context: PlanContext, place: Reference) -> Iterator[Finding]:
    """Refuse a form that has no room for a kind, and what would make a manifest above the limit."""
    facts, layers = _outlook(context)
    if not layers:
        return
    together = sum(layer.suffix == "gguf" and "/" in layer.name for layer in layers)
    if together > 1:
        yield Finding(
            level="warning",
            what=f"{together} GGUF files in one tag: runners take them for the parts of one model",
            next="--oci-layout separate has a tag for each",
        )
    for _, form in forms_of(place.tag, context.settings.format):
        packed = pack(form, facts, layers)
        if packed is not None:
            check_manifest_size(len(packed.content) + _DOCUMENTS, str(place))
        elif context.settings.format != "all":
            error = no_form(form, facts)
            yield Finding(level="error", what=error.what, next=error.next)


def _outlook(context: PlanContext) -> tuple[Facts, list[Layer]]:
    """Return what one tag will hold; no layers where the plan names no files yet."""
    names = context.files or tuple(n for known in context.names.values() for n, _ in known)
    quants = quants_of(names, context.inputs)
    one = next(iter(quants.values()), [])
    others = {name for found in quants.values() for name in found if found != one}
    layers = layers_of([_planned(name, context) for name in names if name not in others])
    weights = {layer.suffix for layer in layers if layer.sort == WEIGHT}
    # Cards and licences are inputs too. An adapter in GGUF is told by its kind alone, before there
    # is a file.
    kinds = [artifact.kind for artifact in context.inputs if artifact.kind != "document"]
    facts = Facts(
        name=context.release.name,
        kind="+".join(kinds),
        role="adapter" if kinds and all("lora" in kind for kind in kinds) else "model",
        format=weights.pop() if len(weights) == 1 else "",
    )
    return facts, layers


def _planned(name: str, context: PlanContext) -> UploadFile:
    """Return what stands for a file that will be made."""
    weights = name.endswith((".gguf", ".safetensors"))
    return UploadFile(
        name=name,
        path=context.output,
        size=2**40,
        sha256="0" * 64,
        role="weights" if weights else "other",
        kind="",
    )
