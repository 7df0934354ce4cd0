"""Seeded schedules of faults with the real client: always the same tree, always one commit.

Twelve through plain LFS and two through Xet run by default; all hundred and twenty-five with
``nox -s faults_hub``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaigns import seeds, upload_figures
from hub_login import log_in
from loopback_hub import Fault, LoopbackHub
from uploader_core.plugin import Receipt, TemporaryError, UploadFile

# What 0.36 of the client calls, hf_xet 1.8 still has.
pytestmark = pytest.mark.filterwarnings("ignore:hf_xet.* is deprecated:DeprecationWarning")

DEFAULT = (*range(10), 16, 38)  # the last two lose the answer to a completed upload of parts
THROUGH_XET = range(100, 125)


PLACES = (
    r"POST .*/commit/",
    r"POST .*/commit/",  # twice as likely: the one request that must not be repeated blindly
    r"PUT /_lfs/",
    r"PUT /_lfs/",
    r"POST /_lfs/.*/(complete|verify)",
    r"POST .*/preupload/",
    r"POST .*/info/lfs/objects/batch",
    r"POST .*/paths-info/",
    r"GET /api/models/me/tiny",
    r"GET /api/whoami",
    r"POST /api/repos/create",
    r"POST /api/validate-yaml",
    r"(POST|GET) .*/(tag|refs)",
    r"PUT .*/settings",
)
PLACES_OF_XET = (r"GET .*/xet-write-token/", r"GET .*/xet-write-token/")
TIMEOUT = 0.25
"""Seconds after which a request counts as lost, on a machine that is not slower than that."""
RUNS = 6
"""How often a person would type the command again."""


def schedule(seed: int, timeout: float) -> list[Fault]:
    """Return the faults of a seed: one to eight, anywhere, of every kind."""
    chance = random.Random(seed)
    places = PLACES + PLACES_OF_XET * (seed in THROUGH_XET)
    faults = []
    for _ in range(chance.randint(1, 8)):
        path = chance.choice(places)
        statuses = [408, 429, 500, 502, 503, 504] + [409, 412] * ("commit" in path)
        faults.append(
            Fault(
                chance.choice(("refuse", "stall", "late", "drop", "lose")),
                path,
                times=chance.randint(1, 3),
                status=chance.choice(statuses),
                seconds=chance.uniform(0.3, 1.2) * timeout / TIMEOUT,
                after=chance.choice((0, 100, 5_000, 700_000)),
            )
        )
    return faults


@pytest.fixture(scope="module")
def totals(request: pytest.FixtureRequest) -> Iterator[dict[str, float]]:
    """Figures of the campaign, written at its end."""
    with upload_figures(request) as found:
        yield found


@pytest.fixture(scope="module")
def measured() -> list[float]:
    """How long an upload takes without faults, once that is known."""
    return []


@pytest.fixture
def timeout(
    upload: Callable[..., Receipt],
    hub: LoopbackHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    measured: list[float],
) -> float:
    """Half the time of a whole upload at least, which has twenty requests.

    So a slow machine loses no more than what a fault loses.
    """
    if not measured:
        for _ in range(2):  # the first one imports
            with LoopbackHub(tmp_path / f"pace-{len(measured)}", part_size=1 << 20) as other:
                log_in(other, monkeypatch)
                begun = time.monotonic()
                upload()
                measured.append(time.monotonic() - begun)
        log_in(hub, monkeypatch)
    return max(TIMEOUT, measured[-1] / 2)


@pytest.mark.parametrize("seed", seeds(range(100), DEFAULT))
def test_every_schedule_ends_in_one_commit_with_the_whole_tree(
    upload: Callable[..., Receipt],
    hub: LoopbackHub,
    release: list[UploadFile],
    monkeypatch: pytest.MonkeyPatch,
    totals: dict[str, float],
    timeout: float,
    seed: int,
) -> None:
    survive(seed, hub, upload, release, monkeypatch, totals, timeout)


@pytest.mark.parametrize("seed", seeds(THROUGH_XET, THROUGH_XET[:2]))
def test_every_schedule_ends_so_through_xet(
    upload: Callable[..., Receipt],
    release: list[UploadFile],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    totals: dict[str, float],
    timeout: float,
    seed: int,
) -> None:
    hf_xet = pytest.importorskip("hf_xet")
    if not hasattr(hf_xet, "XetSession"):
        pytest.skip("this hf_xet cannot read what it stored")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    with LoopbackHub(tmp_path / "xet", xet=True) as hub:
        log_in(hub, monkeypatch)
        survive(seed, hub, upload, release, monkeypatch, totals, timeout)
        assert not any("/_lfs/" in line for line in hub.requests)


def survive(
    seed: int,
    hub: LoopbackHub,
    upload: Callable[..., Receipt],
    release: list[UploadFile],
    monkeypatch: pytest.MonkeyPatch,
    totals: dict[str, float],
    timeout: float,
) -> None:
    """Publish through the faults of a seed as a person would, and look at what is there."""
    really_sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: really_sleep(min(seconds, 0.002)))
    faults = schedule(seed, timeout)
    ordered = sum(fault.times for fault in faults)
    for fault in faults:
        hub.faults.add(fault)
    receipt, runs = None, 0
    while receipt is None and runs < RUNS:
        try:
            patience = timeout * 2**runs
            runs += 1
            receipt = upload(timeout=patience, public=True, tag="v1")
        except TemporaryError:
            continue
    assert receipt is not None, f"seed {seed}: not there after {RUNS} runs"
    hit = ordered - sum(fault.times for fault in faults)
    hub.faults.clear()
    really_sleep(0.05)

    repo = hub.store.repos["me/tiny"]
    wanted = {file.name: file.sha256 for file in release}
    history = list(repo.history("main"))
    assert [c.title for c in history] == ["Release by uploader", "initial commit"]
    shown = {name: entry.sha256 for name, entry in history[0].files.items() if name in wanted}
    assert shown == wanted
    assert not set(history[1].files) & set(wanted)
    assert repo.tags == {"v1": history[0].sha} == {"v1": receipt.revision}
    assert repo.private is False

    size = sum(file.size for file in release)
    again = max(0, hub.bytes_received - size)
    largest = max(file.size for file in release)
    assert again <= (hit + runs) * largest
    assert receipt.metadata["bytes_sent_again"] <= receipt.bytes_sent
    assert receipt.metadata["transport"] == ("xet" if seed in THROUGH_XET else "lfs")
    for name, value in (
        ("schedules", 1), ("faults", hit), ("runs", runs), ("again", again), ("size", size)
    ):  # fmt: skip
        totals[name] += value
    totals["most"] = max(totals["most"], again / size)


def test_commit_that_arrives_late_is_not_made_twice(
    upload: Callable[..., Receipt], hub: LoopbackHub, timeout: float
) -> None:
    """It is thought lost, repeated, and then both are there: the second meets its parent moved."""
    hub.faults.add(Fault("stall", r"POST .*/commit/", seconds=3 * timeout))
    upload(timeout=timeout)
    time.sleep(3 * timeout)
    titles = [c.title for c in hub.store.repos["me/tiny"].history("main")]
    assert titles == ["Release by uploader", "initial commit"]
