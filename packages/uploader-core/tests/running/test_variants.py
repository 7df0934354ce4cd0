"""One kind in several variants, and several kinds made in one pass over what they are made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from dataclasses import dataclass
from uploader_core.plugin import (ConvertSpec, DocumentSpec, Estimate, Finding, SaveSpec,
                                  UploadSpec, hookimpl, setting)

@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    quants: tuple[str, ...] = setting(("q4", "q8"), help="bits", changes_result=False)

@hookimpl
def uploader_savers():
    common = dict(consumes=("adapter",), run="acme_work:save", settings=Settings, together=True)
    yield SaveSpec(name="whole", summary="in 16 bits", produces="acme.mlx", **common)
    yield SaveSpec(name="small", summary="quantised", produces="acme.mlx-quantised",
                   variants="acme_plugin:variants", estimate="acme_plugin:estimate", **common)

@hookimpl
def uploader_converters():
    yield ConvertSpec(name="next", summary="from a variant", consumes=("acme.mlx-quantised",),
                      produces="acme.next", run="acme_work:save", default=False)

@hookimpl
def uploader_documenters():
    yield DocumentSpec(name="note", summary="note", output="NOTE.md", run="acme_work:note",
                       describes=("acme.mlx-quantised",))

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="send", summary="send", scheme="acme", run="acme_work:send",
                     accepts=("acme.mlx-quantised",))

def variants(settings):
    return settings.quants

def estimate(context):
    return Estimate(bytes_written=int(context.variant[1:]), exact=True)
"""

WORK = """
import os
from pathlib import Path

def save(contexts):
    with Path(os.environ["ACME_PASSES"]).open("a") as said:
        said.write(",".join(c.variant or "16" for c in contexts) + "\\n")
    if os.environ.get("ACME_FAIL"):
        raise ValueError("as told")
    for context in contexts:
        context.output.write("a.bin", bytes(int(context.variant[1:] or 16)), role="weights")
    return tuple(context.artifact() for context in contexts)

def note(context):
    (artifact,) = context.inputs
    context.output.write("NOTE.md", artifact.kind, role="document")
    return context.artifact()

def send(context):
    return context.receipt(url="acme://x", files=len(context.files), bytes_sent=1,
                           metadata={"names": sorted(f.name for f in context.files)})
"""

MADE = ("acme:whole", "acme:small-q4", "acme:small-q8")


@pytest.fixture
def passes(install: Callable[..., None], uploader: Any, tmp_path: Path) -> Path:
    """A file with a line for each call of the plugin's function."""
    install(
        "acme-mlx",
        {"acme_plugin": PLUGIN, "acme_work": WORK},
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": dict.fromkeys(
                ("acme.mlx", "acme.mlx-quantised", "acme.next"), "acme_plugin"
            ),
            "documents": {"acme": "acme_plugin"},
            "schemes": {"acme": "acme_plugin"},
        },
    )
    path = tmp_path / "passes"
    uploader.environment["ACME_PASSES"] = str(path)
    return path


def run(uploader: Any, adapter: Path, *options: object) -> dict[str, str]:
    result = uploader("run", adapter, "--plugins", "acme", "--name", "m", "--yes", "--json",
                      *options)  # fmt: skip
    assert result.returncode == 0, result.stderr
    return {step["id"]: step["status"] for step in json.loads(result.stdout)["steps"]}


@pytest.mark.parametrize("jobs", [1, 3])
def test_everything_is_made_in_one_pass(
    jobs: int, uploader: Any, adapter: Path, passes: Path
) -> None:
    statuses = run(uploader, adapter, "--jobs", jobs)
    assert {statuses[step] for step in MADE} == {"done"}
    assert passes.read_text() == "16,q4,q8\n"
    release = adapter.parent / "m"
    sizes = {p.parent.name: p.stat().st_size for p in release.glob("*/a.bin")}
    assert sizes == {"acme.mlx": 16, "acme.mlx-quantised-q4": 4, "acme.mlx-quantised-q8": 8}
    assert uploader("verify", release).returncode == 0


def test_what_is_there_is_not_in_the_pass(uploader: Any, adapter: Path, passes: Path) -> None:
    run(uploader, adapter)
    shutil.rmtree(adapter.parent / "m" / "acme.mlx-quantised-q8")
    statuses = run(uploader, adapter)
    assert [statuses[step] for step in MADE] == ["kept", "kept", "done"]
    assert passes.read_text() == "16,q4,q8\nq8\n"


def test_another_list_of_variants_makes_the_new_one_only(
    uploader: Any, adapter: Path, passes: Path
) -> None:
    run(uploader, adapter)
    run(uploader, adapter, "--acme-quants", "q4,q6")
    assert passes.read_text() == "16,q4,q8\nq6\n"


@pytest.mark.parametrize(
    ("name", "made"),
    [("acme.mlx-quantised", "q4,q8"), ("acme.mlx-quantised-q8", "q8"), ("acme", "16,q4,q8")],
)
def test_kind_to_redo_is_every_variant_of_it(
    name: str, made: str, uploader: Any, adapter: Path, passes: Path
) -> None:
    run(uploader, adapter)
    run(uploader, adapter, "--redo", name)
    assert passes.read_text() == f"16,q4,q8\n{made}\n"


def test_a_pass_that_fails_fails_for_all_that_it_makes(
    uploader: Any, adapter: Path, passes: Path
) -> None:
    uploader.environment["ACME_FAIL"] = "1"
    result = uploader("run", adapter, "--plugins", "acme", "--name", "m", "--yes", "--json")
    statuses = {step["id"]: step["status"] for step in json.loads(result.stdout)["steps"]}
    assert {statuses[step] for step in MADE} == {"failed"}
    assert passes.read_text() == "16,q4,q8\n"


def test_what_is_about_the_kind_is_about_every_variant(
    uploader: Any, adapter: Path, passes: Path, tmp_path: Path
) -> None:
    statuses = run(uploader, adapter, "--to", "acme:x")
    assert {s for s in statuses if s.startswith("acme:note")} == {
        "acme:note@acme.mlx-quantised-q4",
        "acme:note@acme.mlx-quantised-q8",
    }
    record = next((adapter.parent / "m" / ".uploader" / "steps").glob("acme-send*"))
    names = json.loads(record.read_text())["receipt"]["metadata"]["names"]
    assert {"acme.mlx-quantised-q4/a.bin", "acme.mlx-quantised-q8/a.bin"} <= {*names}
    assert not any(name.startswith("acme.mlx/") for name in names)


def test_sizes_are_those_of_the_variant(uploader: Any, adapter: Path, passes: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "acme", "--json")
    sizes = {s["id"]: s["bytes_written"] for s in json.loads(result.stdout)["steps"]}
    assert (sizes["acme:small-q4"], sizes["acme:small-q8"]) == (4, 8)


def test_a_format_cannot_be_made_from_all_variants(
    uploader: Any, adapter: Path, passes: Path
) -> None:
    result = uploader("plan", adapter, "--plugins", "acme.next")
    assert result.returncode == 4
    assert "acme needs acme.mlx-quantised, which acme makes in several variants" in result.stderr


def test_no_variant_is_a_choice_too(uploader: Any, adapter: Path, passes: Path) -> None:
    assert run(uploader, adapter, "--acme-quants", ",")["acme:whole"] == "done"
    assert passes.read_text() == "16\n"


def test_relation_that_no_card_knows_is_refused_at_once(
    uploader: Any, adapter: Path, passes: Path, site: Path
) -> None:
    plugin = site / "acme_plugin.py"
    source = plugin.read_text("utf-8").replace(
        "UploadSpec, hookimpl", "CardFacts, UploadSpec, hookimpl"
    )
    source = source.replace(
        'produces="acme.mlx",', 'produces="acme.mlx", card=CardFacts(relation="x"),'
    )
    plugin.write_text(source, "utf-8")
    result = uploader("plan", adapter, "--plugins", "acme")
    assert result.returncode == 8
    assert "relation='x' of spec 'whole' is none of" in result.stderr


@pytest.mark.parametrize("given", ["q4,q4", "Q 4"])
def test_variants_that_are_no_names(given: str, uploader: Any, adapter: Path, passes: Path) -> None:
    result = uploader("plan", adapter, "--plugins", "acme", "--acme-quants", given)
    assert result.returncode == 8
    assert "variants are different names of lower-case letters" in result.stderr
