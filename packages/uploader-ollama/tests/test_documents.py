"""What lies beside the GGUF files: Modelfile and params, from a real conversion's folders."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import save_file

from ollama_files import RELEASE, artifact_of, release
from uploader_core.plugin import Artifact, ArtifactFile, OutputFolder, StepContext
from uploader_gguf.card import section as files_section
from uploader_ollama.documents import section, write
from uploader_ollama.settings import ModelSettings


@pytest.fixture
def documents(tmp_path: Path) -> Any:
    """Write the documents of a release; keywords are settings."""

    def run(*kinds: str, generation: dict[str, Any] | None = None, **settings: Any) -> Path:
        keys = settings.pop("keys", {})
        files = release(tmp_path / "gguf", *kinds, **keys)
        base = tmp_path / "base"
        base.mkdir(exist_ok=True)
        (base / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 7}))
        save_file({"lm_head.weight": numpy.zeros((7, 4), "float32")}, base / "model.safetensors")
        (base / "LICENSE").write_text("Do what you want.\n")
        if generation is not None:
            (base / "generation_config.json").write_text(json.dumps(generation))
        context = StepContext(
            step="ollama:modelfile@gguf",
            inputs=(
                artifact_of(files),
                Artifact(
                    kind="checkpoint", path=base, metadata={"base": str(base), "adapters": []}
                ),
            ),
            settings=ModelSettings(**settings),
            release=RELEASE,
            output=OutputFolder(tmp_path / "gguf", tmp_path / "work"),
            work=tmp_path / "work",
            sources={"base": base},
        )
        (tmp_path / "work").mkdir(exist_ok=True)
        write(context)
        return tmp_path / "gguf"

    return run


def test_the_plain_name_is_the_usual_kind_and_others_are_named(documents: Any) -> None:
    text = (documents("Q8_0", "Q4_K_M") / "Modelfile").read_text()
    assert "FROM ./tiny-Q4_K_M.gguf\n# or FROM ./tiny-Q8_0.gguf\n" in text
    assert 'PARAMETER stop "</s>"\nPARAMETER stop "<|im_end|>"\n' in text
    assert "TEMPLATE " not in text.replace("# no TEMPLATE", "")
    assert 'LICENSE """Do what you want.\n"""' in text


def test_every_end_of_the_generation_configuration_is_a_stop_but_no_ordinary_word(
    documents: Any,
) -> None:
    kinds = [3, 3, 3, 3, 3, 3, 1]  # the last, "hello", is a word
    folder = documents(
        "Q8_0",
        generation={"eos_token_id": [5, 6, 99]},
        keys={"tokenizer__ggml__token_type": kinds},
    )
    stops = json.loads((folder / "params").read_text())["stop"]
    assert stops == ["</s>", "<|im_end|>", "<|eom_id|>"]


def test_an_end_that_no_modelfile_can_say_is_left_out(documents: Any) -> None:
    tokens = ["<unk>", "<s>", "</s>", "<|im_start|>", "<end\u00a0turn>", "<|eom_id|>", "hello"]
    folder = documents("Q8_0", keys={"tokenizer__ggml__tokens": tokens})
    assert json.loads((folder / "params").read_text())["stop"] == ["</s>"]


def test_files_for_the_hub_are_written_where_they_are_needed(documents: Any) -> None:
    folder = documents("Q8_0", system="Be brief.")
    assert json.loads((folder / "params").read_text()) == {"stop": ["</s>", "<|im_end|>"]}
    assert (folder / "system").read_text() == "Be brief."
    assert not (folder / "template").exists()


def test_nothing_is_written_for_files_that_were_cut(tmp_path: Path) -> None:
    files = release(tmp_path / "gguf", "Q8_0")
    quants = {"tiny-Q8_0-00001-of-00002.gguf": "Q8_0", "tiny-Q8_0-00002-of-00002.gguf": "Q8_0"}
    artifact = Artifact(kind="gguf", path=files[0].path.parent, metadata={"quants": quants})
    context = StepContext(
        step="ollama:modelfile@gguf",
        inputs=(artifact,),
        settings=ModelSettings(),
        release=RELEASE,
        output=OutputFolder(tmp_path / "out", tmp_path / "work"),
        work=tmp_path / "work",
    )
    assert write(context).files == ()
    assert section(context) == ""


def test_the_card_names_the_renderer_that_answers(tmp_path: Path) -> None:
    files = release(tmp_path / "gguf", "Q8_0", general__architecture="gemma4")
    context = StepContext(
        step="hf:card@gguf",
        inputs=(artifact_of(files),),
        settings=None,
        release=RELEASE,
        output=OutputFolder(tmp_path / "out", tmp_path / "work"),
        work=tmp_path / "work",
    )
    assert "its own renderer, `gemma4`" in section(context)


def test_card_says_once_how_ollama_runs_a_file(tmp_path: Path) -> None:
    files = release(tmp_path / "gguf", "Q8_0")
    listed = tuple(ArtifactFile(name=f.name, size=f.size, sha256=f.sha256) for f in files)
    context = StepContext(
        step="hf:card@gguf",
        inputs=(dataclasses.replace(artifact_of(files), files=listed),),
        settings=None,
        release=RELEASE,
        output=OutputFolder(tmp_path / "out", tmp_path / "work"),
        work=tmp_path / "work",
        model_id="me/tiny-GGUF",
    )

    text = files_section(context) + section(context)

    assert text.count("ollama create") == 1
    assert text.count("ollama run hf.co/me/tiny-GGUF:Q8_0") == 1
