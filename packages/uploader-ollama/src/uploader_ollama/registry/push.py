"""The upload: all blobs, then a manifest for each tag, the plain one last; then everything again.

No Ollama is asked. Nothing is at a tag before all that it names is there, so whoever pulls gets the
whole model or the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping

from uploader_core.plugin import IntegrityError, Json, Receipt, StepContext, refuse_secrets
from uploader_oci.registry.blob import digest_of
from uploader_oci.registry.client import Registry
from uploader_oci.registry.manifests import DOCKER_MANIFEST, check_manifest_size
from uploader_ollama.model.pieces import find_pieces
from uploader_ollama.registry.content import Layer, config_of, layers_of, manifest_of
from uploader_ollama.registry.place import open_registry, read_place
from uploader_ollama.registry.verify import tags_there
from uploader_ollama.settings import ALLOW


def upload(context: StepContext) -> Receipt:
    """Push the models of ``context.files``, and prove them."""
    settings = context.settings
    place, asked = read_place(context.target or "")
    refuse_secrets(context.files, ALLOW, allowed=settings.allow_secret)
    pieces = find_pieces(context.files, context.inputs, settings)
    tags = pieces.tags(asked, settings.default)
    wanted: dict[str, tuple[bytes, list[Layer]]] = {}
    for piece in pieces.models:
        layers = layers_of(piece, pieces)
        config = config_of(piece.facts, pieces)
        manifest = manifest_of(config, layers)
        check_manifest_size(len(manifest), str(place))
        wanted |= dict.fromkeys(tags[piece.kind], (manifest, [config, *layers]))
    plain = max(tags.values(), key=len)[-1]
    order = sorted(wanted, key=lambda tag: tag == plain)

    def tell(text: str) -> None:
        context.progress(text, 0, None, "steps")

    with open_registry(
        place, settings, context.secrets, push=True, state=context.state, tell=tell
    ) as registry:
        before = tags_there(registry, plain, asked)
        sent = _send(context, registry, [layer for _, some in wanted.values() for layer in some])
        for tag in order:
            content = wanted[tag][0]
            if not registry.stands_for(tag, content):
                registry.put_manifest(tag, content, DOCKER_MANIFEST)
                sent += len(content)
        _verify(context, registry, wanted)
        left = [tag for tag in before if tag not in wanted and registry.find_manifest(tag)]
    if left:
        context.log.warning(
            "%s still has an earlier release at %s", registry.place, ", ".join(sorted(left))
        )
    digests: dict[str, Json] = {tag: digest_of(wanted[tag][0]) for tag in order}
    return context.receipt(
        url=str(place.tagged(plain)),
        revision=str(digests[plain]),
        files=len(context.files),
        bytes_sent=sent,
        metadata={"tags": digests, "tags_of_earlier_releases": [*sorted(left)]},
    )


def _send(context: StepContext, registry: Registry, layers: list[Layer]) -> int:
    """Bring every blob once; return the bytes that went over the network."""
    blobs = {layer.blob.digest: layer.blob for layer in layers}
    total, done, sent = sum(blob.size for blob in blobs.values()), 0, 0
    for blob in blobs.values():

        def there(size: int, label: str = blob.label, before: int = done) -> None:
            context.progress(f"sending: {label}", before + size, total)

        sent += registry.push_blob(blob, tell=there).size
        done += blob.size
    return sent


def _verify(
    context: StepContext, registry: Registry, wanted: Mapping[str, tuple[bytes, list[Layer]]]
) -> None:
    """Ask for every tag and every blob again.

    Raises:
        IntegrityError: One is missing or another.
    """
    context.progress("verifying", 0, len(wanted), "steps")
    for tag, (content, layers) in wanted.items():
        if not registry.stands_for(tag, content):
            raise _wrong(registry, f"the tag {tag} is another manifest")
        for layer in layers:
            if not registry.has_blob(layer.blob.digest, layer.blob.size):
                raise _wrong(registry, f"{layer.blob.label} is not there as it was sent")


def _wrong(registry: Registry, why: str) -> IntegrityError:
    return IntegrityError(
        f"{registry.place} is not what was sent: {why}",
        owner="the registry, or another upload at the same time",
        safe="the release folder is whole",
        next="run the same command again",
    )
