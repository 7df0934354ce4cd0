"""Seeded schedules of faults before docker-registry: always one tag, always the same digest.

Ten run by default; all hundred with ``nox -s faults_oci``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from bad_line import BadLine, Fault
from campaigns import seeds, upload_figures
from oci_tools import files_of, tags_of
from uploader_core.plugin import Receipt, TemporaryError, UploadFile
from uploader_oci.loopback import LoopbackRegistry

DEFAULT = range(10)
RUNS = 6
"""How often a person would type the command again."""
CHUNK = 100_000
TIMEOUT = 0.15
"""Seconds after which a request counts as lost, on a machine that is not slower than that."""
PLACES = (
    r"PATCH ",
    r"PATCH ",
    r"PATCH ",
    r"PUT .*/blobs/uploads/",
    r"PUT .*/blobs/uploads/",
    r"POST .*/blobs/uploads/",
    r"GET .*/blobs/uploads/",
    r"HEAD .*/blobs/sha256",
    r"HEAD .*/manifests/",
    r"PUT .*/manifests/",
    r"PUT .*/manifests/",
)
KINDS = ("refuse", "stall", "drop", "late", "lose", "held")


def schedule(seed: int, timeout: float) -> list[Fault]:
    """Return the faults of a seed: one to eight, anywhere, of every kind."""
    chance = random.Random(seed)
    return [
        Fault(
            chance.choice(KINDS),
            chance.choice(PLACES),
            times=chance.randint(1, 3),
            status=chance.choice((408, 429, 500, 502, 503, 504)),
            seconds=chance.uniform(0.2, 0.6) * timeout / TIMEOUT,
            after=chance.choice((0, 100, 5_000, 70_000)),
        )
        for _ in range(chance.randint(1, 8))
    ]


@pytest.fixture(scope="module")
def totals(request: pytest.FixtureRequest) -> Iterator[dict[str, float]]:
    """Figures of the campaign, written at its end."""
    with upload_figures(request) as found:
        yield found


@pytest.fixture(scope="module")
def measured() -> list[float]:
    """How long a release takes without faults, once that is known."""
    return []


@pytest.fixture
def timeout(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    repository: str,
    measured: list[float],
) -> float:
    """Half the time of a whole release at least, which has fifteen requests and more.

    So a slow machine loses no more than what a fault loses.
    """
    if not measured:
        files = make_files({"model.safetensors": random.Random("pace").randbytes(4 * CHUNK)})
        begun = time.monotonic()
        push(f"{open_registry.host}/{repository}-pace:v1", files, chunk=CHUNK)
        measured.append(time.monotonic() - begun)
    return max(TIMEOUT, measured[0] / 2)


@pytest.mark.parametrize("seed", seeds(range(100), DEFAULT))
def test_every_schedule_ends_in_one_tag_with_the_right_digest(
    push: Callable[..., Receipt],
    make_files: Callable[..., list[UploadFile]],
    open_registry: LoopbackRegistry,
    line: BadLine,
    repository: str,
    monkeypatch: pytest.MonkeyPatch,
    totals: dict[str, float],
    timeout: float,
    seed: int,
) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.002)))
    contents = {
        "model.safetensors": random.Random(seed).randbytes(4 * CHUNK + 7),
        "config.json": b'{"seed": %d}' % seed,
        "README.md": b"# tiny\n",
    }
    files = make_files(contents)
    line.faults = schedule(seed, timeout)
    ordered = sum(fault.times for fault in line.faults)
    receipt, runs = None, 0
    while receipt is None and runs < RUNS:
        try:
            patience = timeout * 2**runs
            runs += 1
            receipt = push(f"{line.host}/{repository}:v1", files, timeout=patience, chunk=CHUNK)
        except TemporaryError:
            continue
    assert receipt is not None, f"seed {seed}: not there after {RUNS} runs"
    hit = ordered - sum(fault.times for fault in line.faults)

    # While a late request links a blob that is there, docker-registry answers 500 for it.
    line.settle()
    wanted = {file.name: file.sha256 for file in files}
    assert files_of(open_registry, repository, "v1") == wanted
    assert tags_of(open_registry, repository) == ["v1"]
    assert receipt.metadata["tags"] == {"v1": receipt.revision}

    size = sum(file.size for file in files)
    again = max(0, line.received - size)
    # Each fault costs at most the file that is under way.
    assert again <= (hit + runs) * max(file.size for file in files)
    for name, value in (
        ("schedules", 1), ("faults", hit), ("runs", runs), ("again", again), ("size", size)
    ):  # fmt: skip
        totals[name] += value
    totals["most"] = max(totals["most"], again / size)
