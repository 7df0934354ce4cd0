"""Which files of a release make which models: kinds of GGUF, a projector, an adapter, a
Modelfile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import (
    Artifact,
    Finding,
    GroupContext,
    PlanContext,
    RefusedError,
    UploadFile,
    UploadGroup,
    UsageError,
)
from uploader_gguf.chat_template.ollama_families import family_of
from uploader_ollama.model.facts import Facts, read_facts
from uploader_ollama.model.modelfile import NAME, read_modelfile
from uploader_ollama.model.name import parse_name, tags_for
from uploader_ollama.model.recipe import Recipe, make_recipe

GGUF, GGUF_LORA = "gguf", "gguf-lora"
KINDS = (GGUF, GGUF_LORA)

_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
_FAVOURITES = ("Q4_K_M", "Q5_K_M", "Q4_K_S", "Q6_K", "Q8_0", "BF16", "F16", "F32")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A GGUF file of the release.

    Attributes:
        file: Where it is, with its digest.
        facts: What it says of itself.
        kind: ``Q4_K_M``, or the label of a target size.
    """

    file: UploadFile
    facts: Facts
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """All of one group.

    Attributes:
        models: One file for each kind; empty for an adapter.
        projector: Encoder of images and sound, that goes with each of them.
        adapter: A LoRA adapter.
        recipe: What the Modelfile says, or what the header and the settings say where there is
        none. others: Files that no model is made of: documents, an importance matrix.
    """

    models: tuple[Piece, ...]
    projector: Piece | None
    adapter: Piece | None
    recipe: Recipe
    others: tuple[UploadFile, ...]

    def tags(self, asked: str, default: str) -> dict[str, tuple[str, ...]]:
        """Return the tags of each kind; see :func:`~uploader_ollama.model.name.tags_for`."""
        kinds = [piece.kind for piece in self.models]
        return tags_for(asked, kinds, default_kind(kinds, default))


def group(context: GroupContext) -> tuple[UploadGroup, ...]:
    """Models and the adapter under names of their own; a release of both has the tag ``lora``.

    Raises:
        UsageError: A name that Ollama does not take, or a release without a GGUF.
    """
    _refuse_nothing(context)
    name = parse_name(context.target)
    groups = []
    for kind in context.kinds:
        target = context.target
        if kind == GGUF_LORA and len(context.kinds) > 1:
            target = str(name.at(f"{name.tag}-lora" if name.tag else "lora"))
        groups.append(UploadGroup(target=target, kinds=(kind,), flatten=True, documents=False))
    return tuple(groups)


def group_for_registry(context: GroupContext) -> tuple[UploadGroup, ...]:
    """One place for all kinds; each has a tag of its own there.

    Raises:
        UsageError: A release without a GGUF.
    """
    _refuse_nothing(context)
    return (UploadGroup(target=context.target, kinds=context.kinds, flatten=True, documents=False),)


def find_pieces(files: Iterable[UploadFile], inputs: Sequence[Artifact], settings: Any) -> Pieces:
    """Sort the files of an upload.

    Raises:
        RefusedError: Files that were cut, none that is a model, or two of one kind.
    """
    names = _kinds(inputs)
    found: dict[str, list[Piece]] = {"model": [], "projector": [], "adapter": []}
    others: list[UploadFile] = []
    modelfile = None
    for file in files:
        if file.name == NAME:
            modelfile = file
        if not file.name.endswith(".gguf") or file.role != "weights":
            others.append(file)
            continue
        facts = read_facts(file.path)
        _refuse_cut(file, facts)
        kind = names.get(file.name, facts.file_type)
        found[facts.role].append(Piece(file=file, facts=facts, kind=kind))
    for role, pieces in found.items():
        _refuse_doubles(role, pieces)
    if not found["model"] and not found["adapter"]:
        raise RefusedError(
            "there is no GGUF among the files, and Ollama runs no others",
            owner="--to ollama:",
            next="uploader run ... --plugins gguf --to ollama:NAME",
        )
    models = tuple(found["model"])
    if modelfile is not None:
        recipe = read_modelfile(modelfile.path.read_text("utf-8"))
    else:
        recipe = make_recipe(models[0].facts.ends if models else (), {}, settings)
    return Pieces(
        models=models,
        projector=next(iter(found["projector"]), None),
        adapter=next(iter(found["adapter"]), None),
        recipe=recipe,
        others=tuple(others),
    )


def said_of_files(context: PlanContext) -> Iterator[Finding]:
    """Yield what the plan knows already that would be refused when the files are there."""
    names = [name for name, _ in context.names.get(GGUF, ())]
    cut = next((name for name in names if _PART.search(name)), None)
    if cut is not None:
        yield Finding(
            level="error",
            what=f"{cut} is a part of a file, and an Ollama model is one file",
            next="leave --gguf-split-size out for what goes to Ollama",
        )
    wanted = context.settings.default
    if wanted and names and not any(f"-{wanted}.gguf".lower() in name.lower() for name in names):
        yield Finding(
            level="error",
            what=f"--ollama-default {wanted}: the release has {', '.join(names)}",
            next=f"--gguf-quants {wanted}, or one of those",
        )


def default_kind(kinds: Sequence[str], wanted: str) -> str:
    """Return the kind that has the plain name.

    Raises:
        RefusedError: The one that was asked for is not among them.
    """
    if wanted:
        for kind in kinds:
            if kind.casefold() == wanted.casefold():
                return kind
        raise RefusedError(
            f"--ollama-default {wanted}: the release has {', '.join(kinds)}",
            owner="option --ollama-default",
            next=f"--gguf-quants {wanted}, or one of those",
        )
    return next((kind for kind in _FAVOURITES if kind in kinds), kinds[0])


def refuse_family(pieces: Pieces, *, allowed: bool) -> None:
    """Refuse a template that Ollama would replace by that of a family.

    Raises:
        RefusedError: It would, nobody allowed it, and no template of the user's replaces both.
    """
    if allowed or pieces.recipe.template:
        return
    for piece in pieces.models:
        family = family_of(piece.facts.template) if piece.facts.template else None
        if family is not None:
            raise RefusedError(
                f"Ollama would take the chat template of {piece.file.name} for that of the family "
                f"{family}, and use its own for it",
                owner="ollama create (server/model.go, detectChatTemplate)",
                safe="nothing was sent",
                next="make the GGUF again with this version of uploader-gguf, which keeps it "
                "apart; or --ollama-template FILE, or --ollama-family-template to accept Ollama's",
            )


def _refuse_nothing(context: GroupContext) -> None:
    if not context.kinds:
        raise UsageError(
            f"nothing of this release goes to {context.target}: Ollama runs GGUF files",
            owner="--plugins",
            next="add gguf to --plugins",
        )


def _kinds(inputs: Sequence[Artifact]) -> dict[str, str]:
    found: dict[str, str] = {}
    for artifact in inputs:
        quants = artifact.metadata.get("quants")
        if isinstance(quants, dict):
            found |= {str(name): str(kind) for name, kind in quants.items()}
    return found


def _refuse_cut(file: UploadFile, facts: Facts) -> None:
    if facts.parts > 1:
        raise RefusedError(
            f"{file.name} is one of {facts.parts} parts, and an Ollama model is one file",
            owner="--gguf-split-size",
            safe="nothing was sent",
            next="leave --gguf-split-size out for what goes to Ollama",
        )


def _refuse_doubles(role: str, pieces: Sequence[Piece]) -> None:
    kinds = [piece.kind for piece in pieces] if role == "model" else [role for _ in pieces]
    if len(kinds) > len(set(kinds)):
        raise RefusedError(
            f"two files are {role} {kinds[0]}: {', '.join(piece.file.name for piece in pieces)}",
            owner="--to ollama:",
            safe="nothing was sent",
            next="send one of them",
        )
