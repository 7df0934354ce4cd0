"""The sources of a little plugin whose work splits: a file of each block, and one of all parts."""

from __future__ import annotations

BLOCKS_PLUGIN = """
from dataclasses import dataclass
from uploader_core.plugin import SaveSpec, hookimpl, setting

@dataclass(frozen=True, kw_only=True, slots=True)
class BlocksSettings:
    count: int = setting(4, help="number of blocks")
    size: int = setting(1000, help="bytes of each")

@hookimpl
def uploader_savers():
    yield SaveSpec(name="blocks", summary="blocks of an adapter", consumes=("adapter",),
                   produces="acme.blocks", settings=BlocksSettings, run="acme_blocks.work:save",
                   estimate="acme_blocks.work:estimate")
"""

BLOCKS_WORK = """
import os, threading
from pathlib import Path
from uploader_core.plugin import Estimate, Piece

def estimate(context):
    settings = context.settings
    names = [f"block-{n}.bin" for n in range(settings.count)]
    pieces = tuple(Piece(name=name, size=settings.size) for name in names)
    return Estimate(bytes_written=settings.count * settings.size, pieces=pieces,
                    peak_memory=int(os.environ.get("ACME_MEMORY", "0")))

def save(context):
    settings, log = context.settings, os.environ.get("ACME_LOG")
    for n in range(settings.count):
        name = f"block-{n}.bin"
        if context.pieces and name not in context.pieces:
            continue
        if context.output.done(name) is None:
            wait = os.environ.get("ACME_WAIT_FOR")
            while wait and n and not Path(wait).exists():
                context.progress(name, n, settings.count, "files")
                threading.Event().wait(0.02)
            if log:
                with open(log, "a") as file:
                    file.write(f"{name} {os.getpid()}\\n")
            with context.output.create(name) as writer:
                writer.write(bytes([n]) * settings.size)
        with context.output.create_part(f"part-{n}") as part:
            part.write(bytes([n]))
        context.progress("blocks", n + 1, settings.count, "files")
    if context.pieces:
        return context.artifact()
    parts = [context.output.part(f"part-{n}") for n in range(settings.count)]
    context.output.write("all.bin", b"".join(part.read_bytes() for part in parts))
    return context.artifact({"secret": sorted(n for n in os.environ if "TOKEN" in n)})
"""
