"""Models with code of their own: released so that they load, or refused with the files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from json_files import edit_json
from merged_tools import Merge, save_llama
from uploader_merged import open_checkpoint
from uploader_merged.preflight import check

MAP = {
    "AutoConfig": "configuration_pond.PondConfig",
    "AutoModelForCausalLM": "modeling_pond.PondForCausalLM",
}
TOKENIZER = {"AutoTokenizer": ["tokenization_pond.PondTokenizer", None]}


@pytest.fixture
def pond(tmp_path: Path) -> Path:
    """A model that needs two files of code, and a tokenizer that needs a third."""
    folder = save_llama(tmp_path / "base")
    edit_json(folder / "config.json", model_type="pond", auto_map=MAP)
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": TOKENIZER}))
    for name in ("configuration_pond", "modeling_pond", "tokenization_pond"):
        (folder / f"{name}.py").write_text("raise SystemExit('nobody runs this')")
    return folder


def plan(merge: Merge, folder: Path, adapter: Path | None, **metadata: Any) -> Any:
    context = merge.plan(folder, adapter)
    (source,) = context.inputs
    made = replace(source, metadata={**source.metadata, **metadata})
    return replace(context, inputs=(made,))


@pytest.mark.parametrize("with_adapter", [True, False])
def test_code_that_nobody_else_has_is_refused(
    with_adapter: bool, pond: Path, adapter: Path, merge: Merge
) -> None:
    mine = adapter if with_adapter else None
    (error,) = [f for f in check(merge.plan(pond, mine)) if f.level == "error"]
    for name in ("configuration_pond.py", "modeling_pond.py", "tokenization_pond.py", "auto_map"):
        assert name in error.what
    assert "--base USER/MODEL" in str(error.next)


def test_code_on_the_hub_is_pointed_at(pond: Path, adapter: Path, merge: Merge) -> None:
    context = plan(merge, pond, adapter, model_id="me/pond", revision="0123abc")
    checkpoint = open_checkpoint(context.input("checkpoint"))
    assert checkpoint.config["auto_map"] == {k: f"me/pond--{v}" for k, v in MAP.items()}
    (file,) = [f for f in checkpoint.companions() if f.name == "tokenizer_config.json"]
    classes = json.loads(str(file.text))["auto_map"]["AutoTokenizer"]
    assert classes == ["me/pond--tokenization_pond.PondTokenizer", None]
    found = [f for f in check(context) if "trust_remote_code" in f.what]
    assert [f.level for f in found] == ["note"]
    assert 'code_revision="0123abc"' in found[0].what
    assert not [f for f in check(context) if f.level == "error"]


def test_code_of_another_repository_stays_where_it_is(pond: Path, merge: Merge) -> None:
    (pond / "tokenizer_config.json").unlink()
    there = {"AutoConfig": "other/lake--configuration_lake.LakeConfig"}
    edit_json(pond / "config.json", auto_map=there)
    context = plan(merge, pond, None, model_id="me/pond")
    assert open_checkpoint(context.input("checkpoint")).config["auto_map"] == there
    assert not [f for f in check(context) if f.level == "error"]
