"""Times of a plan: measured here before, else by a rate that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uploader_core.advice import step_times
from uploader_core.advice.step_times import Pace
from uploader_core.contract.costs import Estimate
from uploader_core.contract.specs import SaveSpec
from uploader_core.planning.plan import PlannedStep
from uploader_core.plugins.entry_points import Entry
from uploader_core.plugins.registry import Plugin


def step(size: int, seconds: float | None = None) -> PlannedStep:
    spec = SaveSpec(name="s", summary="s", run="m:m", consumes=("adapter",), produces="acme.s")
    entry = Entry(group="g", name="acme", module="m", distribution="acme", version="1")
    plugin = Plugin(id="acme", entry=entry, module=step_times, specs=(spec,))
    estimate = Estimate(bytes_written=size, seconds=seconds)
    return PlannedStep(
        id="acme:s", plugin=plugin, spec=spec, inputs=(), kind="acme.s", estimate=estimate
    )


def test_without_a_measurement_the_rate_is_said() -> None:
    expected = Pace().expect(step(20 * 10**9))
    assert expected is not None
    assert expected.seconds == pytest.approx(103)
    assert expected.source == "20.0 GB at 200 MB/s"
    assert Pace().expect(step(0)) is None
    plugins_own = Pace().expect(step(1, seconds=7.0))
    assert plugins_own is not None and plugins_own.seconds == 7.0


def test_what_was_measured_counts_for_what_is_about_as_large(tmp_path: Path) -> None:
    known = Pace()
    for seconds in (150.0, 210.0, 206.0):
        known = known.learn(step(20 * 10**9), seconds)
    file = tmp_path / "pace.json"
    step_times.save(known, file)
    again = step_times.load(file)
    assert again == known
    larger = again.expect(step(40 * 10**9))
    assert larger is not None
    assert larger.source == "measured here in 3 runs"
    assert larger.seconds == pytest.approx(2 * 203, rel=0.01)  # the median run took twice the guess
    # A small model says nothing of a large one.
    small = again.expect(step(10**6))
    assert small is not None and not small.measured


@pytest.mark.parametrize("text", ["", "[]", '{"runs": {"a": [1]}}', '{"runs": 3}'])
def test_a_damaged_file_is_nothing_measured(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pace.json"
    file.write_text(text)
    assert step_times.load(file) == Pace()


def test_where_nothing_can_be_kept_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    step_times.save(Pace(runs={"a:b": ((1.0, 2.0),)}), tmp_path / "file" / "pace.json")


@pytest.mark.usefixtures("notes_plugin")
def test_a_run_is_remembered(
    uploader: Any, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOADER_PACE", str(tmp_path / "pace.json"))
    # No estimate, so nothing to compare with.
    assert uploader("run", adapter, "--plugins", "notes", "--name", "m").returncode == 0
    there = adapter.parents[1] / "there"
    assert uploader("run", adapter, "--plugins", "notes", "--to", f"dir:{there}").returncode == 0
    text = (tmp_path / "pace.json").read_text() if (tmp_path / "pace.json").exists() else "{}"
    assert str(adapter) not in text
    assert set(json.loads(text).get("runs", {})) <= {"dir:copy"}
