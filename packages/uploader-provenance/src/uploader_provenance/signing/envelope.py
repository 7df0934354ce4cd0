"""The file ``model.sig``: a bundle of Sigstore with an envelope (DSSE) around a statement."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import IntegrityError, parse_json, read_text
from uploader_provenance.signing.statement import PAYLOAD_TYPE

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

_LARGEST = 64 << 20
"""Bytes of a signature; one over a hundred thousand files has 20 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A signature with what it signs, and by what it can be checked.

    Attributes:
        payload: What is signed.
        signature: Over :func:`to_sign` of it, in DER.
        key: Names the key by the digest of its public half; "" where it is not named.
        certificates: In DER: that of the key, then those of who vouches for it. Empty for a bare
            key.
        keyless: Whether the certificate was given for a login, and a public log has the signature.
    """

    payload: bytes
    signature: bytes
    key: str = ""
    certificates: tuple[bytes, ...] = ()
    keyless: bool = False


def to_sign(payload: bytes) -> bytes:
    """Return the bytes whose signature stands in the envelope (PAE of DSSE)."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def write_bundle(
    payload: bytes, signature: bytes, *, key: str = "", certificates: Sequence[bytes] = ()
) -> str:
    """Return the text of a bundle, by a named key or by certificates in DER."""
    if certificates:
        chain = [{"rawBytes": _text(der)} for der in certificates]
        material: dict[str, object] = {"x509CertificateChain": {"certificates": chain}}
    else:
        material = {"publicKey": {"hint": key}}
    return json.dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {**material, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": _text(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": _text(signature), "keyid": ""}],
            },
        },
        separators=(",", ":"),
    )


def read_bundle(text: str | bytes, where: str) -> Bundle:
    """Take a bundle apart; nothing in it is believed yet.

    Args:
        text: Content of the file.
        where: It was found, for messages.

    Raises:
        IntegrityError: It is no bundle with one signature over an in-toto statement.
    """
    try:
        data = parse_json(text)
        if data["mediaType"] != MEDIA_TYPE:
            raise ValueError(f"its type is {data['mediaType']!r}")
        envelope, material = data["dsseEnvelope"], data["verificationMaterial"]
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"it signs {envelope['payloadType']!r}")
        (signature,) = envelope["signatures"]
        chain = (material.get("x509CertificateChain") or {}).get("certificates", [])
        single = material.get("certificate")
        found = chain or ([single] if single else [])
        return Bundle(
            payload=_bytes(envelope["payload"]),
            signature=_bytes(signature["sig"]),
            key=str((material.get("publicKey") or {}).get("hint") or ""),
            certificates=tuple(_bytes(one["rawBytes"]) for one in found),
            keyless=bool(single or material.get("tlogEntries")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(where, error) from error


def read_signature(path: Path) -> bytes:
    """Return the text of a ``model.sig``.

    Raises:
        IntegrityError: It cannot be read, or is far too large for one.
    """
    try:
        return read_text(path, most=_LARGEST).encode()
    except (OSError, ValueError) as error:
        raise unreadable(str(path), error) from error


def unreadable(where: str, why: object) -> IntegrityError:
    """Return the error for what is no signature."""
    return IntegrityError(
        f"{where} is no signature that can be read here: {why}",
        owner="whoever signed it",
        safe="nothing was changed",
        next="have it signed again, or get the folder from where it was published",
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
