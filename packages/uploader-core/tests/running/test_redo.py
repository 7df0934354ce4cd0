"""``--redo``: a step runs again though nothing changed, and so does what depends on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("notes_plugin")


@pytest.fixture
def command(adapter: Path, tmp_path: Path) -> tuple[object, ...]:
    place = tmp_path / "there"
    return ("run", adapter, "--plugins", "acme.digest", "--name", "m", "--to", f"dir:{place}")


def status(report: str) -> dict[str, str]:
    return {step["id"]: step["status"] for step in json.loads(report)["steps"]}


@pytest.fixture
def done(uploader: Any, command: tuple[object, ...]) -> dict[str, str]:
    """What a release that is done says of its steps when it is run again."""
    assert uploader(*command).returncode == 0
    again = status(uploader(*command, "--json").stdout)
    assert set(again.values()) == {"kept"}
    return again


def test_step_and_what_depends_on_it_run_again(
    uploader: Any, command: tuple[object, ...], done: dict[str, str]
) -> None:
    redone = status(uploader(*command, "--json", "--redo", "notes:digest").stdout)
    assert redone["notes:notes"] == "kept"
    assert redone["notes:digest"] == "done"
    assert {step for step in done if step.startswith("dir:copy")} <= {
        step for step, how in redone.items() if how == "done"
    }
    assert set(status(uploader(*command, "--json").stdout).values()) == {"kept"}


@pytest.mark.parametrize("name", ["notes", "acme.notes", "acme.notes/", "notes:digest,notes:notes"])
def test_plugins_and_kinds_stand_for_their_steps(
    uploader: Any, command: tuple[object, ...], done: dict[str, str], name: str
) -> None:
    redone = status(uploader(*command, "--json", "--redo", name).stdout)
    assert {redone["notes:notes"], redone["notes:digest"]} == {"done"}


def test_destination_stands_for_its_upload(
    uploader: Any, command: tuple[object, ...], done: dict[str, str]
) -> None:
    redone = status(uploader(*command, "--json", "--redo", command[-1]).stdout)
    (upload,) = (step for step in redone if step.startswith("dir:copy"))
    assert [step for step, how in redone.items() if how == "done"] == [upload]


def test_plan_says_that_it_would_run(
    uploader: Any, command: tuple[object, ...], done: dict[str, str]
) -> None:
    plan = json.loads(uploader("plan", *command[1:], "--json", "--redo", "notes:digest").stdout)
    assert "notes:notes" in plan["kept"]
    assert "notes:digest" not in plan["kept"]


def test_name_of_no_step_is_refused_with_the_close_ones(
    uploader: Any, command: tuple[object, ...]
) -> None:
    result = uploader(*command, "--redo", "notes:digets")
    assert result.returncode == 2
    assert "did you mean notes:digest" in result.stderr
