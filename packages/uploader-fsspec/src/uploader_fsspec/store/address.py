"""Addresses of storage, ``s3://bucket/models/x``, and the packages that speak each protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from uploader_core.plugin import PluginError, UsageError

_OWN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
)
"""Variables of the stores themselves."""

EXTRAS = {
    "s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf", "abfs": "azure", "az": "azure",
    "abfss": "azure", "sftp": "sftp", "ssh": "sftp",
}  # fmt: skip
"""Extra of this distribution that brings what speaks a protocol."""

_ARGUMENTS = (
    "KEY", "SECRET", "TOKEN", "PASSWORD", "PASSPHRASE", "ACCOUNT_KEY", "CONNECTION_STRING",
    "SAS_TOKEN", "CREDENTIAL", "CLIENT_SECRET",
)  # fmt: skip

SECRETS = (
    *_OWN,
    # fsspec's configuration: one argument of an implementation, or all of them as JSON.
    *(f"FSSPEC_{protocol.upper()}_{name}" for protocol in EXTRAS for name in _ARGUMENTS),
    *(f"FSSPEC_{protocol.upper()}" for protocol in EXTRAS),
)
"""Variables in which fsspec's implementations look for credentials."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a folder of a store is.

    Attributes:
        protocol: ``s3``.
        path: What follows ``://``, without slashes at its end.
    """

    protocol: str
    path: str

    def __str__(self) -> str:
        return f"{self.protocol}://{self.path}"

    @property
    def bucket(self) -> str:
        """The first part of the path."""
        return self.path.partition("/")[0]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def local(self) -> Path | None:
        """The folder of this machine that it names, None where it names none."""
        if self.protocol not in ("file", "local"):
            return None
        return Path(url2pathname(self.path.removeprefix("localhost")))

    def how_to_install(self) -> str:
        """Return what installs what speaks the protocol."""
        extra = EXTRAS.get(self.protocol)
        if extra:
            return f'pip install "uploader-fsspec[{extra}]"'
        return f"install what brings {self.protocol}:// to fsspec, or one of " + ", ".join(
            f"{name}://" for name in sorted(EXTRAS)
        )


def parse_address(text: str) -> Address:
    """Read ``protocol://path``.

    Raises:
        UsageError: It has another form, or a password in it.
    """
    protocol, mark, path = text.partition("://")
    path = path.rstrip("/")
    if not mark or not path:
        raise UsageError(
            f"{text!r} names no folder of a store", next="for example s3://bucket/models/my-model"
        )
    if "@" in path and urlsplit(text).password:
        raise UsageError(
            f"the address of {protocol}://... holds a password",
            safe="nothing was asked or written",
            next="take it out: addresses are written into logs and manifests; put it where "
            f"{protocol} looks for credentials",
        )
    return Address(protocol=protocol, path=path)


def not_installed(address: Address, error: Exception) -> PluginError:
    """Return the error of a protocol that nothing installed speaks."""
    return PluginError(
        f"nothing that is installed speaks {address.protocol}://: {error}",
        owner=str(address),
        safe="nothing was asked or written",
        next=address.how_to_install(),
    )
