"""Before anything is computed: is Ollama there, new enough, and what will answer with the model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from uploader_core.plugin import Finding, PlanContext, RefusedError, parse_json, secrets_in_sources
from uploader_ollama.model.name import parse_name
from uploader_ollama.model.pieces import GGUF_LORA, said_of_files
from uploader_ollama.model.recipe import OLDEST, chosen
from uploader_ollama.model.versions import is_older, renderer_of
from uploader_ollama.server.address import read_address, refuse_remote
from uploader_ollama.server.client import Client
from uploader_ollama.settings import ALLOW


def check(context: PlanContext) -> Iterable[Finding]:
    """Ask Ollama for its version, and say what follows from it.

    Raises:
        UsageError: A name or a parameter that Ollama does not take.
        RefusedError: Another machine that nobody asked for, or a version that renders no template.
        TemporaryError: Nothing listens there.
    """
    settings = context.settings
    parse_name(context.target or "")
    chosen(settings.parameters)
    yield from secrets_in_sources(context.sources, ALLOW, allowed=settings.allow_secret)
    address = read_address(os.environ)
    refuse_remote(address, allowed=settings.remote)
    with Client(address, timeout=min(settings.timeout, 10.0)) as client:
        version = client.version()
        refuse_old(version, with_template=settings.template is not None)
        yield Finding(level="note", what=f"Ollama {version} at {address.url}")
        if any(artifact.kind == GGUF_LORA for artifact in context.inputs):
            yield from _base(client, settings.base)
    yield from said_of_files(context)
    yield from said_by_architecture(context.sources.values(), "ollama create")


def refuse_old(version: str, *, with_template: bool) -> None:
    """Refuse an Ollama that does not render the chat template in a GGUF.

    Args:
        version: As it says.
        with_template: The user gives a Go template, which every Ollama renders.

    Raises:
        RefusedError: It is older than 0.30.
    """
    if is_older(version) and not with_template:
        raise RefusedError(
            f"Ollama {version} does not render the chat template in a GGUF; {OLDEST} is the first "
            "that does",
            owner="the Ollama that runs",
            safe="nothing was sent",
            next=f"update Ollama to {OLDEST} or newer, or give it a Go template: "
            "--ollama-template FILE",
        )


def said_by_architecture(folders: Iterable[Path], who: str) -> Iterator[Finding]:
    """Yield a warning where Ollama renders with something of its own, whatever the GGUF says.

    Args:
        folders: Of the sources.
        who: What sets it.
    """
    for folder in folders:
        path = folder / "config.json"
        kind = parse_json(path.read_bytes()).get("model_type") if path.is_file() else None
        renderer = renderer_of(str(kind).removesuffix("_text"))
        if renderer is not None:
            yield Finding(
                level="warning",
                what=f"{who} gives models of {kind} the built-in renderer {renderer}: it answers "
                "in place of the chat template in the GGUF",
                next="compare answers; --to ollama-registry: makes a model without it",
            )
            return


def _base(client: Client, base: str) -> Iterator[Finding]:
    if not base:
        yield Finding(
            level="error",
            what="a GGUF adapter needs the model of Ollama that it is put on",
            next="--ollama-base NAME (see `ollama list`), or leave the format gguf-lora out",
        )
    elif client.show(base) is None:
        yield Finding(
            level="error",
            what=f"Ollama has no model {base}",
            next=f"ollama pull {base}, or another name with --ollama-base",
        )
    else:
        yield Finding(
            level="warning",
            what=f"the adapter answers with the template of {base}, and whether {base} holds the "
            "weights that it was trained on is not known to Ollama, and not checked",
            next="compare its origin with the base model, or release gguf",
        )
