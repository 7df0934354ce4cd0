"""Prove that the merged model gets the tokenizer that its adapter gets, from the same files.

Beside a ``config.json`` transformers 5 may build the class of the model's type instead of the one
that ``tokenizer_config.json`` names, with rules of its own for how a text is cut and with tokens of
its own. An adapter's folder has no ``config.json`` and its merged model has one
(``AutoTokenizer.from_pretrained``, transformers 5.24).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import Finding
from uploader_lora import read_json
from uploader_merged.base.companions import CompanionFile
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.load_proof.memory import recall_data, remember_data

_NAMES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model", "vocab.txt", "spiece.model"),
)
_ONE_CLASS = {"PreTrainedTokenizerFast": "TokenizersBackend"}
_FIRST = 5
"""Of this major version of transformers and later: the type counts."""

PROBES = (
    "The quick brown fox jumps over the lazy dog.",
    "It's 12345 o'clock, isn't it? I'D SAY 1,234.50 €!",
    "  two spaces before,\tone tab,\n\n  two lines\r\n and one at the end ",
    "def f(x):\n    return [x ** 2 for _ in range(10)]  # code\n",
    "Größe, naïve cafe\u0301, Ελλάδα, Привет, 你好世界, こんにちは, שלום, नमस्ते, 🙂👍🏽",
    'https://example.org/a_b?c=d&e=%20#f <b>HTML</b> {"json": [1, null]}',
)
"""Texts with what the rules of tokenizers treat in different ways."""


def prove_tokenizer(checkpoint: Checkpoint, versions: Mapping[str, str]) -> Iterator[Finding]:
    """Warn where the merged model's tokenizer cuts texts in another way than the adapter's.

    Args:
        checkpoint: Opened; one without adapters has nothing to compare.
        versions: Of what would load it.
    """
    major = versions["transformers"].partition(".")[0]
    files = {file.name: file for file in checkpoint.companions() if file.name in _NAMES}
    if not checkpoint.adapters or "tokenizer_config.json" not in files or int(major) < _FIRST:
        return
    contents = {name: _content(file) for name, file in files.items()}
    model_type = str(checkpoint.config.get("model_type"))
    digest = _digest(contents, model_type, versions)
    found = recall_data(digest)
    if found is None:
        found = _compare(files, contents, model_type)
        remember_data(digest, found)
    if found.get("differs"):
        yield Finding(
            level="warning",
            what=f"transformers {versions['transformers']} makes a {found['merged']} of the "
            f"tokenizer beside the config.json of a {model_type}, and a {found['adapter']} beside "
            f"the adapter, as tokenizer_config.json says: {found['differs']}; so AutoTokenizer "
            "cuts texts for the merged model in another way than in its training",
            next=f"load it with {found['adapter']}.from_pretrained(FOLDER), or train with the "
            "tokenizer that AutoTokenizer takes for the base",
        )


def _content(file: CompanionFile) -> bytes:
    return file.path.read_bytes() if file.text is None else file.text.encode()


def _digest(contents: Mapping[str, bytes], model_type: str, versions: Mapping[str, str]) -> str:
    known = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    text = json.dumps(["tokenizer", known, model_type, dict(versions)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _compare(
    files: Mapping[str, CompanionFile], contents: Mapping[str, bytes], model_type: str
) -> dict[str, Any]:
    """Load the files alone and beside a ``config.json``; say where the two differ.

    Returns:
        ``{}`` where they do not; else ``merged`` and ``adapter``, the classes, and ``differs``.
    """
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    from uploader_merged.load_proof.model_class import quiet

    named = read_json(files["tokenizer_config.json"].path).get("tokenizer_class")
    by_type = TOKENIZER_MAPPING_NAMES.get(model_type)
    if not isinstance(named, str) or not by_type or _plain(named) == _plain(by_type):
        return {}
    config = json.dumps({"model_type": model_type}).encode()
    with tempfile.TemporaryDirectory() as folder, quiet():
        try:
            adapter = _load(Path(folder, "adapter"), contents)
            merged = _load(Path(folder, "merged"), {**contents, "config.json": config})
            differs = _difference(adapter, merged)
        except Exception:  # what cannot be loaded or used is refused elsewhere
            return {}
    classes = {"adapter": type(adapter).__name__, "merged": type(merged).__name__}
    return {**classes, "differs": differs} if differs else {}


def _load(folder: Path, contents: Mapping[str, bytes]) -> Any:
    from transformers import AutoTokenizer

    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def _plain(name: str) -> str:
    return _ONE_CLASS.get(name, name).removesuffix("Fast")


def _difference(adapter: Any, merged: Any) -> str:
    """Say how two tokenizers differ, "" where they do not."""
    for text in PROBES:
        ours, theirs = (t(text)["input_ids"] for t in (adapter, merged))
        if ours != theirs:
            pairs = enumerate(zip(ours, theirs, strict=False))
            at = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
            return f"{text[:24]!r}... is {theirs[at : at + 4]} instead of {ours[at : at + 4]} there"
    more = sorted({*merged.get_vocab()} - {*adapter.get_vocab()})
    return f"it has the token {more[0]!r}, which the other has not" if more else ""
