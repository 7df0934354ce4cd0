"""The sources of a little format plugin: ``acme.notes`` and ``acme.digest``."""

from __future__ import annotations

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
import ctypes, hashlib, os, threading

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
            while n and "ACME_WAIT" in os.environ:  # for its end, after one blob
                context.progress(name, 0, size * 1000)
                threading.Event().wait(0.02)
            with context.output.create(name) as writer:
                for block in range(size):
                    writer.write(bytes([n]) * 1000)
                    context.progress(name, (block + 1) * 1000, size * 1000)
    return context.artifact({"adapter": context.input("adapter").path.name})

def digest(context):
    notes = context.input("acme.notes")
    lines = [f"{f.sha256}  {f.name}" for f in notes.files]
    context.output.write("SHA256SUMS", "\\n".join(lines) + "\\n")
    return context.artifact()
"""
