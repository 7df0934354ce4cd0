"""The folder that llama.cpp's converter reads: configuration, tokenizer, one chat template, card.

What it reads in an order of its own, or not at all, is put there such that it cannot but take what
transformers takes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    RefusedError,
    ReleaseInfo,
    card_metadata,
    processor_templates,
    tokenizer_templates,
)
from uploader_gguf.format.gguf_file import METADATA, file_name
from uploader_gguf.llama_cpp.pooling import DENSE, DENSE_ARCHITECTURES, pooling_type
from uploader_gguf.llama_cpp.toolchain import architecture_of
from uploader_gguf.llama_cpp.weights import Weights, tokens_without_rows
from uploader_gguf.tokenizer import sentencepiece_model
from uploader_gguf.tokenizer.own_tokenizer import OwnTokenizer, read_own_tokenizer
from uploader_lora import read_json
from uploader_lora.tokens import read_token_ids

_INHERITED = ("license", "license_name", "license_link", "language", "pipeline_tag")
_LEFT_BEHIND = (".py", ".md", ".safetensors", ".bin")
_CONFIG = "tokenizer_config.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConverterFolder:
    """What the converter reads besides weights.

    Attributes:
        path: The folder. :data:`METADATA` in it is the converter's file of overriding keys.
        own: The tokenizer in it; None when it is of a kind that is not compared.
        ends: Ids that end an answer, by ``generation_config.json``.
        pooling: ``enum llama_pooling_type`` of an embedding model.
    """

    path: Path
    own: OwnTokenizer | None
    ends: frozenset[int]
    pooling: int | None


def prepare_folder(
    weights: Weights,
    release: ReleaseInfo,
    folder: Path,
    base: Path | None,
    quantized_by: str | None,
) -> ConverterFolder:
    """Fill a folder with what llama.cpp's converter reads besides weights.

    Python files of a model are left behind: the converter would run them.

    Args:
        weights: The checkpoint.
        release: Its name names the folder, which the converter looks at for metadata.
        folder: Where to make it.
        base: Folder of the base model, whose card says licence and languages.
        quantized_by: ``general.quantized_by``.

    Raises:
        RefusedError: The vocabulary is larger than the embedding.
    """
    made = folder / file_name(release.name, "x").removesuffix("-x.gguf")
    made.mkdir(parents=True)
    dense = DENSE if architecture_of(weights.config) in DENSE_ARCHITECTURES else ()
    for file in weights.companions():
        if file.name.startswith(dense) or not file.name.endswith(_LEFT_BEHIND):
            target = made / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.text is None:
                shutil.copyfile(file.path, target)
            else:
                target.write_text(file.text, "utf-8", newline="")
    config = {k: v for k, v in weights.config.items() if k != "_name_or_path"}
    _write_json(made / "config.json", config)
    (made / "README.md").write_text(_card(release, base), "utf-8")
    keys = {"general.name": release.name}
    if quantized_by:
        keys["general.quantized_by"] = quantized_by
    _write_json(made / METADATA, keys)
    _drop_tokens(made, tokens_without_rows(weights))
    _settle_templates(made)
    own = read_own_tokenizer(made)
    if own is not None and sentencepiece_model.is_sentencepiece(own):
        model = made / "tokenizer.model"
        if not model.is_file():
            sentencepiece_model.restore(own, model)
    return ConverterFolder(
        path=made, own=own, ends=_ends(made, own), pooling=pooling_type(_files(made))
    )


def _ends(made: Path, own: OwnTokenizer | None) -> frozenset[int]:
    """Return what ``generation_config.json`` ends at, as far as the tokenizer adds such a token.

    The file may be the base's, with numbers of another vocabulary.
    """
    path = made / "generation_config.json"
    if own is None or not path.is_file():
        return frozenset()
    ends = read_json(path).get("eos_token_id")
    other = {own.named.get(part) for part in ("bos", "unk", "pad")} - {own.named.get("eos")}
    return frozenset(
        i
        for i in (ends if isinstance(ends, list) else [ends])
        if type(i) is int and i in own.added and i not in other
    )


def _files(made: Path) -> dict[str, Path]:
    return {p.relative_to(made).as_posix(): p for p in made.rglob("*") if p.is_file()}


def _settle_templates(made: Path) -> None:
    """Put the templates that transformers takes where the converter looks first."""
    files = _files(made)
    taken = processor_templates(files) or tokenizer_templates(files)
    if not taken:
        return
    config = read_json(files[_CONFIG]) if _CONFIG in files else {}
    if config.get("chat_template") != taken.as_json():
        _write_json(made / _CONFIG, {**config, "chat_template": taken.as_json()})
    for name, path in files.items():
        if name.endswith(".jinja") or name == "chat_template.json":
            path.unlink()


def _drop_tokens(made: Path, tokens: tuple[str, ...]) -> None:
    """Take tokens away that the embedding has no rows for; the plan has named them.

    llama.cpp does not load a vocabulary that is larger than the embedding.

    Raises:
        RefusedError: They are part of the vocabulary itself, not added to it.
    """
    if not tokens:
        return
    gone = set(tokens)
    for name in ("tokenizer.json", _CONFIG, "special_tokens_map.json", "added_tokens.json"):
        path = made / name
        if path.is_file():
            _write_json(path, _without(read_json(path), gone))
    left = read_token_ids({path.name: path for path in made.iterdir()})
    still = [] if left is None else [token for token in tokens if token in left.ids]
    if still:
        raise RefusedError(
            f"the vocabulary of the tokenizer is larger than the embedding: {len(still)} tokens"
            f" have no row there ({', '.join(still[:3])})",
            owner="the tokenizer",
            safe="nothing was written",
            next="save the tokenizer that the model was trained with",
        )


def _without(data: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    """Return a configuration of a tokenizer that does not mention some tokens."""

    def is_gone(value: Any) -> bool:
        return (value.get("content") if isinstance(value, dict) else value) in gone

    kept: dict[str, Any] = {}
    for key, value in data.items():
        if key in gone or (key.endswith("_token") and is_gone(value)):
            continue
        if not key.endswith(("special_tokens", "added_tokens", "added_tokens_decoder")):
            kept[key] = value
        elif isinstance(value, dict):
            kept[key] = {name: token for name, token in value.items() if not is_gone(token)}
        elif isinstance(value, list):
            kept[key] = [token for token in value if not is_gone(token)]
    return kept


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False), "utf-8")


def _card(release: ReleaseInfo, base: Path | None) -> str:
    """Return front matter that the converter turns into ``general.*`` keys.

    A base model that is a folder of this machine is nobody's business, so only a Hub id is named.
    The licence of the base holds for what was made from it.
    """
    import yaml  # type: ignore[import-untyped, unused-ignore]

    card = None if base is None else base / "README.md"
    theirs = card_metadata(card.read_text("utf-8", "replace")) if card and card.is_file() else {}
    ours: dict[str, Any] = {k: theirs[k] for k in _INHERITED if k in theirs}
    if release.base_is_hub_id and release.base_model:
        organization, _, name = release.base_model.rpartition("/")
        entry = {
            "name": name.replace("-", " "),
            "organization": organization.replace("-", " "),
            "version": release.base_revision,
            "repo_url": f"https://huggingface.co/{release.base_model}",
        }
        ours["base_model"] = [{k: v for k, v in entry.items() if v}]
    return f"---\n{yaml.safe_dump(ours, allow_unicode=True)}---\n" if ours else ""
