"""Rules of systems, most of which this is not."""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath

import pytest

from uploader_core.doctor.machine_lines import takes_direct
from uploader_core.errors import CancelledError, TemporaryError
from uploader_core.machine import filesystems, gpu, host, memory, windows
from uploader_core.machine.filesystems import Mount
from uploader_core.machine.gpu import Gpu, Report
from uploader_core.machine.memory import Memory

# As WSL 2 shows them: its own disk, a drive of Windows, one that was mounted by hand.
WSL = r"""
none /mnt/wsl tmpfs rw,relatime 0 0
/dev/sdc / ext4 rw,relatime,discard,errors=remount-ro 0 0
C:\134 /mnt/c 9p rw,noatime,dirsync,aname=drvfs;path=C:\;uid=1000 0 0
/dev/sdd1 /mnt/my\040disk ext4 rw,relatime 0 0
//server/share /home/me/share cifs rw,relatime,vers=3.1 0 0
me@host:/ /home/me/remote fuse.sshfs rw,relatime 0 0
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind", "speed"),
    [
        ("/home/me/run", "ext4", "local"),
        ("/mnt/c/Users/me", "9p", "bridge"),
        ("/mnt/cd", "ext4", "local"),  # not below /mnt/c
        ("/mnt/my disk/models", "ext4", "local"),  # below /mnt, and no drive of Windows
        ("/mnt/wsl/x", "tmpfs", "memory"),
        ("/home/me/share/x", "cifs", "network"),
        ("/home/me/remote/x", "fuse.sshfs", "network"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the mounts of another machine are shown")
def test_file_system_is_known_by_its_type_and_not_by_its_path(
    path: str, kind: str, speed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mounts").write_text(WSL)
    (tmp_path / "filesystems").write_text("\text4\n")
    monkeypatch.setattr("psutil.PROCFS_PATH", str(tmp_path))
    mount = filesystems.mount_of(PurePosixPath(path), filesystems.mounts())
    assert mount is not None
    assert (mount.kind, mount.speed) == (kind, speed)
    assert (filesystems.slow_because(mount) is None) == (speed in ("local", "memory"))


@pytest.mark.parametrize(
    ("kind", "source", "speed"),
    [
        ("drvfs", "C:\\", "bridge"),
        ("virtiofs", "share", "bridge"),
        ("nfs4", "server:/home", "network"),
        ("fuseblk", "/dev/sdb1", "local"),  # NTFS on a disk of its own
        ("overlay", "overlay", "local"),
        ("btrfs", "/dev/nvme0n1p2", "local"),
    ],
)
def test_speed(kind: str, source: str, speed: str) -> None:
    assert filesystems.speed_of(kind, source) == speed


def test_the_latest_of_two_mounts_in_one_place_counts() -> None:
    mounts = [Mount(point=PurePosixPath("/a"), kind=kind) for kind in ("ext4", "tmpfs")]
    found = filesystems.mount_of(PurePosixPath("/a/b"), mounts)
    assert found is not None and found.kind == "tmpfs"


def test_here(tmp_path: Path) -> None:
    missing = tmp_path / "not" / "there"
    assert filesystems.existing(missing) == tmp_path
    assert filesystems.device_of(missing) == tmp_path.stat().st_dev
    assert filesystems.free_bytes(missing)
    before = list(tmp_path.iterdir())
    assert takes_direct(missing) in (True, False, None)
    assert list(tmp_path.iterdir()) == before
    if os.path.exists("/proc/self/mountinfo"):
        assert filesystems.find_mount(missing) is not None


@pytest.mark.parametrize(
    ("kernel", "environment", "version"),
    [
        ("6.6.87.2-microsoft-standard-WSL2", {}, 2),
        ("5.15.0-custom", {"WSL_INTEROP": "/run/WSL/8_interop"}, 2),
        ("4.4.0-19041-Microsoft", {}, 1),
        ("6.8.0-45-generic", {}, 0),
        ("6.8.0-1021-azure", {}, 0),
    ],
)
def test_wsl(kernel: str, environment: dict[str, str], version: int) -> None:
    assert host.wsl_version(kernel, environment) == version


def test_pipes_of_windows_are_utf_8() -> None:
    def options(system: str, terminal: bool, encoding: str, **environment: str) -> dict[str, str]:
        return host.stream_options(
            system, terminal=terminal, encoding=encoding, environment=environment
        )

    assert options("Windows", False, "cp1252") == {"errors": "replace", "encoding": "utf-8"}
    assert options("Windows", True, "cp437") == {"errors": "replace"}
    assert options("Linux", False, "ascii") == {"errors": "replace"}
    # Who chose an encoding gets it.
    assert options("Windows", False, "cp1252", PYTHONIOENCODING="cp1252") == {"errors": "replace"}


def test_memory_is_what_the_container_leaves() -> None:
    whole = Memory(total=16_000_000 << 10, available=12_000_000 << 10)
    files = {
        "memory.max": "max\n",
        "user.slice/memory.max": "8000000000\n",
        "user.slice/app/memory.max": "max\n",
    }
    limits = memory.cgroup_limits("0::/user.slice/app\n", files.get)
    assert limits == [8_000_000_000]
    left = memory.tightened(whole, limits)
    assert (left.total, left.available) == (8_000_000_000, 8_000_000_000)
    assert left.limited_by
    old = {"memory/docker/ab/memory.limit_in_bytes": "4000000000\n"}
    assert memory.cgroup_limits("4:memory:/docker/ab\n3:cpu:/x\n", old.get) == [4_000_000_000]
    assert memory.tightened(whole, [2**63 - 4096]) == whole  # how version 1 says "none"
    here = memory.look()
    assert here is not None and here.available is not None
    assert 0 < here.available <= here.total


@pytest.mark.parametrize("name", ["CON", "nul.gguf", "com1", "LPT9.txt", "aux .json", "com\u00b9"])
def test_names_of_devices(name: str) -> None:
    assert "device" in str(windows.name_problem(name))


@pytest.mark.parametrize("name", ["a:b", "what?", 'say"', "a\x07", "dot.", "space ", "a|b"])
def test_names_that_windows_does_not_take(name: str) -> None:
    assert windows.name_problem(name) is not None


@pytest.mark.parametrize(
    "name", ["Llama-3.gguf", ".uploader", "console.json", "com10", "модель.gguf", "a b.txt"]
)
def test_names_that_windows_takes(name: str) -> None:
    assert windows.name_problem(name) is None


def test_long_paths() -> None:
    root, names = "C:\\Users\\me\\" + "deep\\" * 40, ["gguf/" + "x" * 60 + ".gguf"]
    (problem,) = windows.path_problems(root, names, long_paths=False)
    assert "characters" in problem
    assert list(windows.path_problems(root, names, long_paths=True)) == []
    assert list(windows.path_problems("C:\\r", ["gguf/aux.gguf"], long_paths=True))


class Busy(PermissionError):
    winerror = 32


def test_a_file_that_a_scanner_holds_is_renamed_when_it_lets_go() -> None:
    left = [Busy(), Busy()]

    def rename() -> None:
        if left:
            raise left.pop()

    windows.patiently(rename, [0.0, 0.0, 0.0])
    assert not left
    left += [Busy(), Busy()]
    with pytest.raises(Busy):
        windows.patiently(rename, [0.0])
    with pytest.raises(FileNotFoundError):  # no matter of patience
        windows.patiently(lambda: Path("not/there").unlink(), [0.0])


GB = 10**9


def card(index: int = 0, free: int = 20, total: int = 24) -> Gpu:
    return Gpu(index=index, name="RTX 3090", total=total * GB, free=free * GB)


def test_visible_gpus() -> None:
    gpus = [card(0), card(1), card(2)]
    assert gpu.visible(gpus, None) == tuple(gpus)
    assert gpu.visible(gpus, "2,0") == (gpus[2], gpus[0])
    assert gpu.visible(gpus, "") == ()
    assert gpu.visible(gpus, "-1") == ()
    assert gpu.visible(gpus, "1,7,0") == (gpus[1],)  # CUDA stops at what does not exist
    assert gpu.visible(gpus, "GPU-8932f937") == tuple(gpus)


def test_waiting_ends_when_enough_is_free() -> None:
    states = [card(free=4), card(free=4), card(free=18)]
    told: list[str] = []
    found = gpu.wait_for(
        10 * GB, told.append, ask=lambda: Report(gpus=(states.pop(0),)), limit=60, pause=0
    )
    assert found is not None and found.free == 18 * GB
    assert len(told) == 1  # nothing changed in between
    assert "4.00 GB of 24.0 GB free" in told[0]


def test_the_roomiest_gpu_counts() -> None:
    report = Report(gpus=(card(0, free=1), card(1, free=23)))
    found = gpu.wait_for(20 * GB, print, ask=lambda: report, limit=0)
    assert found is not None and found.index == 1


def test_waiting_gives_up_and_names_who_holds_it() -> None:
    held = Gpu(index=0, name="T4", total=15 * GB, free=1 * GB, holders=((4711, 14 * GB), (12, 0)))
    with pytest.raises(TemporaryError) as caught:
        gpu.wait_for(10 * GB, print, ask=lambda: Report(gpus=(held,)), limit=0)
    assert "process 4711 (14.0 GB), process 12" in str(caught.value.owner)
    assert "UPLOADER_GPU_WAIT" in str(caught.value.next)
    with pytest.raises(CancelledError):
        report = Report(gpus=(held,))
        gpu.wait_for(10 * GB, print, ask=lambda: report, limit=9, stopped=lambda: True)
    with pytest.raises(TemporaryError) as caught:  # waiting could not help
        gpu.wait_for(20 * GB, print, ask=lambda: Report(gpus=(held,)), limit=3600)
    assert "larger" in str(caught.value.next)


def test_where_nothing_is_known_of_gpus_the_step_finds_out_itself() -> None:
    report = gpu.look()
    assert report.why or report.gpus
    if not report.gpus:
        assert gpu.wait_for(GB, print, limit=0) is None
