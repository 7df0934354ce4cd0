"""From an address to its folder, with what is installed here."""

from __future__ import annotations

from typing import Any

from uploader_core.plugin import RefusedError
from uploader_fsspec.store.address import EXTRAS, Address, not_installed, parse_address
from uploader_fsspec.store.errors import how_to_log_in, translated
from uploader_fsspec.store.s3 import S3Store
from uploader_fsspec.store.store import Store

_S3 = ("s3", "s3a")


def open_store(text: str, missing: type[RefusedError], *, part_size: int = 32 << 20) -> Store:
    """Open the folder of an address.

    Credentials and endpoints are found as the implementation finds them: in variables, profiles,
    and fsspec's own configuration.

    Args:
        text: ``protocol://path``.
        missing: Class of the error where something is not there.
        part_size: Bytes of a part of a large file.

    Raises:
        UsageError: It is no address.
        PluginError: Nothing that is installed speaks the protocol.
        RefusedError: What speaks it lacks something, such as a login.
    """
    address = parse_address(text)
    try:
        with translated(address, "opening", missing):
            filesystem, path = _connected(address)
    except ImportError as error:
        raise not_installed(address, error) from error
    except ValueError as error:
        if "protocol not known" in str(error).lower():
            raise not_installed(address, error) from error
        raise RefusedError(
            f"{address} cannot be opened: {error}",
            owner=address.bucket,
            safe="nothing was asked or written",
            next=how_to_log_in(address),
        ) from error
    if address.protocol in _S3:
        return S3Store(address, filesystem, path, missing, part_size=part_size)
    return Store(address, filesystem, path, missing, another=lambda: _connected(address)[0])


def _connected(address: Address) -> tuple[Any, str]:
    """Return a file system that nobody else has, and the path in it."""
    import fsspec

    if EXTRAS.get(address.protocol) == "sftp":
        from uploader_fsspec.store.sftp import SshFileSystem

        url = str(address)
        arguments = SshFileSystem._get_kwargs_from_urls(url)
        return (
            SshFileSystem(**arguments, skip_instance_cache=True),
            SshFileSystem._strip_protocol(url),
        )
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if address.protocol in _S3:
        # s3fs asks again by itself after lost connections, and not after the store's own failures.
        options["config_kwargs"] = {"retries": {"total_max_attempts": 3, "mode": "standard"}}
    found: tuple[Any, str] = fsspec.core.url_to_fs(str(address), **options)
    return found
