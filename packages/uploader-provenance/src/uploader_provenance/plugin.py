"""Plugin ``provenance``: documents by which anyone can check a release."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from uploader_core.plugin import DocumentSpec, Resources, hookimpl
from uploader_provenance.settings import BomSettings
from uploader_provenance.signing.settings import (
    IDENTITY,
    PASSWORD,
    PRIVATE_KEY,
    ChecksumSettings,
    Settings,
)
from uploader_provenance.tensors.settings import TensorSettings


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="checksums",
        summary="SHA-256 of every file, for sha256sum",
        output="SHA256SUMS",
        scope="place",
        run="uploader_provenance.signing.checksums:write",
        settings=ChecksumSettings,
        when="uploader_provenance.signing.settings:has_checksums",
        isolation="inline",
        order=80,
    )
    # The last of a place: it is about all others as well. Two specs, of which a release has one at
    # most: who signs with a key is shown no identity, and the other way round.
    for name, when, secrets in _SIGNATURES:
        yield DocumentSpec(
            name=name,
            summary="a signature over every file, for the verifier of OpenSSF",
            output="model.sig",
            scope="place",
            run="uploader_provenance.signing.step:sign",
            check="uploader_provenance.signing.step:check",
            settings=Settings,
            when=f"uploader_provenance.signing.settings:{when}",
            secrets=secrets,
            # A job's identity is another token in each; a signature in the public log stays good.
            passing_secrets=secrets is IDENTITY,
            order=100,
        )
    yield DocumentSpec(
        name="ml-bom",
        summary="CycloneDX ML-BOM: what the artifact was made of",
        output="ml-bom.cdx.json",
        run="uploader_provenance.bom.documents:write_of_artifact",
        settings=BomSettings,
        isolation="inline",
        resources=Resources(lane="light"),
    )
    yield DocumentSpec(
        name="release-ml-bom",
        summary="CycloneDX ML-BOM of all artifacts",
        output="ml-bom.cdx.json",
        scope="release",
        run="uploader_provenance.bom.documents:write_of_release",
        check="uploader_provenance.licences.check:check",
        settings=BomSettings,
        isolation="inline",
        resources=Resources(lane="light"),
    )
    yield DocumentSpec(
        name="tensors",
        summary="a digest of every tensor, whatever file it is in",
        output="tensor_digests.json",
        run="uploader_provenance.tensors.document:write",
        settings=TensorSettings,
        when="uploader_provenance.tensors.settings:is_wanted",
        isolation="inline",
    )
    for name, scope in _SPDX:
        yield DocumentSpec(
            name=name,
            summary="SPDX 3.0.1 with the AI profile",
            output="spdx.json",
            scope=scope,
            run="uploader_provenance.bom.documents:write_spdx",
            when="uploader_provenance.bom.documents:is_spdx_wanted",
            settings=BomSettings,
            isolation="inline",
            resources=Resources(lane="light"),
        )


# One travels with each artifact, one stays in the release folder.
_SPDX: tuple[tuple[str, Literal["artifact", "release"]], ...] = (
    ("spdx", "artifact"),
    ("release-spdx", "release"),
)

_SIGNATURES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("signature", "has_key", (PRIVATE_KEY, PASSWORD)),
    ("keyless-signature", "is_keyless", IDENTITY),
)
