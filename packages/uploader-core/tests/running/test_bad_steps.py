"""What a step did or returned that no run believes, with the sentence that says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from uploader_core.plugin import Estimate, SaveSpec, UploadSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="bad", summary="bad", consumes=("adapter",), produces="acme.bad",
                   run="acme_work:save", estimate="acme_bad:estimate")

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="send", summary="send", scheme="acme", run="acme_work:send")

def estimate(context):
    return Estimate({estimate})
"""

WORK = """
from dataclasses import replace
from pathlib import Path

def save(context):
    output = context.output
    output.write("a.bin", b"abc", role="weights")
    {save}
    return context.artifact()

def send(context):
    receipt = dict(url="acme://x", files=len(context.files), bytes_sent=1)
    {send}
    return context.receipt(**receipt)
"""

DIGEST = "files=(replace(made.files[0], sha256='0' * 64),)"
OTHER = "written through context.output"

# What the step does, and what is said of it.
BAD = {
    "digest": (f"made = context.artifact(); return replace(made, {DIGEST})", OTHER),
    "ghost": (
        "made = context.artifact(); ghost = replace(made.files[0], name='ghost.bin'); "
        "return replace(made, files=(*made.files, ghost))",
        "ghost.bin: the artifact lists other files",
    ),
    "dropped": ("return replace(context.artifact(), files=())", OTHER),
    "kind": ("return replace(context.artifact(), kind='acme.z')", "returned acme.z, not acme.bad"),
    "beside": (
        "(output.path / 'extra.bin').write_bytes(b'x')",
        "acme:bad wrote extra.bin without context.output",
    ),
    "input": (
        "path = context.input('adapter').file('adapter_model.safetensors'); "
        "path.write_bytes(path.read_bytes() + b'!')",
        "adapter_model.safetensors changed while acme:bad worked with it",
    ),
    "nan": ("return context.artifact({'x': float('nan')})", "returned what JSON cannot hold"),
    "object": ("return context.artifact({'x': {1, 2}, 'y': object})", "what JSON cannot hold"),
    "manifest": ("output.write('upload_manifest.json', '{}')", "another step of the run"),
    "card": ("output.write('README.md', 'mine')", "'README.md' is written by another step"),
    "card-by-case": ("output.write('ReadMe.md', 'mine')", "another step of the run"),
    "case": ("output.write('A.bin', b'x')", "are one file where case does not count"),
    "line-end": ("output.write('a\\nb.txt', b'x')", "is no name of a file below acme.bad"),
    "colon": ("output.write('a:b?.txt', b'x')", "is no name of a file below acme.bad"),
    "outside": ("output.write('../a.txt', b'x')", "is no name of a file below acme.bad"),
    "secret": ("output.write('hf_' + 'a' * 34, b'x')", "the name of a file looks like a secret"),
}
SENT = {
    "none": ("receipt['files'] = 0", "the receipt counts 0 of"),
    "many": ("receipt['files'] = 10**6", "the receipt counts 1,000,000 of"),
    "negative": ("receipt['bytes_sent'] = -1", "-1 bytes sent"),
    "nowhere": ("receipt['url'] = ''", "at no address"),
    "release": (
        "context.inputs[0].file('a.bin').write_bytes(b'xyz!')",
        "a.bin changed while acme:send",
    ),
    "deleted": ("context.inputs[0].file('a.bin').unlink()", "a.bin changed while acme:send"),
}
COSTS = {
    "negative": ("bytes_written=-5", "said bytes_written=-5: no cost is that"),
    "nan": ("seconds=float('nan')", "said seconds=nan: no cost is that"),
    "file": ("files=(('a', -1),)", "said files=-1: no cost is that"),
}

Run = Callable[..., str]


@pytest.fixture
def failed(install: Callable[..., None], uploader: Any, adapter: Path) -> Run:
    """Run a plugin that misbehaves, and return what is said of it."""

    def run(*, save: str = "pass", send: str = "pass", estimate: str = "") -> str:
        install(
            "acme-bad",
            {
                "acme_bad": PLUGIN.format(estimate=estimate),
                "acme_work": WORK.format(save=save, send=send),
            },
            {
                "plugins": {"acme": "acme_bad"},
                "artifacts": {"acme.bad": "acme_bad"},
                "schemes": {"acme": "acme_bad"},
            },
        )
        result = uploader("run", adapter, "--plugins", "acme.bad", "--to", "acme:x", "--name", "m",
                          "--yes", "--json")  # fmt: skip
        assert result.returncode != 0
        error = json.loads(result.stderr.splitlines()[-1])
        assert error["owner"].startswith("acme-bad 1.0")
        assert error["next"]
        return f"{error['what']} ({error['safe']})"

    return run


@pytest.mark.parametrize("name", BAD)
def test_step(failed: Run, name: str) -> None:
    body, sentence = BAD[name]
    assert sentence in failed(save=body)


@pytest.mark.parametrize("name", SENT)
def test_upload(failed: Run, name: str) -> None:
    body, sentence = SENT[name]
    assert sentence in failed(send=body)


@pytest.mark.parametrize("name", COSTS)
def test_estimate(failed: Run, name: str) -> None:
    body, sentence = COSTS[name]
    assert sentence in failed(estimate=body)


def test_file_that_an_exact_estimate_names_is_missing(failed: Run) -> None:
    """As after a careless look for what an earlier attempt had finished."""
    said = failed(estimate="exact=True, bytes_written=6, files=(('a.bin', 3), ('b.bin', 3))")
    assert "acme:bad did not make b.bin, which its exact estimate names" in said


def test_nothing_of_a_bad_step_is_recorded(failed: Run, adapter: Path) -> None:
    failed(save=BAD["digest"][0])
    assert not [*(adapter.parent / "m" / ".uploader" / "steps").glob("acme-bad*")]
