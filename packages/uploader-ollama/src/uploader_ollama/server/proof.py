"""Whether a model at Ollama is what was sent: header, template, parameters, texts, blobs.

The Modelfile that ``/api/show`` gives has the digest of what is stored: that of the file, or that
of the copy which ``ollama create`` makes of it (``copied``). A llama.cpp that copies otherwise
stores another file; then every key of the header, and name and shape of every tensor, are compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from uploader_core.plugin import IntegrityError
from uploader_gguf.format.gguf_file import Header, read_header
from uploader_ollama.model.pieces import Piece, Pieces
from uploader_ollama.model.versions import renderer_of
from uploader_ollama.server.client import Client

# What a copy writes itself, and what /api/show leaves out (routes.go, GetModelInfo).
_OTHERS = ("general.quantization_version", "general.file_type", "general.name",
           "tokenizer.chat_template")  # fmt: skip
_BLOB = re.compile(r"sha256[-:]([0-9a-f]{64})")


def prove(
    client: Client,
    name: str,
    piece: Piece,
    pieces: Pieces,
    settings: Any,
    copy_of: Callable[[Piece], str],
) -> str:
    """Compare a model with what it was made of.

    Args:
        client: Of the Ollama.
        name: Of the model.
        piece: What it was made of.
        pieces: What else.
        settings: Of the upload.
        copy_of: Returns the digest of the copy of a model.

    Returns:
        How it is stored: ``sent`` or ``copied``, every byte of which is proven by its digest, or
        ``rewritten``, of which the header was compared.

    Raises:
        IntegrityError: Something is missing or different.
    """
    shown = client.show(name, verbose=True)
    if shown is None:
        raise _wrong(name, "it is not there")
    blobs = _blobs(shown)
    for digest in blobs:
        if not client.has_blob(f"sha256:{digest}"):
            raise _wrong(name, f"its blob {digest[:12]} is missing")
    stored = "sent" if piece.file.sha256 in blobs else "rewritten"
    problems = list(_texts(shown, pieces))
    if piece.facts.role == "model":
        if stored != "sent" and copy_of(piece) in blobs:
            stored = "copied"
        if stored == "rewritten":
            problems += _header(shown, read_header(piece.file.path))
        problems += _template(shown, piece, pieces, settings)
    elif stored != "sent":
        problems.append("the adapter is not in it")
    if pieces.projector is not None and "projector_info" not in shown:
        problems.append("the projector is not in it")
    if problems:
        raise _wrong(name, problems[0])
    return stored


def _blobs(shown: Mapping[str, Any]) -> list[str]:
    """Return the digests behind FROM and ADAPTER."""
    lines = str(shown.get("modelfile", "")).splitlines()
    named = [line for line in lines if line.startswith(("FROM ", "ADAPTER "))]
    return [found[1] for line in named if (found := _BLOB.search(line))]


def _header(shown: Mapping[str, Any], header: Header) -> Iterator[str]:
    info = shown.get("model_info") or {}
    for key, value in header.keys.items():
        if key not in _OTHERS and not _alike(info.get(key), value):
            yield f"its {key} is another one"
    theirs = {t["name"]: tuple(t["shape"]) for t in shown.get("tensors") or ()}
    ours = {t.name: tuple(reversed(t.shape)) for t in header.tensors}
    if theirs != ours:
        yield f"it has {len(theirs)} tensors of other names or shapes than the file's {len(ours)}"


def _alike(theirs: Any, ours: Any) -> bool:
    """Compare what went through Go's JSON: floats of 32 bits, and arrays with nothing in them."""
    if isinstance(ours, list):
        return (theirs or []) == ours or (
            isinstance(theirs, list) and len(theirs) == len(ours) and all(map(_alike, theirs, ours))
        )
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return abs(theirs - ours) <= 1e-6 * abs(ours)
    return bool(theirs == ours)


def _template(
    shown: Mapping[str, Any], piece: Piece, pieces: Pieces, settings: Any
) -> Iterator[str]:
    expected = pieces.recipe.template or piece.facts.template
    if not expected or settings.family_template or piece.facts.pooling:
        return
    if not pieces.recipe.template and renderer_of(piece.facts.architecture):
        return  # said in the plan
    if shown.get("template") != expected:
        yield "it would answer with another template than the one that was sent"


def _texts(shown: Mapping[str, Any], pieces: Pieces) -> Iterator[str]:
    recipe = pieces.recipe
    if recipe.system and shown.get("system") != recipe.system:
        yield "its system prompt is another one"
    if any(text not in str(shown.get("license", "")) for text in recipe.licences):
        yield "its licence is another one"
    stops = [_go(line) for line in str(shown.get("parameters", "")).splitlines()]
    for stop in recipe.parameters.get("stop", ()):
        if ("stop", stop) not in stops:
            yield f"it does not stop at {stop!r}"
    names = {name for name, _ in stops}
    for name in recipe.parameters:
        if name not in names:
            yield f"its parameter {name} is missing"


def _go(line: str) -> tuple[str, str]:
    """Read ``stop    "<|im_end|>"``, as Go's ``%#v`` writes it."""
    name, _, value = line.partition(" ")
    value = value.strip()
    try:
        return name, str(json.loads(value))
    except ValueError:  # escapes that JSON does not have
        return name, value.strip('"`')


def _wrong(name: str, why: str) -> IntegrityError:
    return IntegrityError(
        f"{name} is not what was sent: {why}",
        owner="Ollama, or somebody else who changed the model meanwhile",
        safe="the release folder is whole",
        next="run the same command again",
    )
