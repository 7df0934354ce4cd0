"""A disk that fills while a release is made: a clean stop, no stub, and the next run goes on."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_tools import publish
from uploader_kit.faults import digests

KINDS = ("acme.filler", "lora", "merged-16bit")
LEVELS = 20
# Of a release of about three megabytes: how much room is left, from nothing to nearly enough.
ROOM = [n * 150_000 for n in range(LEVELS)]
SIZE = "160m"

# A format whose step fills the disk, behind the plan's back, before the others run.
PLUGIN = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="filler", summary="ballast", consumes=("adapter",), produces="acme.filler",
                   run="acme_filler_work:fill")
"""
WORK = """
import os, shutil
from pathlib import Path

def fill(context):
    context.output.write("x.txt", "x")
    ballast = Path(os.environ["FILL_DISK"])
    free = shutil.disk_usage(ballast.parent).free
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, free - int(os.environ["LEAVE_FREE"])))
    return context.artifact()
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True
    )
    if done.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="session")
def filler(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which the filler is installed."""
    site = tmp_path_factory.mktemp("site")
    info = site / "acme_filler-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "acme_filler.py").write_text(PLUGIN)
    (site / "acme_filler_work.py").write_text(WORK)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-filler\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[uploader_core.plugins]\nfiller = acme_filler\n"
        "[uploader_core.artifacts]\nacme.filler = acme_filler\n"
    )
    return {**os.environ, "PYTHONPATH": str(site)}


def without_ballast(place: Path, filler: dict[str, str]) -> dict[str, str]:
    """Environment in which the filler leaves all room."""
    return {**filler, "FILL_DISK": str(place / "ballast"), "LEAVE_FREE": str(1 << 60)}


@pytest.fixture(scope="session")
def calm(
    pristine: Path, filler: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Digests of the undisturbed release."""
    place = tmp_path_factory.mktemp("calm")
    made = run(pristine, place / "release", env=without_ballast(place, filler))
    assert made.returncode == 0, made.stderr
    return digests(place / "release")


def run(pristine: Path, release: Path, **more: object) -> subprocess.CompletedProcess[str]:
    command = publish(pristine / "run" / "final_model", KINDS, release, None)
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", **more)  # type: ignore[call-overload]


def check_stop(result: subprocess.CompletedProcess[str], release: Path, calm: object) -> None:
    """A clean stop, and only whole files under their names."""
    said = result.stdout + result.stderr
    assert result.returncode in (3, 4), said
    assert "Traceback" not in said
    assert "bytes" in said and "next" in said, said
    found = digests(release) if release.exists() else {}
    assert isinstance(calm, dict)
    torn = [n for n, d in found.items() if d != calm.get(n) and "manifest" not in n]
    # Documents tell what there is, so they are other ones while a format is missing.
    assert [n for n in torn if n.endswith((".safetensors", ".json"))] == []


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(room, marks=[] if n in (0, 7, 14) else [pytest.mark.slow])
        for n, room in enumerate(ROOM)
    ],
)
def test_disk_that_fills(
    room: int, disk: Path, pristine: Path, calm: dict[str, str], filler: dict[str, str]
) -> None:
    release, ballast = disk / "release", disk / "ballast"
    full = {**filler, "FILL_DISK": str(ballast), "LEAVE_FREE": str(room)}
    result = run(pristine, release, env=full)
    # None of the levels suffices, so that each of them shows something.
    check_stop(result, release, calm)
    said = result.stdout + result.stderr
    assert "no space left" in said
    assert re.search(r"it needs [\d,]+ bytes, and [\d,]+ bytes are free now", said), said
    ballast.unlink()
    again = run(pristine, release, env=without_ballast(disk, filler))
    assert again.returncode == 0, again.stderr
    assert digests(release) == calm
    assert not list(release.rglob("*.partial"))


def test_full_before_it_begins(disk: Path, pristine: Path, filler: dict[str, str]) -> None:
    with (disk / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - 30_000_000)
    result = run(pristine, disk / "release", env=filler)
    assert result.returncode == 4
    # What it needs, what there is, and what to do, before the first byte.
    assert "needs" in result.stderr and "are free" in result.stderr and "--output" in result.stderr
    assert not (disk / "release").exists()


@pytest.mark.parametrize("limit", [pytest.param(2_000, marks=pytest.mark.slow), 400_000, 900_000])
def test_limit_on_the_size_of_files(
    limit: int, pristine: Path, tmp_path: Path, calm: dict[str, str], filler: dict[str, str]
) -> None:
    release, quiet = tmp_path / "release", without_ballast(tmp_path, filler)
    result = run(
        pristine,
        release,
        env=quiet,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    check_stop(result, release, calm)
    assert run(pristine, release, env=quiet).returncode == 0
    assert digests(release) == calm


def test_read_only_disk(
    disk: Path, pristine: Path, calm: dict[str, str], filler: dict[str, str]
) -> None:
    release, quiet = disk / "release", without_ballast(disk, filler)
    assert run(pristine, release, env=quiet).returncode == 0
    (release / "lora" / "adapter_model.safetensors").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    result = run(pristine, release, env=quiet)
    assert result.returncode not in (0, 1), result.stderr
    assert "Traceback" not in result.stderr
    assert "cannot write" in result.stderr and "next" in result.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert run(pristine, release, env=quiet).returncode == 0
    assert digests(release) == calm


def test_folder_that_must_not_be_changed(
    pristine: Path, tmp_path: Path, filler: dict[str, str]
) -> None:
    place = tmp_path / "locked"
    place.mkdir()
    if subprocess.run(["chattr", "+i", str(place)], capture_output=True).returncode:
        pytest.skip("this file system cannot lock a folder against root")
    try:
        result = run(pristine, place / "release", env=filler)
        assert result.returncode not in (0, 1), result.stderr
        assert "Traceback" not in result.stderr
        assert "cannot write" in result.stderr and "next" in result.stderr
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["chattr", "-i", str(place)], check=True)
