"""Which file system a folder is on, and what that means for gigabytes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

Speed = Literal["local", "memory", "network", "bridge"]
"""``bridge``: a disk of the host that a virtual machine or WSL sees through a protocol."""

_NETWORK = {
    "nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre",
    "gpfs", "beegfs", "davfs", "sshfs", "afpfs", "webdav",
}  # fmt: skip
_BRIDGE = {"9p", "drvfs", "v9fs", "vboxsf", "prl_fs", "vmhgfs", "fuse.vmhgfs-fuse", "virtiofs"}
_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
_LOCAL_FUSE = {"fuseblk", "fuse.ntfs-3g", "fuse.ntfs", "fuse.mergerfs", "fuse.fuse-overlayfs"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """One mounted file system.

    Attributes:
        point: Where it is mounted.
        kind: Type, as the system spells it (``ext4``, ``9p``).
        source: What is mounted there (``/dev/sda1``, ``C:\\``).
    """

    point: PurePath
    kind: str
    source: str = ""

    @property
    def speed(self) -> Speed:
        return speed_of(self.kind, self.source)


def speed_of(kind: str, source: str = "") -> Speed:
    """Return what type of medium a file system's type stands for.

    Args:
        kind: Type.
        source: What is mounted.
    """
    kind = kind.lower()
    # WSL 1 mounts its own root as lxfs and drives of Windows as drvfs; WSL 2 drives as 9p.
    if kind in _BRIDGE:
        return "bridge"
    if kind in _MEMORY:
        return "memory"
    if kind in _NETWORK or source.startswith("//"):
        return "network"
    if kind.startswith("fuse") and kind not in _LOCAL_FUSE:
        return "network"
    return "local"


def slow_because(mount: Mount) -> str | None:
    """Say why large files are slow on a file system; None where they are not."""
    what = f"{mount.point} is {mount.kind}"
    if mount.kind in ("9p", "drvfs"):
        return f"{what}, a disk of Windows seen from Linux: large files take several times longer"
    if mount.speed == "bridge":
        return f"{what}, a folder of the host: large files take several times longer"
    if mount.speed == "network":
        return f"{what}, reached over the network or through another program"
    return None


def mounts() -> Iterator[Mount]:
    """Yield the mounted file systems, in the order in which they were mounted.

    Raises:
        OSError: The system does not say.
    """
    import psutil

    for found in psutil.disk_partitions(all=True):
        yield Mount(point=PurePath(found.mountpoint), kind=found.fstype, source=found.device)


def mount_of(path: PurePath, mounts: Iterable[Mount]) -> Mount | None:
    """Return the file system that a path lies on: the innermost, and of those the latest mounted.

    Args:
        path: Absolute, links resolved.
        mounts: In the order in which they were mounted.
    """
    best: Mount | None = None
    for mount in mounts:
        inside = path.is_relative_to(mount.point)
        if inside and (best is None or len(mount.point.parts) >= len(best.point.parts)):
            best = mount
    return best


def existing(path: Path) -> Path:
    """Return the path, or the closest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def find_mount(path: Path) -> Mount | None:
    """Return the file system of a folder that may not exist yet; None where it is unknown."""
    try:
        return mount_of(existing(path.absolute()).resolve(), mounts())
    except OSError:
        return None


def free_bytes(path: Path) -> int | None:
    """Return what is free for a folder that may not exist yet; None where it is unknown."""
    try:
        return shutil.disk_usage(existing(path.absolute())).free
    except OSError:
        return None


def device_of(path: Path) -> int:
    """Return the number of the file system that a folder, which may not exist yet, would be on."""
    return existing(path.absolute()).stat().st_dev


def bytes_below(folder: Path) -> int:
    """Return what the files below a folder take on disk; 0 where there is no such folder."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            stat = path.lstat()
            total += getattr(stat, "st_blocks", 0) * 512 or stat.st_size
    return total


def stamp_of(path: Path) -> tuple[int, int, int]:
    """Return size, time and inode of a file: where they are the same, so is its content.

    Only disk corruption changes content and none of them.
    """
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
