"""What programs use: everything here goes through ``uploader_core.api`` and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from uploader_core import api

pytestmark = pytest.mark.usefixtures("notes_plugin")


def request_of(adapter: Path) -> api.Request:
    return api.Request(source=str(adapter), plugins=("notes",), name="m")


def test_plan_says_what_run_makes(adapter: Path) -> None:
    survey = api.plan(request_of(adapter))
    assert not survey.errors
    assert [step.kind for step in survey.plan.artifacts] == ["acme.notes"]
    assert not survey.plan.output.exists()


def test_run_reports_events_and_can_be_verified(adapter: Path) -> None:
    seen: list[api.Event] = []
    plans: list[api.Survey] = []
    report = api.run(
        request_of(adapter),
        settings={"notes": {"text": "from a program"}},
        on_event=seen.append,
        confirm=plans.append,
    )
    assert report.error() is None
    assert (report.plan.output / "acme.notes" / "note.txt").read_text() == "from a program"
    assert [event.type for event in seen][:1] == ["run_started"]
    assert seen[-1].type == "run_finished"
    assert [plan.plan.release.name for plan in plans] == ["m"]
    assert not api.verify(str(report.plan.output)).problems


def test_what_confirm_raises_stops_the_run(adapter: Path) -> None:
    def refuse(survey: api.Survey) -> None:
        raise api.CancelledError("not today")

    with pytest.raises(api.CancelledError, match="not today"):
        api.run(request_of(adapter), confirm=refuse)
    assert not (adapter.parent / "m").exists()


def test_wrong_setting_is_a_usage_error(adapter: Path) -> None:
    with pytest.raises(api.UsageError):
        api.plan(request_of(adapter), settings={"notes": {"mode": "dance"}})


def test_every_name_is_there() -> None:
    for name in api.__all__:
        assert getattr(api, name) is not None, name
    with pytest.raises(AttributeError):
        api.nothing_of_the_kind  # noqa: B018


def test_importing_it_imports_nothing_more() -> None:
    code = "import sys, uploader_core.api; print([m for m in sys.modules if 'uploader_core.' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['uploader_core.api']"
