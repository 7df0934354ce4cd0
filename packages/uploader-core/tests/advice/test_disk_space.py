"""What a plan does to disks, and how it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MB = 10**6

# Two formats: one that needs much scratch, one that is large; a third is small.
PLUGIN = """
from uploader_core.plugin import Estimate, Lever, SaveSpec, hookimpl

SIZES = {"scratchy": (30, 100), "large": (200, 0), "small": (1, 0)}

@hookimpl
def uploader_savers():
    for name in SIZES:
        yield SaveSpec(name=name, summary=name, consumes=("adapter",), produces=f"acme.{name}",
                       run="m:m", estimate=f"plug_sizes:{name}")

def _estimate(name):
    def estimate(context):
        written, scratch = SIZES[name]
        factor = 10**6 * context_factor()
        lever = Lever(option=f"--tiny-{name}", saves=(written + scratch) // 2 * factor)
        return Estimate(bytes_written=written * factor, bytes_scratch=scratch * factor,
                        levers=(lever,))
    return estimate

def context_factor():
    import os
    return int(os.environ.get("ACME_FACTOR", "1"))

scratchy, large, small = map(_estimate, SIZES)
"""


@pytest.fixture
def sizes(install: Callable[..., None]) -> None:
    points = {f"acme.{name}": "plug_sizes" for name in ("scratchy", "large", "small")}
    install(
        "acme-sizes",
        {"plug_sizes": PLUGIN},
        {"plugins": {"sizes": "plug_sizes"}, "artifacts": points},
    )


def space(uploader: Any, *arguments: object) -> list[dict[str, Any]]:
    done = uploader("plan", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["space"]
    return found


@pytest.mark.usefixtures("sizes")
@pytest.mark.parametrize(
    ("formats", "jobs", "peak", "after"),
    [
        ("acme.scratchy,acme.large", 1, 230, 230),  # the scratch is gone before the large one
        ("acme.large,acme.scratchy", 1, 330, 230),
        ("acme.scratchy,acme.large", 2, 330, 230),  # side by side
        ("acme.scratchy", 1, 130, 30),
    ],
)
def test_tightest_moment(
    formats: str, jobs: int, peak: int, after: int, uploader: Any, adapter: Path
) -> None:
    (disk,) = space(uploader, adapter, "--plugins", formats, "--jobs", jobs)
    assert disk["uses"] == ["release"]
    # Records and documents: less than a megabyte.
    assert peak * MB <= disk["peak"] < (peak + 1) * MB
    assert after * MB <= disk["after"] < (after + 1) * MB


@pytest.mark.usefixtures("sizes")
def test_a_copy_on_the_same_disk_counts_twice(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    (disk,) = space(
        uploader, adapter, "--plugins", "acme.large", "--to", f"dir:{tmp_path / 'there'}"
    )
    assert disk["uses"] == ["release", "copy"]
    assert 400 * MB <= disk["peak"] < 402 * MB


@pytest.mark.usefixtures("sizes")
@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")
def test_file_systems_are_told_apart(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    release, there = space(
        uploader, adapter, "--plugins", "acme.large", "--to", "dir:/dev/shm/uploader-not-made"
    )
    assert (release["uses"], there["uses"]) == (["release"], ["copy"])
    assert there["kind"] in ("tmpfs", "")
    assert 200 * MB <= there["peak"] < 202 * MB
    assert not os.path.exists("/dev/shm/uploader-not-made")


@pytest.mark.usefixtures("sizes")
def test_refusal_offers_what_would_make_it_fit(
    uploader: Any, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = os.statvfs(adapter).f_bavail * os.statvfs(adapter).f_frsize
    # A fifth too much, as the disk may have more room a moment later.
    monkeypatch.setenv("ACME_FACTOR", str(free // (275 * MB)))
    arguments = ("--plugins", "acme.large,acme.scratchy", "--name", "m")
    done = uploader("run", adapter, *arguments)
    assert done.returncode == 4
    assert "too few" in done.stderr
    (following,) = [line for line in done.stderr.splitlines() if line.startswith("  next")]
    assert "another disk with --output" in following
    assert "--plugins acme.large (saves" in following  # core's own, from the graph
    assert "--tiny-scratchy (saves" in following  # the plugin's
    assert not (adapter.parent / "m").exists()
    data = json.loads(uploader("plan", adapter, *arguments, "--json").stdout)
    assert [error["error_id"] for error in data["errors"]] == ["UPL-SPACE"]


@pytest.mark.usefixtures("notes_plugin")
def test_what_is_left_of_a_killed_run_goes_and_counts_as_room(uploader: Any, adapter: Path) -> None:
    assert uploader("run", adapter, "--plugins", "notes", "--name", "m").returncode == 0
    release = adapter.parent / "m"
    left = release / ".uploader" / "work" / "notes-notes-0000" / "blob.bin.partial"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(3 * MB))
    before = space(uploader, adapter, "--plugins", "notes", "--notes-sizes", "5", "--name", "m")
    assert all(disk["peak"] == 0 for disk in before)
    again = uploader("run", adapter, "--plugins", "notes", "--notes-sizes", "5", "--name", "m")
    assert again.returncode == 0, again.stderr
    assert not left.exists()


@pytest.mark.usefixtures("notes_plugin")
def test_a_copy_of_what_was_made_before_counts(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    arguments = (adapter, "--plugins", "notes", "--notes-sizes", "3000", "--name", "m")
    assert uploader("run", *arguments).returncode == 0
    there = ("--to", f"dir:{tmp_path / 'there'}")
    (disk,) = space(uploader, *arguments, *there)
    assert "copy" in disk["uses"]
    assert 3 * MB < disk["peak"] < 4 * MB
    assert uploader("run", *arguments, *there).returncode == 0
    assert space(uploader, *arguments, *there) == []  # all is there
