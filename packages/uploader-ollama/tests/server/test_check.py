"""The preflight: version, base of an adapter, renderers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ollama_files import RELEASE, release
from ollama_server import LoopbackOllama
from uploader_core.plugin import Artifact, Finding, PlanContext, Receipt, RefusedError, UsageError
from uploader_ollama.server.check import check
from uploader_ollama.settings import ServerSettings


def findings(kind: str = "gguf", target: str = "tiny", **more: Any) -> list[Finding]:
    sources, names = more.pop("sources", {}), more.pop("names", ())
    context = PlanContext(
        inputs=(Artifact(kind=kind, path=Path()),),
        settings=ServerSettings(**more),
        release=RELEASE,
        output=Path(),
        target=target,
        sources=sources,
        names={"gguf": tuple((name, 1) for name in names)},
    )
    return list(check(context))


def test_the_plan_says_which_ollama_it_is(ollama: LoopbackOllama) -> None:
    assert [f.what for f in findings()] == [f"Ollama 0.33.0 at {ollama.url}"]


def test_an_ollama_that_renders_no_jinja_is_refused_before_any_work(ollama: LoopbackOllama) -> None:
    ollama.version = "0.29.1"
    with pytest.raises(RefusedError, match=r"0\.30\.0 is the first"):
        findings()


def test_an_adapter_needs_a_base_that_ollama_has(
    ollama: LoopbackOllama, upload: Callable[..., Receipt], tmp_path: Path
) -> None:
    assert "needs the model" in findings("gguf-lora")[-1].what
    assert findings("gguf-lora", base="base")[-1].next.startswith("ollama pull base")

    upload("base", release(tmp_path / "b", "Q8_0"))

    assert findings("gguf-lora", base="base")[-1].level == "warning"


def test_a_built_in_renderer_is_said(ollama: LoopbackOllama, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma4"}))
    said = findings(sources={"base": tmp_path})[-1]
    assert said.level == "warning" and "renderer gemma4" in said.what


def test_a_name_that_is_none_is_refused(ollama: LoopbackOllama) -> None:
    with pytest.raises(UsageError, match="namespace"):
        findings(target="my.team/tiny")


def test_files_that_will_be_cut_are_refused_before_any_work(ollama: LoopbackOllama) -> None:
    said = findings(names=["tiny-Q8_0-00001-of-00002.gguf", "tiny-Q8_0-00002-of-00002.gguf"])[-1]
    assert said.level == "error" and "--gguf-split-size" in said.next


def test_a_default_that_will_not_be_made_is_refused_before_any_work(ollama: LoopbackOllama) -> None:
    assert findings(names=["tiny-Q8_0.gguf"], default="q8_0")[-1].level == "note"
    assert "tiny-Q8_0.gguf" in findings(names=["tiny-Q8_0.gguf"], default="Q4_K_M")[-1].what
