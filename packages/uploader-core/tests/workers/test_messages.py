"""Every message between a run and a worker comes through the pipe as it went in."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from uploader_core.artifact import Artifact, ArtifactFile, Receipt, UploadFile
from uploader_core.contract import settings as contract_settings
from uploader_core.contract.context import (
    ArrivalContext,
    CleanUpContext,
    PlanContext,
    ReleaseInfo,
    SourceContext,
    VerifyContext,
)
from uploader_core.contract.specs import CardFacts
from uploader_core.contract.step_context import StepData
from uploader_core.plugin import setting
from uploader_core.redact import without_local_paths
from uploader_core.untrusted_json import as_json
from uploader_core.workers import messages
from uploader_core.workers.messages import from_line, to_line


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Settings of every type that one may have."""

    place: Path = setting(Path("/a b"), help="x")
    colour: Colour = setting(Colour.RED, help="x")
    names: tuple[str, ...] = setting(("a", "b"), help="x")
    share: float = setting(0.5, help="x")
    limit: int | None = setting(None, help="x")
    mark: str = setting(",", help="x")


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Settings with several paths."""

    folders: tuple[Path, ...] = setting((), help="x")


WHO: dict[str, Any] = {"step": "acme:pack", "owner": "acme 1.0"}
RELEASE = ReleaseInfo(name="modèle", source="adapter", leave_behind=("x.py",))
ARTIFACT = Artifact(
    kind="lora",
    path=Path("/r/lora"),
    files=(ArtifactFile(name="a/b", size=2**40, sha256="0" * 64, role="weights"),),
    metadata={"deep": [{"a": None, "b": [1.5, True, "模"]}]},
)
SECTION = messages.SectionRequest(
    plugin="acme",
    owner="acme 1.0",
    heading="Use",
    run="m:f",
    kind="lora",
    settings=messages.Settings(plugin="acme"),
)
FILE = UploadFile(name="a", path=Path("/r/a"), size=1, sha256="", role="config", kind="lora")
DATA: dict[str, Any] = {
    "step": "acme:pack",
    "inputs": (ARTIFACT,),
    "release": RELEASE,
    "work": Path("/r/w"),
    "produces": "lora",
    "version": "acme 1.0",
    "target": "me/x",
    "destination": "hf:me/x",
    "targets": ("me/x", "me/y"),
    "files": (FILE,),
    "loads": ("*.safetensors",),
    "measurements": (ARTIFACT,),
    "sources": {"adapter": Path("/s")},
    "materials": (ARTIFACT,),
    "model_id": "me/x",
    "state": Path("/r/s"),
    "cards": {"lora": CardFacts(title="LoRA")},
    "variant": "q4",
    "pieces": ("model-1.safetensors",),
}
STEP: dict[str, Any] = {
    **WHO,
    "secrets": ("TOKEN",),
    "network": True,
    "run": "m:f",
    "context": StepData(**DATA),
    "settings": messages.Settings.of("acme", None),
    "output": Path("/r/lora"),
    "units": Path("/r/u"),
    "sections": (SECTION,),
    "reserved": ("README.md",),
    "together": True,
    "finished": (ArtifactFile(name="a.bin", size=1, sha256="0" * 64),),
}
CONTEXT = PlanContext(
    inputs=(ARTIFACT,),
    settings=None,
    release=RELEASE,
    output=Path("/r"),
    target="me/x",
    sizes={"lora": 5},
    names={"lora": (("a", 5),)},
    sources={"base": Path("/b")},
    files=("a",),
    loads=("*",),
)
ALL = [
    messages.Import(run="m:f", owner="acme 1.0"),
    messages.RunStep(**STEP),
    messages.RunTogether(**WHO, run="m:f", steps=(messages.RunStep(**STEP),)),
    messages.RunUpload(**STEP),
    messages.Check(**WHO, run="m:f", context=CONTEXT),
    messages.Fetch(
        **WHO,
        run="m:f",
        context=SourceContext(reference="a/b", purpose="base", outline=Path("/o")),
    ),
    messages.Verify(**WHO, run="m:f", context=VerifyContext(target="a/b", full=False)),
    messages.StillThere(
        **WHO,
        run="m:f",
        context=ArrivalContext(
            target="a/b",
            receipt=Receipt(destination="hf:a/b", url="https://x", metadata={"branch": "main"}),
        ),
    ),
    messages.CleanUp(
        **WHO,
        run="m:f",
        settings=messages.Settings(plugin="acme"),
        context=CleanUpContext(target="a/b", why="failed", state=Path("/r/s")),
    ),
    messages.Cancel(),
    messages.Progress(what="x", done=1, total=None, unit="bytes"),
    messages.Warned(what="x"),
    messages.Answer(result={"a": [1, None]}),
    messages.Failed(error={"what": "x", "exit_code": 6}),
]


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_message_arrives_as_it_was_sent(message: Any) -> None:
    line = to_line(message)
    assert line.count("\n") == 1
    assert from_line(line) == message


def test_every_class_of_messages_is_tried_with_every_field() -> None:
    assert {type(message) for message in ALL} == {*messages._CLASSES.values()}
    full = next(m for m in ALL if isinstance(m, messages.RunStep))
    assert {f.name for f in fields(full)} == {*STEP}
    assert {f.name for f in fields(full.context)} == {*DATA}


def test_settings_arrive_as_they_were() -> None:
    options = Options(place=Path("/c"), limit=3, names=("a", "b,c", " "), mark=" ")
    sent = messages.Settings.of("acme", options)
    request = messages.Check(**WHO, run="m:f", context=CONTEXT, settings=sent)
    assert from_line(to_line(request)).settings.build() == options
    assert messages.Settings.of("acme", None).build() is None


@pytest.mark.parametrize("line", ["", "hello", "[]", "{}", '{"message": "os"}', '{"message": [1]}'])
def test_line_that_is_no_message_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_line(line)


def test_members_that_a_later_version_added_are_left_out() -> None:
    line = '{"message": "Warned", "what": "x", "colour": "red"}'
    assert from_line(line) == messages.Warned(what="x")


def test_json_of_a_dataclass_is_what_a_file_of_it_would_hold() -> None:
    options = Options(names=("a", "b"))
    for value in (options, ARTIFACT, Artifact(kind="x", path=Path("y"), metadata={"t": (1, (2,))})):
        assert as_json(value) == json.loads(json.dumps(as_json(value)))
    assert contract_settings.to_json(options)["names"] == ["a", "b"]


def test_no_local_path_of_a_setting_gets_into_a_manifest() -> None:
    settings = contract_settings.to_json(Places(folders=(Path("/home/me/a"), Path("/home/me/b"))))
    assert without_local_paths(settings) == {"folders": ["a", "b"]}
