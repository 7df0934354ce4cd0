"""Real little plugin distributions, and sources for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NOTES_PLUGIN = """
from dataclasses import dataclass
from uploader_core.plugin import ConvertSpec, SaveSpec, hookimpl, setting

@dataclass(frozen=True, kw_only=True, slots=True)
class NotesSettings:
    text: str = setting("hello", help="what the note says")
    sizes: tuple[int, ...] = setting((1, 2), help="sizes of the blobs in kB")
    mode: str = setting("good", help="how to behave", choices=("good", "raise", "exit", "segfault"))

@hookimpl
def uploader_savers():
    yield SaveSpec(name="notes", summary="notes about an adapter", consumes=("adapter",),
                   produces="acme.notes", settings=NotesSettings, run="acme_notes.work:save")

@hookimpl
def uploader_converters():
    yield ConvertSpec(name="digest", summary="a digest of the notes", consumes=("acme.notes",),
                      produces="acme.digest", run="acme_notes.work:digest", default=False)
"""

NOTES_WORK = """
import ctypes, hashlib, os, time

def save(context):
    settings = context.settings
    if settings.mode == "raise":
        raise ValueError("told to raise")
    if settings.mode == "exit":
        raise SystemExit(3)
    if settings.mode == "segfault":
        ctypes.string_at(0)
    context.output.write("note.txt", settings.text, role="other")
    for n, size in enumerate(settings.sizes):
        name = f"blob-{n}.bin"
        if context.output.done(name) is None:
            with context.output.create(name) as writer:
                for block in range(size):
                    writer.write(bytes([n]) * 1000)
                    context.progress(name, (block + 1) * 1000, size * 1000)
                    time.sleep(float(os.environ.get("ACME_SLOW", "0")))
    return context.artifact({"adapter": context.input("adapter").path.name})

def digest(context):
    notes = context.input("acme.notes")
    lines = [f"{f.sha256}  {f.name}" for f in notes.files]
    context.output.write("SHA256SUMS", "\\n".join(lines) + "\\n")
    return context.artifact()
"""


@pytest.fixture
def notes_plugin(install: Callable[..., None]) -> None:
    """A format plugin of a third party: ``acme.notes`` and ``acme.digest``."""
    install(
        "acme-notes",
        {
            "acme_notes.__init__": "",
            "acme_notes.plugin": NOTES_PLUGIN,
            "acme_notes.work": NOTES_WORK,
        },
        {
            "plugins": {"notes": "acme_notes.plugin"},
            "artifacts": {
                "acme.notes": "acme_notes.plugin",
                "acme.digest": "acme_notes.plugin",
            },
        },
        version="2.5",
    )


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A folder that core takes for an adapter; what is in the tensors is the plugins' business."""
    folder = tmp_path / "run-1" / "final_model"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": None}), "utf-8"
    )
    (folder / "adapter_model.safetensors").write_bytes(b"\0" * 64)
    return folder


class Uploader:
    """Runs the command as a user would, in a process of its own."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments), cwd=self.cwd, capture_output=True, text=True, encoding="utf-8"
        )

    def argv(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "uploader_core", *(str(a) for a in arguments)]


@pytest.fixture
def uploader(tmp_path: Path) -> Uploader:
    return Uploader(tmp_path)
