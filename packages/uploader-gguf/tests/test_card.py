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
