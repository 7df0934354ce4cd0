"""A secret that core handed out is in nothing that a run writes or shows."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECRET = "pa55-word-of-acme"

PLUGIN = """
from uploader_core.plugin import SaveSpec, UploadSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x",
                   run="acme_work:save")

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="send", summary="send", scheme="acme", run="acme_work:send",
                     isolation="{isolation}", secrets=("ACME_PASS",))
"""

WORK = """
import base64
from uploader_core.plugin import keep_secret

def save(context):
    context.output.write("a.bin", b"abc", role="weights")
    return context.artifact()

def send(context):
    secret = context.secrets["ACME_PASS"]
    header = base64.b64encode(f"user:{{secret}}".encode()).decode()
    given = "given-by-" + "a-server"
    keep_secret(given)
    print("printed", secret, given)
    context.log.warning("logged %s %s", header, given)
    context.progress(f"sending with {{secret}} {{given}}", 1, 1)
    {end}
"""

ENDS = {
    "receipt": "return context.receipt(url=f'https://u:{secret}@x/', files=len(context.files),"
    " bytes_sent=1, metadata={'header': header, 'given': given})",
    "error": "raise ValueError(f'{secret} {header} {given}')",
}


@pytest.mark.parametrize("isolation", ["process", "inline"])
@pytest.mark.parametrize("end", ENDS)
def test_secret(
    end: str, isolation: str, install: Callable[..., None], uploader: Any, adapter: Path
) -> None:
    install(
        "acme-leak",
        {
            "acme_plugin": PLUGIN.format(isolation=isolation),
            "acme_work": WORK.format(end=ENDS[end]),
        },
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": {"acme.x": "acme_plugin"},
            "schemes": {"acme": "acme_plugin"},
        },
    )
    uploader.environment["ACME_PASS"] = SECRET
    result = uploader("run", adapter, "--plugins", "acme.x", "--to", "acme:me/x", "--yes",
                      "--name", "m")  # fmt: skip
    assert result.returncode == (0 if end == "receipt" else 3), result.stderr
    written = [p for p in (adapter.parent / "m").rglob("*") if p.is_file()]
    assert any(path.name == "report.html" for path in written)
    header = base64.b64encode(f"user:{SECRET}".encode()).decode()[8:-4]
    for text in (result.stdout, result.stderr, *(p.read_text("utf-8") for p in written)):
        assert SECRET not in text
        assert header not in text
    assert "[secret]" in result.stdout + result.stderr
