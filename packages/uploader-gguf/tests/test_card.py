"""Commands for a GGUF are those of what the model is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_core.plugin import Artifact, ArtifactFile, ReleaseInfo, UseContext
from uploader_gguf.card import commands, render

RELEASE = ReleaseInfo(name="m", source="adapter")


def artifact(task: str | None) -> Artifact:
    file = ArtifactFile(name="m-Q8_0.gguf", size=1, sha256="0" * 64)
    metadata = {"task": task, "quants": {file.name: "Q8_0"}, "parameters": 8}
    return Artifact(kind="gguf", path=Path("gguf"), files=(file,), metadata=metadata)


@pytest.mark.parametrize(
    ("task", "programs"),
    [
        ("text-generation", {"llama-cli", "ollama"}),
        ("sentence-similarity", {"llama-embedding"}),
        ("feature-extraction", {"llama-embedding"}),
        ("text-classification", set()),
        (None, set()),
    ],
)
def test_programs_are_those_of_the_task(task: str | None, programs: set[str]) -> None:
    made = artifact(task)
    context = UseContext(artifact=made, release=RELEASE)
    ending = " ".join(command for _, command in commands(context))
    for text in (render(made, "me/m-GGUF"), ending):
        found = {name for name in ("llama-cli", "llama-embedding", "ollama") if name in text}
        assert found == programs


def test_a_file_of_a_size_is_found_by_its_name(tmp_path: Path) -> None:
    """The Hub knows no such kind, so Ollama asks it for the file; llama.cpp looks at names."""
    file = ArtifactFile(name="m-4.5bpw.gguf", size=1, sha256="0" * 64)
    metadata = {"task": "text-generation", "quants": {file.name: "4.5bpw"}, "parameters": 8}
    made = Artifact(kind="gguf", path=tmp_path, files=(file,), metadata=metadata)
    published = UseContext(artifact=made, release=RELEASE, published={"hf": "me/m-GGUF"})
    assert commands(published) == [
        ("Ollama", "ollama run hf.co/me/m-GGUF:m-4.5bpw.gguf"),
        ("llama.cpp", "llama-cli -hf me/m-GGUF:4.5bpw"),
    ]
    assert "ollama run hf.co/me/m-GGUF:m-4.5bpw.gguf" in render(made, "me/m-GGUF")


def test_the_command_for_ollama_is_where_the_model_is(tmp_path: Path) -> None:
    file = ArtifactFile(name="m-Q8_0.gguf", size=1, sha256="0" * 64)
    metadata = {"task": "text-generation", "quants": {file.name: "Q8_0"}, "parameters": 8}
    made = Artifact(kind="gguf", path=tmp_path, files=(file,), metadata=metadata)

    def command(**published: str) -> str:
        return dict(commands(UseContext(artifact=made, release=RELEASE, published=published)))[
            "Ollama"
        ]

    assert command(ollama="me/m:v2", hf="me/m-GGUF") == "ollama run me/m:v2"
    assert command().startswith("echo FROM ")
    (tmp_path / "Modelfile").write_text("FROM ./m-Q8_0.gguf\n")
    assert command().startswith("ollama create m-q8_0 -f ")


def test_ollama_is_left_out_of_a_file_that_is_split(tmp_path: Path) -> None:
    names = [f"m-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    files = tuple(ArtifactFile(name=name, size=1, sha256="0" * 64) for name in names)
    quants = dict.fromkeys(names, "Q8_0")
    metadata = {"task": "text-generation", "quants": quants, "parameters": 8}
    made = Artifact(kind="gguf", path=tmp_path, files=files, metadata=metadata)
    for published in ({}, {"hf": "me/m-GGUF"}):
        context = UseContext(artifact=made, release=RELEASE, published=published)
        assert [name for name, _ in commands(context)] == ["llama.cpp"]
    assert "ollama" not in render(made, "me/m-GGUF")
