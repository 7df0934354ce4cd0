"""Errors: their class across processes, and what is added to them on their way to the user."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader_core.cli.errors import show
from uploader_core.errors import (
    AuthError,
    FidelityError,
    SpaceError,
    TemporaryError,
    UploaderError,
    from_json,
    of_several,
    to_message,
)

PLUGIN = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="pass", summary="pass", consumes=("adapter",), produces="acme.pass",
                   run="acme_work:save")
"""
WORK = """
from uploader_core.plugin import AuthError, PluginError

class NoTicketError(AuthError):
    pass

class QuotaError(PluginError):
    exit_code = 17
    error_id = "ACME-QUOTA"

    def __init__(self, used, limit):
        super().__init__(f"{used} of {limit} requests are used", next="wait until tomorrow")

def save(context):
    raise {error}
"""


@pytest.mark.parametrize(
    ("error", "code", "error_id"),
    [
        ("NoTicketError('no ticket', next='get one')", 6, "UPL-AUTH"),
        ("QuotaError(5, 5)", 17, "ACME-QUOTA"),
    ],
)
def test_error_class_of_a_plugin_keeps_exit_code_and_id_through_a_worker(
    error: str,
    code: int,
    error_id: str,
    install: Callable[..., None],
    uploader: Any,
    adapter: Path,
) -> None:
    install(
        "acme-pass",
        {"acme_plugin": PLUGIN, "acme_work": WORK.replace("{error}", error)},
        {"plugins": {"pass": "acme_plugin"}},
    )
    result = uploader("run", adapter, "--plugins", "pass", "--json")
    last = json.loads(result.stderr.splitlines()[-1])
    assert (result.returncode, last["code"], last["error_id"]) == (code, code, error_id)
    assert last["error"] == error.partition("(")[0]
    assert last["owner"] == "acme-pass 1.0"
    assert last["next"]


def test_terminal_shows_where_an_error_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    error = AuthError("no ticket", owner="acme 1.0", safe="nothing was sent", next="get one")
    assert show(error, []) == 6
    assert capsys.readouterr().err.splitlines() == [
        "error no ticket",
        "  from  acme 1.0",
        "  safe  nothing was sent",
        "  next  get one",
        "  id    UPL-AUTH (exit code 6)",
    ]


def test_error_of_another_process_is_below_the_nearest_class_of_core() -> None:
    class DiskOfAcmeError(SpaceError):
        error_id = "ACME-DISK"

    error = from_json({**to_message(DiskOfAcmeError("full"))})
    assert isinstance(error, SpaceError)
    assert (type(error).__name__, error.error_id) == ("DiskOfAcmeError", "ACME-DISK")


def test_class_of_a_plugin_that_is_called_like_one_of_core_is_not_taken_for_it() -> None:
    error_of_acme = type("AuthError", (UploaderError,), {"exit_code": 30})("no")
    error = from_json({**to_message(error_of_acme)})
    assert not isinstance(error, AuthError)
    assert error.exit_code == 30


def test_what_is_added_to_an_error_makes_a_new_one() -> None:
    class PickyError(AuthError):
        def __init__(self, url: str) -> None:
            super().__init__(f"{url} says no", next="log in")
            self.url = url

    error = PickyError("https://acme.example")
    fuller = error.replace(owner="acme 1.0", what=f"{error.what}; twice")
    assert (str(error), error.owner) == ("https://acme.example says no", None)
    assert str(fuller) == fuller.what == "https://acme.example says no; twice"
    assert (fuller.owner, fuller.next, fuller.url) == ("acme 1.0", "log in", "https://acme.example")
    assert type(fuller) is PickyError


def test_text_of_an_error_is_what_it_says() -> None:
    error = UploaderError("one")
    error.what += " and two"  # as plugins did that were written before
    assert str(error) == "one and two"


def test_only_a_run_that_failed_at_the_gate_alone_has_its_exit_code() -> None:
    gate, other = FidelityError("lost too much"), TemporaryError("try again")
    assert of_several([gate, gate]).exit_code == 9
    assert of_several([gate, other]).exit_code == 3
    assert of_several([other, None]).exit_code == 3
