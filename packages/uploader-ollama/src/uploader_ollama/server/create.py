"""The upload to a running Ollama: blobs, models, the plain name, documents; then the proof.

Ollama has no place for a release's documents (card, manifest). They are brought into its store of
blobs, where their digest proves that they arrived; no model names them, so Ollama may drop them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from uploader_core.plugin import (
    IntegrityError,
    Json,
    Receipt,
    RefusedError,
    StepContext,
    UploadFile,
    refuse_secrets,
)
from uploader_ollama.model.name import LATEST, Name, parse_name
from uploader_ollama.model.pieces import Piece, Pieces, find_pieces, refuse_family
from uploader_ollama.model.versions import is_surely_known
from uploader_ollama.server.address import read_address, refuse_remote
from uploader_ollama.server.check import refuse_old
from uploader_ollama.server.client import Client
from uploader_ollama.server.proof import prove
from uploader_ollama.server.sending import Sending, digest_of
from uploader_ollama.settings import ALLOW

_FAMILY = "using autodetected template "
_INVALID = ("llama-quantize", "unknown model architecture")


def upload(context: StepContext) -> Receipt:
    """Make the models of ``context.files``, prove them, and say what Ollama calls them."""
    settings = context.settings
    address = read_address(os.environ)
    refuse_remote(address, allowed=settings.remote)
    refuse_secrets(context.files, ALLOW, allowed=settings.allow_secret)
    pieces = find_pieces(context.files, context.inputs, settings)
    refuse_family(pieces, allowed=settings.family_template)
    name = parse_name(context.target or "")
    with Client(address, timeout=settings.timeout) as client:
        version = client.version()
        refuse_old(version, with_template=bool(pieces.recipe.template))
        sending = Sending(context, client)
        parts = (*pieces.models, pieces.projector, pieces.adapter)
        digests = {p.file.name: sending.bring(p) for p in parts if p is not None}
        made = list(_make(context, client, pieces, digests, name, version))
        for file in pieces.others:
            sending.send(file)
        for file in pieces.others:
            if not client.has_blob(digest_of(file)):
                raise _gone(file)
        there = client.models()
        stored: dict[str, Json] = {}
        for number, (piece, names) in enumerate(made):
            context.progress(f"proving {names[0]}", number, len(made), "steps")
            how = prove(client, str(names[0]), piece, pieces, settings, sending.copy_of)
            for one in names[1:]:
                if there.get(one.key) != there.get(names[0].key):
                    raise _moved(one, names[0])
            stored |= {str(one): how for one in names}
    return context.receipt(
        url=f"{_plain_name(made)} in Ollama at {address.url}",
        private=True,
        files=len(context.files),
        bytes_sent=sending.bytes,
        metadata={
            "ollama": version,
            "models": {n.key: there.get(n.key, "") for _, names in made for n in names},
            "stored": stored,
        },
    )


def _make(
    context: StepContext,
    client: Client,
    pieces: Pieces,
    digests: Mapping[str, str],
    name: Name,
    version: str,
) -> Iterator[tuple[Piece, tuple[Name, ...]]]:
    """Create every model; yield each piece with the names that it has now, the plain one last."""
    if pieces.adapter is not None and not pieces.models:
        made = name.at(name.tag or LATEST)
        _create(context, client, made, _for_adapter(pieces, context.settings), pieces.adapter)
        yield pieces.adapter, (made,)
        return
    tags = pieces.tags(name.tag, context.settings.default)
    later = []
    for piece in pieces.models:
        names = tuple(name.at(tag) for tag in tags[piece.kind])
        try:
            _create(context, client, names[0], _for_model(piece, pieces, digests), piece)
        except RefusedError as error:
            raise _explained(error, piece, version) from error
        later.append((piece, names))
    for piece, names in later:  # the plain name when all is there
        for one in names[1:]:
            client.copy(str(names[0]), str(one))
        yield piece, names


def _for_model(piece: Piece, pieces: Pieces, digests: Mapping[str, str]) -> dict[str, Any]:
    files = [piece.file, *([pieces.projector.file] if pieces.projector else [])]
    return {"files": {_plain(f): digests[f.name] for f in files}, **_texts(pieces)}


def _for_adapter(pieces: Pieces, settings: Any) -> dict[str, Any]:
    assert pieces.adapter is not None
    file = pieces.adapter.file
    return {"from": settings.base, "adapters": {_plain(file): digest_of(file)}, **_texts(pieces)}


def _texts(pieces: Pieces) -> dict[str, Any]:
    recipe = pieces.recipe
    said: dict[str, Any] = {
        "parameters": dict(recipe.parameters),
        "system": recipe.system,
        "template": recipe.template,
        "license": list(recipe.licences),
        "requires": recipe.requires,
    }
    return {key: value for key, value in said.items() if value}


def _create(
    context: StepContext, client: Client, name: Name, request: Mapping[str, Any], piece: Piece
) -> None:
    """Create one model, and take it away again when Ollama gave it a template of its own.

    Raises:
        RefusedError: It did, and nobody allowed that.
    """
    before = name.key in client.models()
    families: list[str] = []

    def told(line: Mapping[str, Any]) -> None:
        status = str(line.get("status", ""))
        if status.startswith(_FAMILY):
            families.append(status.removeprefix(_FAMILY))
        done, total = line.get("completed"), line.get("total")
        phase = f"creating {name}"
        if isinstance(done, int) and isinstance(total, int) and total:
            context.progress(f"{phase}: {status}", done, total)
        else:
            context.progress(phase, 0, None, "steps")

    client.create({"model": str(name), **request}, told)
    if families and not context.settings.family_template and not request.get("template"):
        if not before:
            client.delete(str(name))
        raise RefusedError(
            f"Ollama took the chat template of {piece.file.name} for that of the family "
            f"{families[0]}, and gave the model its own",
            owner=f"ollama create {name}",
            safe="the model has it now; delete it or create it anew"
            if before
            else "the model was taken away again",
            next="--ollama-template FILE, or --ollama-family-template to accept Ollama's",
        )


def _explained(error: RefusedError, piece: Piece, version: str) -> RefusedError:
    """Say that an Ollama may be too old, where its llama.cpp does not load the file."""
    architecture = piece.facts.architecture
    if not any(mark in error.what for mark in _INVALID) or is_surely_known(architecture):
        return error
    return error.replace(
        what=f"Ollama {version} does not load {piece.file.name}: its llama.cpp may be too old for "
        f"the architecture {architecture}. {error.what}",
        next="update Ollama, then run the same command again; what arrived is not sent again",
    )


def _plain_name(made: Sequence[tuple[Piece, tuple[Name, ...]]]) -> Name:
    """Return the name without the tag of a kind: the last of the piece that has two."""
    return max((names for _, names in made), key=len)[-1]


def _moved(one: Name, other: Name) -> IntegrityError:
    return IntegrityError(
        f"{one} is another model than {other}",
        owner="Ollama, or somebody else who changed the model meanwhile",
        next="run the same command again",
    )


def _gone(file: UploadFile) -> IntegrityError:
    return IntegrityError(
        f"{file.name} is not among Ollama's blobs as it was sent",
        owner="Ollama, or somebody who clears its store",
        next="run the same command again; it will be sent anew",
    )


def _plain(file: UploadFile) -> str:
    return PurePosixPath(file.name).name
