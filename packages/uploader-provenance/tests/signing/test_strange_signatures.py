"""Signatures of somebody who means no good, or of no tool: refused, each with its file named."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from signing_tools import digests_in
from uploader_core.plugin import IntegrityError, UsageError
from uploader_provenance.signing.envelope import read_bundle, to_sign, write_bundle
from uploader_provenance.signing.keys import name_of, sign
from uploader_provenance.signing.place import check_folder
from uploader_provenance.signing.statement import build_statement
from uploader_provenance.signing.verify import Trust

SOUND = json.loads(write_bundle(build_statement("m", {"a": "00" * 32}), b"signature", key="k"))


def changed(*path: Any, to: Any) -> str:
    """Return the text of a sound bundle with one thing in it put otherwise."""
    data = json.loads(json.dumps(SOUND))
    place = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{}", "3", '"model"', "\ufeff{}", "[" * 100_000, '{"mediaType": 1}',
        changed("mediaType", to="application/vnd.dev.sigstore.bundle.v0.1+json"),
        changed("verificationMaterial", to=[]),
        changed("verificationMaterial", to={"certificate": "x"}),
        changed("verificationMaterial", to={"x509CertificateChain": {"certificates": [{}]}}),
        changed("dsseEnvelope", to=None),
        changed("dsseEnvelope", "payloadType", to="text/plain"),
        changed("dsseEnvelope", "payload", to="no base64!"),
        changed("dsseEnvelope", "payload", to=7),
        changed("dsseEnvelope", "signatures", to=[]),
        changed("dsseEnvelope", "signatures", to=[{"sig": "AA=="}, {"sig": "AA=="}]),
        changed("dsseEnvelope", "signatures", to=[{"sig": None}]),
    ],
)  # fmt: skip
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match="model.sig is no signature that can be read here"):
        read_bundle(text, "model.sig")


STATEMENT = json.loads(base64.b64decode(SOUND["dsseEnvelope"]["payload"]))


@pytest.mark.parametrize(
    "statement",
    [
        [],
        {},
        {**STATEMENT, "_type": "https://in-toto.io/Statement/v0.1"},
        {**STATEMENT, "predicateType": "https://slsa.dev/provenance/v1"},
        {**STATEMENT, "subject": []},
        {**STATEMENT, "subject": [{"name": "m", "digest": {"sha256": "00" * 32}}]},
        {**STATEMENT, "predicate": {"serialization": {"method": "shards"}, "resources": []}},
        {**STATEMENT, "predicate": {**STATEMENT["predicate"], "resources": [{"name": 1}]}},
        {
            **STATEMENT,
            "predicate": {
                **STATEMENT["predicate"],
                "resources": [{"name": "a", "algorithm": "blake2b", "digest": "zz"}],
            },
        },
    ],
)
def test_what_lists_no_files_is_refused_though_the_key_is_right(
    statement: Any, folder: Path, key: Any, public_key: Path
) -> None:
    payload = json.dumps(statement).encode()
    text = write_bundle(payload, sign(key, to_sign(payload)), key=name_of(key.public_key()))
    (folder / "model.sig").write_text(text)
    with pytest.raises(IntegrityError, match="signs no list of files that can be read here"):
        check_folder(folder, Trust(key=public_key))


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"no certificate" * 100])
def test_what_is_no_certificate_is_refused(
    der: bytes, folder: Path, key: Any, tmp_path: Path
) -> None:
    from signing_tools import PEM, Authority

    root = tmp_path / "root.pem"
    root.write_bytes(Authority().certificate.public_bytes(PEM))
    payload = build_statement("model", digests_in(folder))
    text = write_bundle(payload, sign(key, to_sign(payload)), certificates=[der, der])
    (folder / "model.sig").write_text(text)
    with pytest.raises(IntegrityError, match="carries what is no certificate"):
        check_folder(folder, Trust(roots=(root,)))


@pytest.mark.parametrize(
    ("trust", "said"),
    [
        ({}, "whose signature do you trust"),
        ({"identity": "a job"}, "--identity and --issuer go together"),
        ({"issuer": "a CI"}, "--identity and --issuer go together"),
        ({"roots": (Path("root.pem"),)}, "--key and --certificates are given"),
    ],
)
def test_nothing_is_checked_against_less_than_was_asked_for(
    trust: dict[str, Any], said: str, folder: Path, public_key: Path
) -> None:
    (folder / "model.sig").write_text(json.dumps(SOUND))
    more = {"key": public_key} if "roots" in trust else {}
    with pytest.raises(UsageError, match=said) as caught:
        check_folder(folder, Trust(**more, **trust))
    assert caught.value.next


def test_a_signature_of_any_size_is_not_read(folder: Path, public_key: Path) -> None:
    with (folder / "model.sig").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(IntegrityError, match="is no signature .* larger than"):
        check_folder(folder, Trust(key=public_key))


def test_a_folder_without_a_signature_is_not_signed(folder: Path, public_key: Path) -> None:
    with pytest.raises(IntegrityError, match="has no model.sig"):
        check_folder(folder, Trust(key=public_key))
