"""Models made in an Ollama on this machine, read back by the unmodified client of PyPI."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ollama as pypi
import pytest

from ollama_files import artifact_of, gguf, release, step, upload_file
from ollama_server import LoopbackOllama
from uploader_core.plugin import (
    ArrivalContext,
    IntegrityError,
    Receipt,
    RefusedError,
    SpaceError,
    TemporaryError,
)
from uploader_gguf.chat_template.ollama_families import kept_apart
from uploader_ollama.model.modelfile import write_modelfile
from uploader_ollama.model.recipe import Recipe
from uploader_ollama.server.arrival import still_there
from uploader_ollama.server.create import upload as upload_step
from uploader_ollama.settings import ServerSettings

Upload = Callable[..., Receipt]
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def client(ollama: LoopbackOllama) -> Iterator[Any]:
    """The unmodified client of PyPI."""
    made = pypi.Client(ollama.url)
    yield made
    made.close()


def test_the_client_reads_back_what_was_made(
    ollama: LoopbackOllama, client: Any, upload: Upload, tmp_path: Path
) -> None:
    receipt = upload("tiny", release(tmp_path / "r", "Q8_0"), system="Be brief.")

    shown = client.show("tiny")
    assert (
        shown.template
        == "{% for m in messages %}<<{{ m.role }}>>{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    assert [line.split()[1] for line in shown.parameters.splitlines()] == ['"</s>"', '"<|im_end|>"']
    assert shown.details.quantization_level == "Q8_0"
    assert ollama.show({"model": "tiny"})["system"] == "Be brief."
    assert ollama.show({"model": "tiny"})["requires"] == "0.30.0"
    assert receipt.files == 2 and receipt.metadata["stored"] == {"tiny:latest": "sent"}


def test_a_model_that_ollama_knows_in_other_letters_is_the_same_model(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0")
    receipt = upload("Tiny", files)
    known = ArrivalContext(target="Tiny", receipt=receipt, settings=ServerSettings())
    ollama.manifests = {name.lower(): m for name, m in ollama.manifests.items()}
    assert still_there(known)


def test_several_kinds_are_tags_and_the_usual_one_has_the_plain_name(
    ollama: LoopbackOllama, client: Any, upload: Upload, tmp_path: Path
) -> None:
    upload("me/tiny", release(tmp_path / "r", "Q8_0", "Q4_K_M"))

    names = {model.model: model.digest for model in client.list().models}
    assert set(names) == {"me/tiny:latest", "me/tiny:q4_K_M", "me/tiny:q8_0"}
    assert names["me/tiny:latest"] == names["me/tiny:q4_K_M"]


def test_a_tag_that_is_asked_for_is_kept(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    upload("tiny:v2", release(tmp_path / "r", "Q8_0", "Q4_K_M"), default="Q8_0")

    assert set(ollama.manifests) == {"tiny:v2", "tiny:v2-q4_K_M", "tiny:v2-q8_0"}
    assert ollama.manifests["tiny:v2"] == ollama.manifests["tiny:v2-q8_0"]


def test_what_is_there_is_not_sent_again(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0", size=100_000)
    assert upload("tiny", files).bytes_sent == sum(file.size for file in files)
    assert upload("tiny", files).bytes_sent == 0
    assert ollama.received == sum(file.size for file in files)


def test_a_model_that_ollama_copies_is_proven_by_the_digest_of_the_copy(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    ollama.copies = True
    path = gguf(tmp_path / "r" / "tiny-Q8_0.gguf", "Q8_0", general__quantization_version=None)

    receipt = upload("tiny", [upload_file(path)])

    assert receipt.metadata["stored"] == {"tiny:latest": "copied"}


def test_the_copy_serves_where_ollama_dropped_the_file_that_was_sent(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    ollama.copies = True
    files = release(tmp_path / "r", "Q8_0", size=100_000)
    upload("tiny", files)
    ollama.blob(f"sha256:{files[0].sha256}").unlink()

    receipt = upload("tiny", files, system="Be brief.")

    assert receipt.bytes_sent == 0
    assert receipt.metadata["stored"] == {"tiny:latest": "copied"}
    assert ollama.show({"model": "tiny"})["system"] == "Be brief."


def test_a_model_that_another_llama_cpp_writes_is_compared_by_its_header(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama.copies = True
    other = gguf(tmp_path / "other.gguf", "Q8_0", general__quantization_version=7).read_bytes()
    monkeypatch.setattr("ollama_models.copied", lambda _: other)

    receipt = upload("tiny", release(tmp_path / "r", "Q8_0"))

    assert receipt.metadata["stored"] == {"tiny:latest": "rewritten"}


def test_a_model_that_has_other_tensors_than_were_sent_is_refused(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama.copies = True
    files = release(tmp_path / "r", "Q8_0")
    other = gguf(tmp_path / "other.gguf", "Q8_0", size=8192).read_bytes()
    monkeypatch.setattr("ollama_models.copied", lambda _: other)

    with pytest.raises(IntegrityError, match="tensors of other names or shapes"):
        upload("tiny", files)


def test_an_error_in_the_middle_of_the_answer_is_an_error(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    ollama.fails = "no space left on device"
    with pytest.raises(SpaceError, match="the disk of Ollama is full"):
        upload("tiny", release(tmp_path / "r", "Q8_0"))


def test_an_architecture_that_this_ollama_does_not_load_is_named_with_its_version(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    ollama.fails = "failed to validate GGUF with llama-quantize: exit status 1"
    files = release(tmp_path / "r", "Q8_0", general__architecture="kimi-k9")
    with pytest.raises(RefusedError, match=r"0\.33\.0.* too old for the architecture kimi-k9"):
        upload("tiny", files)


def test_an_ollama_that_renders_no_jinja_is_refused(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    ollama.version = "0.24.0"
    with pytest.raises(RefusedError, match=r"0\.24\.0 does not render") as refused:
        upload("tiny", release(tmp_path / "r", "Q8_0"))
    assert "--ollama-template" in str(refused.value.next)
    assert not ollama.received


def test_with_a_go_template_any_ollama_will_do(
    ollama: LoopbackOllama, client: Any, upload: Upload, tmp_path: Path
) -> None:
    ollama.version = "0.24.0"
    template = tmp_path / "template"
    template.write_text("{{ .Prompt }}!")

    upload("tiny", release(tmp_path / "r", "Q8_0"), template=template)

    assert client.show("tiny").template == "{{ .Prompt }}!"
    assert "requires" not in ollama.show({"model": "tiny"})


def test_a_template_of_a_family_is_refused_before_anything_is_sent(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0", tokenizer__chat_template=CHATML)
    with pytest.raises(RefusedError, match="family chatml"):
        upload("tiny", files)
    assert not ollama.received


def test_a_template_kept_apart_is_the_one_that_answers(
    ollama: LoopbackOllama, client: Any, upload: Upload, tmp_path: Path
) -> None:
    template = kept_apart(CHATML)
    upload("tiny", release(tmp_path / "r", "Q8_0", tokenizer__chat_template=template))
    assert client.show("tiny").template == template


def test_a_family_that_only_the_server_sees_is_refused_and_the_model_taken_away(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_models.family_of", lambda _: "chatml")
    with pytest.raises(RefusedError, match="family chatml, and gave the model its own"):
        upload("tiny", release(tmp_path / "r", "Q8_0"))
    assert not ollama.manifests


def test_the_modelfile_of_the_release_says_what_the_model_gets(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0")
    recipe = Recipe(
        parameters={"stop": ["<|eom_id|>"], "temperature": 0.6, "top_k": 20},
        system="Be brief.",
        licences=("MIT License\n",),
        requires="0.30.0",
    )
    path = tmp_path / "r" / "Modelfile"
    path.write_text(write_modelfile(recipe, ["tiny-Q8_0.gguf"]))

    upload("tiny", [*files, upload_file(path, role="document", kind="document")])

    shown = ollama.show({"model": "tiny"})
    assert "temperature                    0.6" in shown["parameters"]
    assert shown["system"] == "Be brief." and shown["license"] == "MIT License\n"


def test_an_adapter_is_put_on_a_model_that_ollama_has(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    upload("base", release(tmp_path / "b", "Q8_0"))
    path = gguf(tmp_path / "r" / "tiny-lora.gguf", "F32", general__type="adapter")
    files = [upload_file(path, kind="gguf-lora")]

    upload("tuned", files, base="base", inputs=[artifact_of(files, "gguf-lora")])

    layers = json.loads(ollama.manifests["tuned:latest"])["layers"]
    assert f"sha256:{files[0].sha256}" in [layer["digest"] for layer in layers]
    assert "ADAPTER" in ollama.show({"model": "tuned"})["modelfile"]


def test_a_projector_goes_with_the_model(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0")
    path = gguf(tmp_path / "r" / "mmproj-tiny.gguf", "F16", general__type="mmproj")

    upload("tiny", [*files, upload_file(path)])

    assert "projector_info" in ollama.show({"model": "tiny"})


def test_files_that_were_cut_are_refused_with_what_to_do(upload: Upload, tmp_path: Path) -> None:
    files = release(tmp_path / "r", "Q8_0", split__count=3)
    with pytest.raises(RefusedError, match="one of 3 parts") as refused:
        upload("tiny", files)
    assert "--gguf-split-size" in str(refused.value.next)


def test_a_file_that_changed_is_refused(
    ollama: LoopbackOllama, upload: Upload, tmp_path: Path
) -> None:
    files = release(tmp_path / "r", "Q8_0")
    content = files[0].path.read_bytes()
    files[0].path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="changed since it was recorded"):
        upload("tiny", files)
    assert not ollama.manifests


def test_another_machine_is_refused_unless_asked_for(
    upload: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://models.example:11434")
    with pytest.raises(RefusedError, match="another machine") as refused:
        upload("tiny", release(tmp_path / "r", "Q8_0"))
    assert "--ollama-remote" in str(refused.value.next)


def test_nobody_there_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    context = step("tiny", release(tmp_path / "r", "Q8_0"), ServerSettings(), tmp_path / "work")
    with pytest.raises(TemporaryError, match="nothing listens") as error:
        upload_step(context)
    assert "ollama serve" in str(error.value.next)


def test_a_model_that_was_replaced_is_not_still_there(
    ollama: LoopbackOllama, client: Any, upload: Upload, tmp_path: Path
) -> None:
    receipt = upload("tiny", release(tmp_path / "r", "Q8_0"))
    known = ArrivalContext(target="tiny", receipt=receipt, settings=ServerSettings())
    assert still_there(known)

    client.create("tiny", from_="tiny", system="another")

    assert not still_there(known)
