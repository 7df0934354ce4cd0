"""What a GGUF file says of itself that Ollama goes by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from uploader_gguf.format.gguf_file import Header, read_header
from uploader_gguf.format.quants import QUANTS
from uploader_gguf.tokenizer.vocabulary_keys import CONTROL, USER_DEFINED

_ENDS = ("eos", "eot", "eom")
_SPECIAL = (CONTROL, USER_DEFINED)
_PROJECTORS = ("projector", "mmproj")
_FILE_TYPES = {quant.ftype: quant.name for quant in reversed(QUANTS.values())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The header of one file, as far as it matters here.

    Attributes:
        architecture: ``general.architecture``.
        template: ``tokenizer.chat_template``; "" for none.
        ends: Texts of the tokens that end a turn, a message or an answer.
        role: ``model``, ``adapter`` or ``projector``, by the rules of ``server/create.go``.
        parts: Files that it was cut into; 1 for a whole one.
        parameters: Number of weights.
        file_type: Kind of file, as ``general.file_type`` has it (``Q4_K_M``).
        pooling: Whether it is an embedding model, which no one converses with.
    """

    architecture: str
    template: str
    ends: tuple[str, ...]
    role: str
    parts: int
    parameters: int
    file_type: str
    pooling: bool


def read_facts(path: Path) -> Facts:
    """Read them from a file's header.

    Raises:
        IntegrityError: Not a whole GGUF file.
    """
    header = read_header(path)
    keys = header.keys
    architecture = str(keys.get("general.architecture", "unknown"))
    return Facts(
        architecture=architecture,
        template=str(keys.get("tokenizer.chat_template", "")),
        ends=tuple(_ends(keys)),
        role=_role(keys, architecture),
        parts=int(keys.get("split.count", 1)) or 1,
        parameters=_weights(header),
        file_type=_FILE_TYPES.get(int(keys.get("general.file_type", -1)), "unknown"),
        pooling=f"{architecture}.pooling_type" in keys,
    )


def special_texts(path: Path, ids: Iterable[int]) -> tuple[str, ...]:
    """Return the texts of tokens by their ids, those that are no ordinary words.

    A ``generation_config.json`` of the base may have numbers of another vocabulary, and a model
    that stops at a word is worse than one that does not stop.
    """
    keys = read_header(path).keys
    tokens = keys.get("tokenizer.ggml.tokens") or []
    kinds = keys.get("tokenizer.ggml.token_type") or []
    known = range(min(len(tokens), len(kinds)))
    return tuple(tokens[i] for i in ids if i in known and kinds[i] in _SPECIAL)


def _ends(keys: Mapping[str, Any]) -> list[str]:
    tokens = keys.get("tokenizer.ggml.tokens") or []
    ids = [keys.get(f"tokenizer.ggml.{end}_token_id") for end in _ENDS]
    texts = [tokens[i] for i in ids if isinstance(i, int) and 0 <= i < len(tokens)]
    return list(dict.fromkeys(texts))


def _role(keys: Mapping[str, Any], architecture: str) -> str:
    """As ``ggufLayersWithMediaType`` and ``isProjectorGGUF`` tell them apart."""
    kind = keys.get("general.type")
    if kind == "adapter":
        return "adapter"
    blocks = keys.get(f"{architecture}.block_count", 0)
    sees = keys.get(f"{architecture}.vision.block_count", 0)
    encoder = any(keys.get(f"clip.has_{sense}_encoder") for sense in ("vision", "audio"))
    alone = not blocks and (sees or (architecture == "clip" and encoder))
    return "projector" if kind in _PROJECTORS or alone else "model"


def _weights(header: Header) -> int:
    return sum(prod(tensor.shape) for tensor in header.tensors)
