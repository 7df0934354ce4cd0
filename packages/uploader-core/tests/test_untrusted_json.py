"""What comes from a disk or a pipe is not believed to be of the right form, under ``-O`` neither.

No plain ``assert`` in here: ``python -O`` would take it out of the tests as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader_core.artifact import Artifact, ArtifactFile
from uploader_core.contract.output import OutputFolder
from uploader_core.destinations.verification import Problem, Verification
from uploader_core.disk.safe_write import write_json
from uploader_core.errors import IntegrityError, PluginError
from uploader_core.release.record import Record, canonical_digest
from uploader_core.release.source_digests import SourceDigests
from uploader_core.release.store import ReleaseStore
from uploader_core.workers.messages import Request, RunStep, RunUpload, Verify

FILE = ArtifactFile(name="a.bin", size=3, sha256="0" * 64)


def expect(condition: object) -> None:
    if not condition:
        pytest.fail("it is not so")


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    """A release with the record of one step."""
    store = ReleaseStore(tmp_path)
    artifact = Artifact(kind="acme.pack", path=tmp_path / "made", files=(FILE,))
    store.save(Record(step="a:b", key="k", folder="made", artifact=artifact))
    return store


def rewrite(store: ReleaseStore, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the record as a program would that knows how to compute its digest."""
    (path,) = (store.internal / "steps").iterdir()
    data = json.loads(path.read_text("utf-8"))
    del data["digest"]
    change(data)
    write_json(path, {**data, "digest": canonical_digest(data)})


def test_record_that_is_only_rewritten_is_read(store: ReleaseStore) -> None:
    rewrite(store, lambda data: data)
    expect(store.record("a:b"))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["artifact"].update(files="a.bin"),
        lambda data: data["artifact"].update(files=["a.bin"]),
        lambda data: data["artifact"]["files"][0].update(size="3"),
        lambda data: data["artifact"]["files"][0].update(size=True),
        lambda data: data["artifact"]["files"][0].pop("sha256"),
        lambda data: data["artifact"].update(metadata=[]),
        lambda data: data.update(artifact=None),
        lambda data: data.update(receipt={}),
        lambda data: data.update(seconds="long"),
        lambda data: data.update(stats={"a.bin": 5}),
        lambda data: data.update(folder="../../etc"),
    ],
)
def test_record_of_another_form_is_none_and_the_step_runs_again(
    store: ReleaseStore, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(store, change)
    expect(store.record("a:b") is None)


def test_record_of_an_upload_has_no_artifact_and_says_which_file_is_wrong() -> None:
    record = Record(step="hf:upload", key="k", receipt={})
    with pytest.raises(IntegrityError, match="the record of hf:upload names no artifact") as error:
        _ = record.made
    expect(str(error.value.owner).startswith(".uploader/steps/hf-upload-"))


@pytest.mark.parametrize("said", ['{"name": "x", "size": "3"}', "[]", "null", '{"size": 3}', "x"])
def test_unit_record_of_another_form_is_no_finished_file(tmp_path: Path, said: str) -> None:
    output = OutputFolder(tmp_path / "made", tmp_path / "scratch", tmp_path / "units")
    output.write("x", b"abc")
    expect(output.done("x"))
    (tmp_path / "units" / "x.json").write_text(said)
    expect(output.done("x") is None)


@pytest.mark.parametrize("said", ["[]", '{"PATH": 7}', '{"PATH": [1]}', "null"])
def test_digests_of_another_form_are_forgotten(
    store: ReleaseStore, tmp_path: Path, said: str
) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(b"abc")
    (store.internal / "digests.json").write_text(said.replace("PATH", str(source)))
    digests = SourceDigests(store.internal)
    weights = ArtifactFile(name=source.name, size=3, sha256="")
    artifact = Artifact(kind="adapter", path=tmp_path, files=(weights,))
    expect(not digests.knows(artifact))
    expect(len(digests.fill(artifact).files[0].sha256) == 64)
    digests.save()
    expect(SourceDigests(store.internal).knows(artifact))


@pytest.mark.parametrize(
    ("answer", "request_type", "words"),
    [
        ([], RunStep, "Expected `object`, got `array`"),
        ({"kind": "x"}, RunStep, "missing required field `path`"),
        ({"kind": "x", "path": 7}, RunStep, "7 is no Path"),
        ({"files": 1, "size": "1", "problems": []}, Verify, "got `str` - at `\\$.size`"),
        ({"files": 1, "size": 1, "problems": {}}, Verify, "got `object` - at `\\$.problems`"),
        (None, RunUpload, "got `null`"),
    ],
)
def test_answer_of_another_form_is_named_as_the_plugins(
    answer: Any, request_type: type[Request[Any]], words: str
) -> None:
    class Asked(Request[Any]):
        answer_type = request_type.answer_type

    with pytest.raises(
        PluginError, match=f"what acme:pack returned cannot be read: .*{words}"
    ) as e:
        Asked(step="acme:pack", owner="acme 1.0", run="m:f").read(answer)
    expect(e.value.owner == "acme 1.0")


def test_verification_is_read_from_what_is_printed() -> None:
    found = Verification(files=1, size=7, problems=(Problem(path="a", what="is missing"),))
    expect(Verification.from_json(json.loads(json.dumps(found.to_json()))) == found)
    for wrong in ({"files": 1, "bytes": "1", "problems": []}, [], {"files": 1, "problems": []}):
        with pytest.raises(ValueError, match=r"size|object"):
            Verification.from_json(wrong)  # type: ignore[arg-type]


WORK = """
from dataclasses import replace

def save(context):
    context.progress("packing", 0.5, 1.0)
    context.output.write("a.txt", "a")
    return context.artifact()

def odd(context):
    return replace(context.artifact(), producer=1)
"""
PLUGIN = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    for name in ("save", "odd"):
        yield SaveSpec(name=name, summary="pack", consumes=("adapter",), run=f"acme_work:{name}",
                       produces=f"acme.{name}", default=name == "save")
"""


@pytest.fixture
def acme(install: Callable[..., None]) -> None:
    install(
        "acme-pack",
        {"acme_plugin": PLUGIN, "acme_work": WORK},
        {
            "plugins": {"acme": "acme_plugin"},
            "artifacts": {"acme.save": "acme_plugin", "acme.odd": "acme_plugin"},
        },
    )


@pytest.mark.usefixtures("acme")
def test_step_that_counts_in_fractions_runs(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "acme.save")
    expect(result.returncode == 0)


@pytest.mark.usefixtures("acme")
def test_artifact_of_another_form_is_an_error_of_its_plugin(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "acme.odd", "--json")
    expect(result.returncode == 8)
    error = json.loads(result.stderr.splitlines()[-1])
    expect("acme:odd returned cannot be read: Expected `str`, got `int`" in error["what"])
    expect("$.producer" in error["what"])
    expect(error["owner"] == "acme-pack 1.0")


def test_all_this_holds_without_asserts() -> None:
    chosen = ["-k", "not without_asserts", "-p", "no:cacheprovider", "-q"]
    result = subprocess.run(
        # pytest warns that asserts do nothing; there are none in here.
        [sys.executable, "-O", "-m", "pytest", __file__, *chosen, "-W", "ignore:assertions not"],
        capture_output=True,
        text=True,
    )
    expect(result.returncode == 0)
    expect(" passed" in result.stdout)
