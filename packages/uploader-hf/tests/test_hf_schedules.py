"""Seeded schedules of faults with the real client: always the same tree, always one commit.

Twelve run by default; all hundred with ``nox -s faults_hub``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from uploader_core.plugin import Receipt, TemporaryError, UploadFile
from uploader_hf.loopback import Fault, LoopbackHub

DEFAULT = (*range(10), 16, 38)  # the last two lose the answer to a completed upload of parts
SEEDS = [pytest.param(n, marks=[] if n in DEFAULT else [pytest.mark.slow]) for n in range(100)]
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
RUNS = 6
"""How often a person would type the command again."""


def schedule(seed: int) -> list[Fault]:
    """Return the faults of a seed: one to eight, anywhere, of every kind."""
    chance = random.Random(seed)
    faults = []
    for _ in range(chance.randint(1, 8)):
        path = chance.choice(PLACES)
        statuses = [408, 429, 500, 502, 503, 504] + [409, 412] * ("commit" in path)
        faults.append(
            Fault(
                chance.choice(("refuse", "stall", "late", "drop", "lose")),
                path,
                times=chance.randint(1, 3),
                status=chance.choice(statuses),
                seconds=chance.uniform(0.3, 1.2),
                after=chance.choice((0, 100, 5_000, 700_000)),
            )
        )
    return faults


@pytest.fixture(scope="module")
def totals(request: pytest.FixtureRequest) -> Iterator[dict[str, float]]:
    """Figures of the campaign, written at its end."""
    found = dict.fromkeys(("schedules", "faults", "runs", "again", "most", "size"), 0.0)
    yield found
    if found["schedules"]:
        writer = request.config.get_terminal_writer()
        writer.line(
            f"\n{found['schedules']:.0f} schedules, {found['faults']:.0f} faults hit, "
            f"{found['runs']:.0f} runs; sent again {found['again'] / 1e6:.1f} MB of "
            f"{found['size'] / 1e6:.1f} MB in all, at most {found['most']:.2f} releases at once"
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_every_schedule_ends_in_one_commit_with_the_whole_tree(
    upload: Callable[..., Receipt],
    hub: LoopbackHub,
    release: list[UploadFile],
    monkeypatch: pytest.MonkeyPatch,
    totals: dict[str, float],
    seed: int,
) -> None:
    really_sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: really_sleep(min(seconds, 0.002)))
    faults = schedule(seed)
    ordered = sum(fault.times for fault in faults)
    for fault in faults:
        hub.faults.add(fault)
    receipt, runs = None, 0
    while receipt is None and runs < RUNS:
        runs += 1
        try:
            receipt = upload(timeout=0.25, public=True, tag="v1")
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
    for name, value in (
        ("schedules", 1), ("faults", hit), ("runs", runs), ("again", again), ("size", size)
    ):  # fmt: skip
        totals[name] += value
    totals["most"] = max(totals["most"], again / size)


def test_commit_that_arrives_late_is_not_made_twice(
    upload: Callable[..., Receipt], hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is thought lost, repeated, and then both are there: the second meets its parent moved."""
    hub.faults.add(Fault("stall", r"POST .*/commit/", seconds=0.9))
    upload(timeout=0.3)
    time.sleep(1)
    titles = [c.title for c in hub.store.repos["me/tiny"].history("main")]
    assert titles == ["Release by uploader", "initial commit"]
