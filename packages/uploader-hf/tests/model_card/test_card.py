"""The card: metadata that the Hub takes, licences handed on, nothing invented, no local path."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_tools import CARDS, RELEASE
from uploader_core.plugin import (
    Artifact,
    ArtifactFile,
    CardFacts,
    OutputFolder,
    RefusedError,
    ReleaseInfo,
    Section,
    StepContext,
    UsageError,
)
from uploader_hf.model_card.card import TEMPLATE, write
from uploader_hf.model_card.rules import errors_of
from uploader_hf.settings import CardSettings

KINDS = ("lora", "merged-16bit", "merged-4bit", "gguf")
LICENCES = {
    "apache-2.0": "license: apache-2.0\nlanguage: [en, de]\npipeline_tag: text-generation",
    "mit": "license: mit",
    "llama3.2": "license: llama3.2\nextra_gated_prompt: sign here",
    "gemma": "license: gemma\nlanguage: English",
    "other": "license: other\nlicense_name: qwen-research\nlicense_link: LICENSE",
}
STATE = {
    "global_step": 30,
    "log_history": [
        *({"step": n, "loss": 3 - n / 15} for n in range(1, 31)),
        {"step": 30, "train_runtime": 3725.4},
    ],
}
Write = Callable[..., Any]


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    """A base with licences and a card, an adapter with a trainer's state."""
    folders = {kind: tmp_path / kind for kind in ("base", "adapter")}
    for folder in folders.values():
        folder.mkdir()
    (folders["base"] / "README.md").write_text(f"---\n{LICENCES['apache-2.0']}\n---\n# Base\n")
    (folders["base"] / "LICENSE").write_text("Do what you like.\n")
    (folders["base"] / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (folders["adapter"] / "trainer_state.json").write_text(json.dumps(STATE))
    return folders


@pytest.fixture
def card(tmp_path: Path, sources: dict[str, Path]) -> Write:
    """Run the step for a kind; returns the card as the client reads it."""

    def run(
        kind: str = "lora",
        release: ReleaseInfo = RELEASE,
        files: tuple[str, ...] = (),
        template: str = "",
        model_id: str = "",
        metadata: dict[str, Any] | None = None,
        facts: CardFacts | None = None,
        **sections: str,
    ) -> Any:
        from huggingface_hub import ModelCard

        there = tuple(ArtifactFile(name=n, size=1, sha256="0" * 64, role="other") for n in files)
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        write(
            StepContext(
                step=f"hf:card@{kind}",
                inputs=(
                    Artifact(
                        kind=kind, path=tmp_path / "out", files=there, metadata=metadata or {}
                    ),
                ),
                settings=CardSettings(card_template=template),
                release=release,
                output=OutputFolder(tmp_path / "out", work),
                work=work,
                sections=tuple(Section(heading=k, text=v, plugin="p") for k, v in sections.items()),
                sources=sources,
                model_id=model_id,
                cards=CARDS if facts is None else {kind: facts},
            )
        )
        return ModelCard.load(tmp_path / "out" / "README.md")

    return run


@pytest.mark.parametrize(
    ("kind", "relation", "library"),
    [
        ("lora", "adapter", "peft"),
        ("merged-16bit", "finetune", "transformers"),
        ("merged-4bit", "quantized", "transformers"),
        ("gguf", "quantized", "gguf"),
    ],
)
def test_metadata(card: Write, kind: str, relation: str, library: str) -> None:
    assert card(kind).data.to_dict() | {"tags": []} == {
        "base_model": "acme/base",
        "base_model_relation": relation,
        "license": "apache-2.0",
        "language": ["en", "de"],
        "library_name": library,
        "pipeline_tag": "text-generation",
        "tags": [],
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("licence", LICENCES)
def test_the_hub_takes_every_kind_under_every_licence(
    card: Write, api: Any, sources: dict[str, Path], kind: str, licence: str
) -> None:
    (sources["base"] / "README.md").write_text(f"---\n{LICENCES[licence]}\n---\n")
    made = card(kind, how="to **run** it")
    api.create_repo("me/x", private=True)
    api.upload_file(path_or_fileobj=str(made).encode(), path_in_repo="README.md", repo_id="me/x")
    assert made.data.license == licence
    assert ("Built with Llama" in made.text) == licence.startswith("llama")
    assert ("Gemma Terms of Use" in made.text) == (licence == "gemma")
    assert "[LICENSE](LICENSE)" in made.text
    there = Path(api.hf_hub_download("me/x", "README.md")).read_text()
    assert there == str(made)


def test_licence_by_another_name_keeps_name_and_link(card: Write, sources: dict[str, Path]) -> None:
    (sources["base"] / "README.md").write_text(f"---\n{LICENCES['other']}\n---\n")
    assert "`qwen-research`, as the base model: [LICENSE](LICENSE)" in card("gguf").text
    data = card("gguf").data.to_dict()
    assert (data["license_name"], data["license_link"]) == ("qwen-research", "LICENSE")
    (sources["base"] / "LICENSE").unlink()
    made = card("gguf")
    link = "https://huggingface.co/acme/base/blob/main/LICENSE"
    assert made.data["license_link"] == link
    assert f"[`qwen-research`]({link}), as the base model.\n" in made.text


def test_a_licence_that_the_format_brings_is_linked(card: Write) -> None:
    assert "[LICENSE](LICENSE)" in card("merged-16bit", files=("LICENSE",)).text


def test_what_is_unknown_is_left_out(card: Write, sources: dict[str, Path]) -> None:
    sources.clear()
    text = str(card("gguf"))
    assert "license" not in text
    assert "pipeline_tag" not in text
    assert "## Training" not in text


def test_a_base_without_a_hub_id_is_not_named(card: Write) -> None:
    release = ReleaseInfo(name="m", source="adapter", base_model="/home/alice/llama")
    text = str(card("lora", release))
    assert "base_model" not in text
    assert "alice" not in text


def test_training_is_told_with_a_picture(card: Write, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = card("lora").text
    assert "| steps | 30 |" in text
    assert "| final loss | 1 |" in text
    assert "| time | 1:02:05 |" in text
    assert "![loss by step](training_loss.png)" in text
    assert (tmp_path / "out" / "training_loss.png").read_bytes().startswith(b"\x89PNG")


def test_modules_are_named_once_and_without_their_layers(
    card: Write, sources: dict[str, Path]
) -> None:
    modules = [f"model.layers.{n}.mlp.{m}" for n in range(3) for m in ("up_proj", "down_proj")]
    config = {"peft_type": "LORA", "target_modules": [*modules, "lm_head"]}
    (sources["adapter"] / "adapter_config.json").write_text(json.dumps(config))
    text = card("lora").text
    assert "| modules | `down_proj`, `lm_head`, `up_proj` |" in text
    assert "| adapter | LoRA |" in text


@pytest.mark.parametrize("kind", KINDS)
def test_tags_of_the_source_that_are_about_its_files_are_not_those_of_what_is_made(
    card: Write, sources: dict[str, Path], kind: str
) -> None:
    (sources["adapter"] / "README.md").write_text(
        "---\ntags: [lora, transformers, peft, gguf, sft]\n---\n[More Information Needed]\n"
    )
    formats = {"lora": ["lora"], "gguf": ["gguf"], "merged-4bit": ["bitsandbytes"]}
    assert card(kind).data.tags == ["uploader", *formats.get(kind, []), "sft"]


@pytest.mark.parametrize(
    ("kind", "relation", "says"),
    [
        ("gguf", "quantized", "GGUF for llama.cpp and Ollama, made from [acme/base]"),
        ("merged-4bit", "quantized", "Model in 4 bit, made from [acme/base]"),
        ("merged-16bit", None, "Model in 16 bit, made from [acme/base]"),
    ],
)
def test_model_that_nobody_fine_tuned_is_not_said_to_be(
    card: Write, sources: dict[str, Path], kind: str, relation: str | None, says: str
) -> None:
    sources["checkpoint"] = sources.pop("base")
    del sources["adapter"]
    made = card(kind, dataclasses.replace(RELEASE, source="checkpoint"))
    assert says in made.text
    assert "fine-tuned" not in made.text
    assert made.data.to_dict().get("base_model_relation") == relation


def test_values_of_others_are_shown_and_nothing_more(card: Write, sources: dict[str, Path]) -> None:
    evil = "a|b](http://x) <script>alert(1)</script> `c` **d**"
    told = {"method": evil, "gpu_name": evil}
    (sources["adapter"] / "training_lineage.json").write_text(json.dumps(told))
    pytest.importorskip("markdown_it")
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(card("lora").text)
    assert "<script" not in page
    assert "<strong>d" not in page
    assert 'href="http://x"' not in page
    assert "<td>a|b](" in page


def test_a_persons_readme_stays_and_outranks_what_is_known(
    card: Write, sources: dict[str, Path]
) -> None:
    (sources["adapter"] / "README.md").write_text(
        "---\nlanguage: [fr]\ntags: [poetry]\nbase_model: /home/alice/llama\n---\n"
        "# My poet\n\nIt rhymes.\n"
    )
    made = card("lora", use="like this")
    assert made.text.strip().startswith("# My poet\n\nIt rhymes.\n\n<!-- uploader:begin")
    assert made.text.count("\n# ") == 1
    assert made.data.language == ["fr"]
    assert made.data.tags[:2] == ["poetry", "uploader"]
    assert made.data.base_model == "acme/base"


def test_a_librarys_readme_does_not(card: Write, sources: dict[str, Path]) -> None:
    (sources["adapter"] / "README.md").write_text(
        "---\nbase_model: /home/alice/llama\ndatasets: [trl-lib/x]\ntags: [trl, sft]\n---\n"
        "# Model Card\n\n[More Information Needed]\n\n- TRL: 0.25.1\n"
    )
    made = card("lora")
    assert "More Information" not in made.text
    assert "alice" not in str(made)
    assert made.data.datasets == ["trl-lib/x"]
    assert made.data.tags == ["uploader", "lora", "trl", "sft"]
    assert "trl 0.25.1" in made.text


def test_a_template_of_the_users_own(card: Write, tmp_path: Path) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text("Hello {{ title }} by {{ lineage.results.steps }} steps")
    assert "Hello tiny by 30 steps" in card("lora", template=str(path)).text


def test_a_template_that_was_made_for_the_hubs_client(card: Write, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard, ModelCardData

    path = tmp_path / "card.md"
    path.write_text("---\n{{ card_data }}\n---\n{{ '' }}---\n{{ card_data }}\n---\n# {{ title }}\n")
    theirs = ModelCard.from_template(ModelCardData(), template_path=path, title="T").text
    path.write_text("---\n{{ card_data }}\n---\n# T\n")
    assert theirs.strip() in card("lora", template=str(path)).text


def test_a_card_is_written_without_the_hubs_client() -> None:
    code = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from uploader_core.plugin import Artifact, OutputFolder, ReleaseInfo, StepContext
from uploader_hf.model_card.card import write
from uploader_hf.settings import CardSettings
with TemporaryDirectory() as place:
    out, work = Path(place, "out"), Path(place, "work")
    out.mkdir()
    work.mkdir()
    write(
        StepContext(
            step="hf:card@lora",
            inputs=(Artifact(kind="lora", path=out),),
            settings=CardSettings(),
            release=ReleaseInfo(name="tiny", source="adapter"),
            output=OutputFolder(out, work),
            work=work,
        )
    )
    assert "# tiny" in Path(out, "README.md").read_text()
print(*sorted({"huggingface_hub", "httpx", "matplotlib"} & {*sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("content", [None, "{{ 1 / }}", "{{ nothing.at.all }}"])
def test_a_template_that_is_none_is_refused(
    card: Write, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "mine.jinja"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match="template") as caught:
        card("lora", template=str(path))
    assert str(TEMPLATE) in str(caught.value.next)


def test_metadata_that_the_hub_refuses_stop_before_anything_is_sent(
    card: Write, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader_hf.model_card.card.metadata_of", lambda *_: {"license": "Apache"})
    with pytest.raises(RefusedError, match="license"):
        card("lora")


def test_sections_stand_in_order_and_only_with_something_to_say(card: Write) -> None:
    text = card("gguf", first="one", second="two", silent="\n").text
    assert text.index("## first") < text.index("one") < text.index("## second")
    assert "## silent" not in text


def test_nothing_but_our_part_stands_between_the_markers(card: Write) -> None:
    first, heading = card("gguf").text.strip().splitlines()[:2]
    assert first.startswith("<!-- uploader:begin text=")
    assert heading == "# tiny"


def test_where_it_will_be_is_named(card: Write) -> None:
    text = card("gguf", model_id="me/x-GGUF").text
    assert "# x-GGUF\n" in text
    assert "uploader verify hf:me/x-GGUF" in text


def test_kind_of_a_third_party_gets_a_card(card: Write) -> None:
    made = card(
        "acme.onnx",
        facts=CardFacts(title="oNNX in 8 bits, for *any* runtime.", tags=("acme.onnx",)),
    )
    assert "acme.onnx" in made.data.tags
    assert "\nONNX in 8 bits, for \\*any\\* runtime, fine-tuned from [" in made.text
    assert errors_of(str(made)) == []


def test_kind_of_which_nothing_is_said_is_named(card: Write) -> None:
    assert "\nacme.onnx, fine-tuned from [" in card("acme.onnx").text


@pytest.mark.parametrize(
    ("task", "base", "tag"),
    [
        ("text-classification", "text-generation", "text-classification"),
        ("sentence-similarity", None, "sentence-similarity"),
        ("feature-extraction", "sentence-similarity", "sentence-similarity"),
        ("text2text-generation", "translation", "translation"),
        (None, None, None),
    ],
)
def test_task_is_what_the_maker_says(
    card: Write, sources: dict[str, Path], task: str | None, base: str | None, tag: str | None
) -> None:
    head = f"---\npipeline_tag: {base}\n---\n" if base else ""
    (sources["base"] / "README.md").write_text(head)
    made = card("merged-16bit", metadata={"task": task})
    assert made.data.to_dict().get("pipeline_tag") == tag


def test_library_is_what_the_maker_says(card: Write) -> None:
    library = "sentence-transformers"
    made = card("merged-16bit", metadata={"task": "sentence-similarity", "library": library})
    assert made.data.library_name == library
    assert library in made.data.tags


def test_a_third_partys_format_says_what_its_card_tells(card: Write) -> None:
    facts = CardFacts(
        title="MLX, 4 bit", library_name="mlx", relation="quantized", tags=("mlx", "4-bit")
    )
    written = card("acme.mlx", facts=facts)
    assert written.data.library_name == "mlx"
    assert written.data.to_dict()["base_model_relation"] == "quantized"
    assert written.data.tags[:3] == ["uploader", "mlx", "4-bit"]
    assert "MLX, 4 bit, fine-tuned from" in written.text
