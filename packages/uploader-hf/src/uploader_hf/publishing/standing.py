"""The card as it goes up: with metadata, and with what people wrote into the one on the Hub.

The manifest that goes up lists the card as it goes up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import (
    IntegrityError,
    StepContext,
    UploadFile,
    card_metadata,
    hash_file,
    split_card,
)
from uploader_hf.hub.patience import Patience
from uploader_hf.hub.remote import list_remote, matches
from uploader_hf.model_card.own_text import Card, keep, take_apart
from uploader_hf.publishing.repository import Place

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD, MANIFEST = "README.md", "upload_manifest.json"


def give_metadata(context: StepContext) -> StepContext:
    """Return the step with metadata at the top of the card of a repository of several formats.

    The Hub reads those of the README at the root only, which is about the folders; the formats' own
    cards, one in each folder, say together what is true of all of them.
    """
    card = next((file for file in context.files if file.name == CARD), None)
    cards = [file for file in context.files if file.name.endswith("/" + CARD)]
    if card is None or not cards:
        return context
    text = card.path.read_text("utf-8")
    heads = [card_metadata(file.path.read_text("utf-8")) for file in cards]
    if split_card(text)[0] is not None or not any(heads):
        return context
    head = _common(heads)
    text = f"---\n{_yaml(head)}\n---\n\n{text.lstrip()}"
    folder = context.work / "headed"
    folder.mkdir(parents=True, exist_ok=True)
    return replace(context, files=_with_card(context.files, text, folder))


def _common(heads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all say alike, and the tags of all."""
    first, *others = heads
    same = {
        name: value
        for name, value in first.items()
        if name == "tags" or all(other.get(name) == value for other in others)
    }
    tags = [tag for head in heads for tag in head.get("tags") or ()]
    return same | ({"tags": [*dict.fromkeys(tags)]} if tags else {})


def _yaml(data: Mapping[str, Any]) -> str:
    import yaml  # type: ignore[import-untyped, unused-ignore]

    return str(yaml.safe_dump({**data}, sort_keys=False, allow_unicode=True)).strip()


def keep_standing_card(
    context: StepContext, api: HfApi, patience: Patience, place: Place
) -> StepContext:
    """Return the step with a card that keeps what people wrote into the one on the Hub."""
    card = next((file for file in context.files if file.name == CARD), None)
    if card is None:
        return context
    there = list_remote(api, patience, place.repo_id, place.revision, [CARD]).get(CARD)
    if there is None or matches(card, there):
        return context
    local = patience.call(
        f"reading the card of {place.repo_id}",
        lambda: api.hf_hub_download(
            place.repo_id, CARD, revision=place.revision, local_dir=context.work / "standing"
        ),
    )
    ours = card.path.read_text("utf-8")
    new = take_apart(ours)
    if new.text_digest is None:  # a README of the release, all of which is ours
        new = Card(head=new.head, block=new.before).signed()
    text = str(keep(new, take_apart(Path(local).read_text("utf-8", errors="replace"))))
    if text == ours:
        return context
    folder = context.work / "card"
    folder.mkdir(parents=True, exist_ok=True)
    return replace(context, files=_with_card(context.files, text, folder))


def _with_card(files: Sequence[UploadFile], text: str, folder: Path) -> tuple[UploadFile, ...]:
    """Return the files with another card and a manifest that lists it."""
    kept = {file.name: file for file in files}
    card = _written(kept[CARD], folder / CARD, text)
    kept[CARD] = card
    manifest = kept.get(MANIFEST)
    if manifest is not None:
        data = json.loads(manifest.path.read_text("utf-8"))
        entries = [entry for entry in data["files"] if entry["path"] == CARD]
        if len(entries) != 1:
            raise IntegrityError(
                f"the manifest lists {CARD} {len(entries)} times",
                owner=str(manifest.path),
                safe="nothing was sent",
                next="run the same command again",
            )
        entries[0] |= {"size": card.size, "sha256": card.sha256}
        text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        kept[MANIFEST] = _written(manifest, folder / MANIFEST, text)
    return tuple(kept.values())


def _written(file: UploadFile, path: Path, text: str) -> UploadFile:
    path.write_text(text, "utf-8", newline="\n")
    size, digest = hash_file(path)
    return replace(file, path=path, size=size, sha256=digest)
