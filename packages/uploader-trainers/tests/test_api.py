"""plan and run from a script: folders, live models and trainers."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from uploader_core.contract.specs import Finding
from uploader_core.errors import UploaderError, UsageError
from uploader_trainers import plan, run
from uploader_trainers.html import note, table


def test_plan_tells_sizes_and_writes_nothing(sft_model: Path, tmp_path: Path) -> None:
    before = sorted(sft_model.parent.rglob("*"))
    preview = plan(sft_model, plugins="lora,gguf", gguf_quants=["Q8_0"], output=tmp_path / "r")
    assert not preview.errors
    sizes = {step.kind: step.estimate.bytes_written for step in preview.plan.artifacts}
    assert sizes["gguf"] > sizes["lora"] > 0
    assert "Q8_0" in str(preview.plan.step("gguf:gguf").settings)
    assert sorted(sft_model.parent.rglob("*")) == before
    assert not (tmp_path / "r").exists()


def test_release_of_a_folder(sft_model: Path, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "published"
    release = run(sft_model, plugins=["lora"], output=tmp_path / "r", to=f"dir:{target}")
    assert release.verify().problems == ()
    assert release.path / "lora" / "adapter_model.safetensors" in release.files
    assert all(path.is_file() for path in release.files)
    assert release.url == target.as_uri()
    again = run(sft_model, plugins=["lora"], output=tmp_path / "r", to=f"dir:{target}")
    assert {o.status for o in again.report.outcomes.values()} == {"kept"}
    assert capsys.readouterr().out == ""


def test_live_peft_model_with_its_tokenizer(sft_model: Path, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    model = AutoPeftModelForCausalLM.from_pretrained(sft_model)
    release = run(
        model, tokenizer=AutoTokenizer.from_pretrained(sft_model), plugins="lora", quiet=True,
        save_to=tmp_path / "live", output=tmp_path / "r",
    )  # fmt: skip
    names = {path.name for path in release.files}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names


def test_live_trainer_leaves_its_lineage(sft_model: Path, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer, Trainer, TrainingArguments

    trainer = Trainer(
        model=AutoPeftModelForCausalLM.from_pretrained(sft_model),
        processing_class=AutoTokenizer.from_pretrained(sft_model),
        args=TrainingArguments(output_dir=str(tmp_path / "out"), use_cpu=True, report_to=[]),
    )
    preview = plan(trainer, plugins="lora", name="m")
    assert preview.plan.output == tmp_path / "out" / "m"
    saved = tmp_path / "out" / "final_model"
    assert (saved / "tokenizer.json").is_file()
    assert json.loads((saved / "training_lineage.json").read_text("utf-8"))["lora"]["r"] == 8


def test_what_cannot_be_released_is_refused() -> None:
    with pytest.raises(UsageError, match="a int is nothing that can be released"):
        plan(7)


def test_setting_that_nobody_has_is_refused_with_the_near_one(sft_model: Path) -> None:
    with pytest.raises(UsageError) as caught:
        plan(sft_model, gguf_quant=["Q8_0"])
    assert str(caught.value.next).startswith("did you mean gguf_quants")


def test_failure_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UploaderError) as caught:
        run(tmp_path / "nowhere", quiet=True)
    assert caught.value.next


ATTACKS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)", "</td></table><iframe src=javascript:alert(1)>", "&lt;script&gt;",
    "<style>*{display:none}</style>", "<a href='javascript:alert(1)'>x</a>", "<!--", "]]>",
]  # fmt: skip


class Reader(html.parser.HTMLParser):
    """Collects what a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", ATTACKS)
def test_every_text_is_escaped(text: str) -> None:
    finding = Finding(level="warning", what=text, next=text)
    shown = table(text, [text], [[text]]) + note(finding.level, finding.what, finding.next)
    reader = Reader()
    reader.feed(shown)
    reader.close()
    assert reader.tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "span",
                           "br", "code"}  # fmt: skip
    assert reader.attributes <= {"style"}
    assert reader.text.count(text) == 5


def test_names_in_a_preview_are_escaped(sft_model: Path, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    preview = plan(sft_model, plugins="lora", name=evil, output=tmp_path / "r")
    assert "<img" not in preview._repr_html_()


def test_thing_without_model_is_no_trainer() -> None:
    with pytest.raises(UsageError):
        plan(SimpleNamespace(train=print))
