"""From an address to its folder, with what is installed here."""

from __future__ import annotations

from typing import Any

from uploader_core.plugin import RefusedError
from uploader_fsspec.store.address import not_installed, parse_address
from uploader_fsspec.store.errors import translated
from uploader_fsspec.store.s3 import S3Store
from uploader_fsspec.store.store import Store


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
    """
    import fsspec

    address = parse_address(text)
    s3 = address.protocol in ("s3", "s3a")
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if s3:
        # s3fs asks again by itself after lost connections, and not after the store's own failures.
        options["config_kwargs"] = {"retries": {"total_max_attempts": 3, "mode": "standard"}}
    try:
        with translated(address, "opening", missing):
            filesystem, path = fsspec.core.url_to_fs(str(address), **options)
    except (ImportError, ValueError) as error:
        raise not_installed(address, error) from error
    if s3:
        return S3Store(address, filesystem, path, missing, part_size=part_size)
    return Store(address, filesystem, path, missing)
