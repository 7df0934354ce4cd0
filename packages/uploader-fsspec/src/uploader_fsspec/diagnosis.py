"""What ``uploader doctor`` should know of storage: which protocols can be spoken here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from uploader_core.plugin import Diagnosis

_MODULES = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs", "sftp": "paramiko"}


def diagnose(*, online: bool) -> Iterator[Diagnosis]:
    """Look at what is installed; no store is asked, for nobody says which."""
    del online
    from uploader_fsspec.store.address import Address

    here = [name for name, module in _MODULES.items() if importlib.util.find_spec(module)]
    missing = [name for name in _MODULES if name not in here]
    if here:
        what = ", ".join(f"{name}://" for name in here)
        yield Diagnosis(name="storage", level="ok", what=f"{what} can be reached")
    if missing:
        how = [Address(protocol=name, path="x").how_to_install() for name in missing]
        yield Diagnosis(
            name="storage",
            level="ok" if here else "warn",
            what=f"{', '.join(f'{name}://' for name in missing)} cannot, for lack of a package",
            fix="; ".join(how),
        )
