"""What the runs of a batch come to together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from uploader_core.artifact import Artifact
from uploader_core.batch.outlook import Prospect, by_base, together, too_small
from uploader_core.batch.wanted import Wanted
from uploader_core.contract.context import FetchedSource, ReleaseInfo
from uploader_core.contract.sources import Sources
from uploader_core.planning.plan import FileSystem, Plan, Survey
from uploader_core.planning.request import Request
from uploader_core.user_config.configuration import Config


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan that takes 30 bytes more while it runs than afterwards."""
    base = Artifact(kind="base", path=tmp_path / "base")
    space = FileSystem(path=tmp_path, uses=("release",), free=1 << 40, peak=130, after=100)
    return Plan(
        sources=Sources(kind="adapter", folder=tmp_path, artifacts={"base": base}),
        release=ReleaseInfo(name="m", source="adapter"),
        output=tmp_path / "m",
        steps=(),
        space=(space,),
    )


def test_disk_holds_all_releases_and_what_runs_side_by_side_need(plan: Plan) -> None:
    (space,) = together([plan, plan, plan], at_once=2)
    assert (space.after, space.peak) == (300, 360)


def test_download_that_several_runs_need_counts_once(plan: Plan, tmp_path: Path) -> None:
    brought = FetchedSource(path=tmp_path, model_id="lab/base", download=60, cache=tmp_path)
    plan = replace(plan, downloads=(brought,))
    (space,) = together([plan, plan, plan], at_once=1)
    assert space.after == 300 - 2 * 60


def test_batch_that_does_not_fit_is_refused_as_a_whole(plan: Plan) -> None:
    small = replace(plan, space=(replace(plan.space[0], free=120 << 20, peak=40 << 20,
                                         after=40 << 20),))  # fmt: skip
    assert not [*too_small(together([small], 1), 1)]
    (error,) = too_small(together([small, small], 1), 2)
    assert "2 runs together need 151 MB" in error.what
    assert error.exit_code == 4


def test_runs_of_one_base_follow_each_other(plan: Plan, tmp_path: Path) -> None:
    def prospect(name: str, base: str) -> Prospect:
        sources = replace(
            plan.sources, artifacts={"base": Artifact(kind="base", path=tmp_path / base)}
        )
        survey = Survey(plan=replace(plan, sources=sources), kept=frozenset())
        return Prospect(
            wanted=Wanted(where=name, source=name),
            request=Request(source=name),
            config=Config(),
            survey=survey,
        )

    order = by_base([prospect("a", "x"), prospect("b", "y"), prospect("c", "x")])
    assert [p.wanted.where for p in order] == ["a", "c", "b"]
