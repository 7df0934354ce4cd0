"""A report of the kit on a plugin: versions, what came of every rule, a tier, and a signature.

A signature says who vouches for a report; that the tier follows from the rules, anybody can
compute.
"""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import importlib_metadata

from uploader_core.disk.safe_write import write_json
from uploader_core.errors import IntegrityError, UsageError
from uploader_core.plugins.registry import Registry
from uploader_core.untrusted_json import JsonData, parse_json
from uploader_kit.rules import ABOUT
from uploader_kit.tiers import Outcome, tier_of

SCHEMA = 1
_ALGORITHM = "ed25519"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report(JsonData):
    """What the kit found about the plugins of one distribution.

    Attributes:
        schema: Version of this form.
        plugins: Distribution and version by plugin id.
        versions: Of core, kit and Python.
        system: Where it was run.
        specs: Type of each spec, by plugin id and name.
        rules: What came of each check.
        tier: As :func:`~uploader_kit.tiers.tier_of` computes it.
        lacking: What the next tier lacks.
        signature: Algorithm, public key and value, in base64; empty where it is not signed.
    """

    schema: int = SCHEMA
    plugins: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    system: str = ""
    specs: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Outcome, ...] = ()
    tier: str = ""
    lacking: tuple[str, ...] = ()
    signature: Mapping[str, str] = field(default_factory=dict)

    @property
    def signed_bytes(self) -> bytes:
        """What a signature is about: everything else, in one way of writing it."""
        data = {**self.to_json(), "signature": {}}
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("utf-8")


def make_report(outcomes: Iterable[Outcome], registry: Registry) -> Report:
    """Describe what came of the checks of a distribution.

    Args:
        outcomes: Of every check.
        registry: Installed plugins.
    """
    rules = tuple(outcomes)
    ids = sorted({outcome.spec.partition(":")[0] for outcome in rules if outcome.spec})
    loaded = [registry.load(plugin_id) for plugin_id in ids]
    specs = {
        f"{plugin.id}:{spec.name}": type(spec).__name__
        for plugin in loaded
        for spec in plugin.specs
        if type(spec).__name__ in ABOUT
    }
    # What has no step of its own, such as a source, is checked as a plugin.
    specs |= {i: "plugin" for i in ids if not any(name.startswith(f"{i}:") for name in specs)}
    tier, lacking = tier_of(rules, specs)
    return Report(
        plugins={plugin.id: plugin.entry.owner for plugin in loaded},
        versions={
            "uploader-core": importlib_metadata.version("uploader-core"),
            "uploader-kit": importlib_metadata.version("uploader-kit"),
            "python": platform.python_version(),
        },
        system=f"{platform.system()} {platform.machine()}",
        specs=specs,
        rules=rules,
        tier=tier,
        lacking=tuple(lacking),
    )


def write_report(report: Report, path: Path, key: Path | None = None) -> Report:
    """Write a report, signed where there is a key, and return what was written.

    Args:
        report: What to write.
        path: Where to.
        key: PEM file of an Ed25519 private key (``openssl genpkey -algorithm ed25519``).

    Raises:
        UsageError: The key cannot be read, or the library that signs is not installed.
    """
    if key is not None:
        report = Report.from_json({**report.to_json(), "signature": _sign(report, key)})
    write_json(path, report.to_json())
    return report


def verify_report(path: Path, key: Path | None = None) -> list[str]:
    """Check that the tier of a report follows from its rules, and its signature.

    Args:
        path: The report.
        key: PEM file of the public key that shall have signed it.

    Returns:
        What holds, in sentences.

    Raises:
        IntegrityError: The tier or the signature does not hold.
        UsageError: It is no report, or the library for signatures is not installed.
    """
    try:
        report = Report.from_json(parse_json(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no report of the kit: {error}") from error
    plugins = ", ".join(report.plugins.values())
    tier, _ = tier_of(report.rules, report.specs)
    if tier != report.tier:
        raise IntegrityError(
            f"{path} says {report.tier}, and its outcomes come to {tier} by the rules of this kit",
            owner=str(path),
            next="ask for a report that the kit wrote: uploader plugins check ID --report FILE",
        )
    said = [f"{plugins}: {tier}, as the {len(report.rules)} outcomes come to"]
    if not report.signature:
        if key is not None:
            raise IntegrityError(
                f"{path} is not signed", next="ask its author for one that is signed: --key FILE"
            )
        return [*said, "it is not signed: nothing says who wrote it"]
    return [*said, _check_signature(report, path, key)]


def _sign(report: Report, key: Path) -> Mapping[str, str]:
    private = _load(key)
    if not hasattr(private, "sign"):
        raise UsageError(f"{key} holds a public key; signing takes the private one")
    return {
        "algorithm": _ALGORITHM,
        "key": _text(private.public_key().public_bytes_raw()),
        "value": _text(private.sign(report.signed_bytes)),
    }


def _check_signature(report: Report, path: Path, key: Path | None) -> str:
    from cryptography.exceptions import InvalidSignature

    ed25519 = _library()
    given = report.signature.get("key", "")
    try:
        public: Any = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(given))
        public.verify(base64.b64decode(report.signature.get("value", "")), report.signed_bytes)
    except (ValueError, InvalidSignature) as error:
        raise IntegrityError(
            f"the signature of {path} does not hold: it was changed after it was signed",
            owner=str(path),
            next="ask its author for the report as it was written",
        ) from error
    if key is not None:
        wanted = _load(key)
        wanted = wanted.public_key() if hasattr(wanted, "sign") else wanted
        if _text(wanted.public_bytes_raw()) != given:
            raise IntegrityError(
                f"{path} was signed with another key than {key}", owner=f"key {given}"
            )
    return f"the signature holds, by the key {given}"


def _load(path: Path) -> Any:
    """Read a PEM file with a key of the algorithm, private or public."""
    ed25519 = _library()
    from cryptography.hazmat.primitives import serialization

    try:
        data = path.read_bytes()
        if b"PRIVATE" in data:
            key: Any = serialization.load_pem_private_key(data, password=None)
        else:
            key = serialization.load_pem_public_key(data)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} holds no key that can be read: {error}",
            next="openssl genpkey -algorithm ed25519 -out key.pem",
        ) from error
    if not isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        raise UsageError(
            f"{path} holds a key of another kind",
            next="openssl genpkey -algorithm ed25519 -out key.pem",
        )
    return key


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise UsageError(
            "signatures need the library cryptography", next='pip install "uploader-kit[sign]"'
        ) from error
    return ed25519


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
