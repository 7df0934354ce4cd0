"""An upload that is stopped, fails or is killed: what its plugin gets to do about it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader_kit.job_runs import until

PLUGIN = """
from uploader_core.plugin import SaveSpec, UploadSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x",
                   run="acme_work:save")

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="send", summary="send", scheme="acme", run="acme_work:send",
                     secrets=("ACME_PASS",), clean_up="acme_work:clean_up")
"""

WORK = """
import os
from pathlib import Path

SERVER = Path(os.environ["ACME_SERVER"])  # where sessions stay open until somebody closes them

def save(context):
    context.output.write("a.bin", b"abc", role="weights")
    return context.artifact()

def send(context):
    session = context.state / "session"
    resumed = session.exists()
    if not resumed:
        session.write_text("s1")
        (SERVER / "open-s1").touch()
    try:
        mode = os.environ.get("ACME_MODE")
        while mode in ("slow", "deaf"):
            print("still sending", flush=True)
            (SERVER / "begun").touch()
            if mode == "slow":
                context.progress("sending", 1, 2)
        if mode == "fail":
            raise ValueError("the line is cut")
    except BaseException as error:
        (SERVER / "told").write_text(type(error).__name__)
        raise
    (SERVER / "open-s1").unlink()
    return context.receipt(url="acme://x", files=len(context.files), bytes_sent=1,
                           metadata={"resumed": resumed})

def clean_up(context):
    assert context.secrets == {"ACME_PASS": "a-password"}
    assert context.target == "me/x"
    with (SERVER / "cleaned").open("a") as said:
        again = " again" if context.again else ""
        said.write(f"{context.why} {(context.state / 'session').read_text()}{again}\\n")
    if os.environ.get("ACME_BREAK"):
        raise OSError("no answer")
    if os.environ.get("ACME_KEEP"):
        return False
    (SERVER / "open-s1").unlink()
    (context.state / "session").unlink()
"""


@pytest.fixture
def server(install: Callable[..., None], uploader: Any, tmp_path: Path) -> Path:
    """What the destination remembers; the plugin that uploads there is installed."""
    install(
        "acme-send",
        {"acme_plugin": PLUGIN, "acme_work": WORK},
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": {"acme.x": "acme_plugin"},
            "schemes": {"acme": "acme_plugin"},
        },
    )
    folder = tmp_path / "server"
    folder.mkdir()
    uploader.environment |= {"ACME_SERVER": str(folder), "ACME_PASS": "a-password"}
    return folder


def command(adapter: Path) -> tuple[object, ...]:
    return ("run", adapter, "--plugins", "acme.x", "--to", "acme:me/x", "--yes", "--json")


def receipt(result: Any) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    steps = json.loads(result.stdout)["steps"]
    return next(step["receipt"] for step in steps if step["id"].startswith("acme:send"))


def begin(uploader: Any, adapter: Path, server: Path, mode: str) -> subprocess.Popen[str]:
    """Start a run, and return when its upload is under way."""
    process = subprocess.Popen(
        uploader.argv(*command(adapter)),
        cwd=uploader.cwd,
        env={**uploader.variables(), "ACME_MODE": mode},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    begun = server / "begun"
    until(lambda: begun.exists() or process.poll() is not None, 600, "nothing is sent")
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_upload_is_told_that_the_user_stopped_it(
    uploader: Any, adapter: Path, server: Path
) -> None:
    uploader.environment["UPLOADER_CANCEL_TIMEOUT"] = "600"  # it leaves by itself, however late
    process = begin(uploader, adapter, server, "slow")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert (server / "told").read_text() == "CancelledError"
    assert (server / "cleaned").read_text() == "cancelled s1\n"
    assert not (server / "open-s1").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_upload_that_does_not_listen_is_ended_and_cleaned_up(
    uploader: Any, adapter: Path, server: Path
) -> None:
    uploader.environment["UPLOADER_CANCEL_TIMEOUT"] = "0.5"
    process = begin(uploader, adapter, server, "deaf")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not (server / "told").exists()
    assert (server / "cleaned").read_text() == "cancelled s1\n"


def test_failed_upload_is_cleaned_up(uploader: Any, adapter: Path, server: Path) -> None:
    uploader.environment["ACME_MODE"] = "fail"
    assert uploader(*command(adapter)).returncode == 3
    assert (server / "cleaned").read_text() == "failed s1\n"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_killed_run_is_cleaned_up_by_the_next(uploader: Any, adapter: Path, server: Path) -> None:
    process = begin(uploader, adapter, server, "slow")
    process.kill()
    process.communicate()
    assert not (server / "cleaned").exists()
    assert receipt(uploader(*command(adapter)))["metadata"] == {"resumed": False}
    assert (server / "cleaned").read_text() == "killed s1 again\n"


def test_state_outlives_the_attempt_and_not_the_upload(
    uploader: Any, adapter: Path, server: Path
) -> None:
    uploader.environment |= {"ACME_MODE": "fail", "ACME_KEEP": "1"}
    assert uploader(*command(adapter)).returncode == 3
    del uploader.environment["ACME_MODE"]
    assert receipt(uploader(*command(adapter)))["metadata"] == {"resumed": True}
    (uploads,) = adapter.parent.parent.glob("*/*/.uploader/uploads")
    assert not [*uploads.iterdir()]


def test_what_was_kept_is_asked_for_again_by_every_run(
    uploader: Any, adapter: Path, server: Path, tmp_path: Path
) -> None:
    uploader.environment |= {"ACME_MODE": "fail", "ACME_KEEP": "1"}
    release = ("--output", tmp_path / "out")
    assert uploader(*command(adapter), *release).returncode == 3
    del uploader.environment["ACME_KEEP"]
    elsewhere = ("run", adapter, "--plugins", "acme.x", "--yes", *release)
    assert uploader(*elsewhere).returncode == 0  # this one sends nothing there
    assert (server / "cleaned").read_text() == "failed s1\nfailed s1\n"
    assert not (server / "open-s1").exists()


def test_clean_up_that_failed_is_tried_again_for_the_same_reason(
    uploader: Any, adapter: Path, server: Path
) -> None:
    uploader.environment |= {"ACME_MODE": "fail", "ACME_BREAK": "1"}
    said = uploader(*command(adapter))
    assert said.returncode == 3
    del uploader.environment["ACME_BREAK"], uploader.environment["ACME_MODE"]
    receipt(uploader(*command(adapter)))
    assert (server / "cleaned").read_text() == "failed s1\nfailed s1 again\n"
