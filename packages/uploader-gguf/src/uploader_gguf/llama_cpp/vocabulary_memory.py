"""Reading a vocabulary once for all runs of a batch whose tokenizer is the same.

llama.cpp's converter walks every token in Python, several times: seconds for 150,000 of them, and
fine-tunes of one base mostly have the base's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uploader_core.plugin import Json, digests_of, is_remembering, remembered
from uploader_gguf.format.gguf_file import METADATA
from uploader_gguf.llama_cpp.toolchain import Toolchain
from uploader_gguf.tokenizer.vocabulary import Resolver

# What a release is called and says of itself; no tokenizer reads it.
_OF_THE_RELEASE = (METADATA, "README.md")

# What ``SpecialVocab._load`` finds out.
_FOUND = (
    *("merges", "add_special_token", "special_token_ids", "chat_template", "special_token_types"),
    *("normalizer_lowercase", "normalizer_strip_accents"),
)


def key_of(chain: Toolchain, folder: Path, resolver: object) -> list[Json] | None:
    """Return what the vocabulary of a folder depends on; None where that is not known.

    Args:
        chain: Which llama.cpp; of a user's own checkout nobody knows the state.
        folder: With configuration and tokenizer files.
        resolver: Names the pre-tokenizer where llama.cpp does not know it.
    """
    if not is_remembering() or not chain.bundled or not isinstance(resolver, Resolver):
        return None
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _OF_THE_RELEASE
    }
    return [chain.version, digests_of(files), *resolver.key]


@contextlib.contextmanager
def vocabulary_remembered(base: Any, gguf: Any, folder: Path, key: list[Json]) -> Iterator[None]:
    """Let the converter take a vocabulary that another worker of the batch has read.

    Args:
        base: Module ``conversion.base`` of llama.cpp.
        gguf: Module ``gguf`` of llama.cpp.
        folder: Whose vocabulary it is.
        key: Of :func:`key_of`.
    """
    read, load = base.TextModel.get_vocab_base, gguf.SpecialVocab._load

    def get_vocab_base(model: Any) -> tuple[list[str], list[int], str]:
        def make() -> list[Any]:
            tokens, kinds, name = read(model)
            return [tokens, [int(kind) for kind in kinds], name]

        if model.dir_model != folder:
            found: tuple[list[str], list[int], str] = read(model)
            return found
        own = [type(model).__name__, model.hparams.get("vocab_size")]
        tokens, kinds, name = remembered("tokens", [*key, *own], make)
        return tokens, kinds, name

    def load_special(vocabulary: Any, path: Path) -> None:
        def make() -> dict[str, Any]:
            load(vocabulary, path)
            return {name: vars(vocabulary)[name] for name in _FOUND}

        if path != folder or vars(vocabulary).keys() - {*_FOUND, "n_vocab", "load_merges"}:
            load(vocabulary, path)
            return
        asked = [vocabulary.n_vocab, vocabulary.load_merges, [*vocabulary.special_token_types]]
        vars(vocabulary).update(remembered("special tokens", [*key, *asked], make))

    base.TextModel.get_vocab_base, gguf.SpecialVocab._load = get_vocab_base, load_special
    try:
        yield
    finally:
        base.TextModel.get_vocab_base, gguf.SpecialVocab._load = read, load
