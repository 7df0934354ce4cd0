"""Options of the GGUF step: ``--gguf-quants`` and so on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import setting
from uploader_gguf.quants import QUANTS


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufSettings:
    """What the user can choose."""

    quants: tuple[str, ...] = setting(
        ("Q4_K_M", "Q8_0"),
        help="kinds of file, comma separated; all are made in one pass",
        choices=tuple(QUANTS),
    )
    pre_tokenizer: str | None = setting(
        None, help="llama.cpp's name of the pre-tokenizer, when it is not recognised (qwen2)"
    )
    smoke_test: bool = setting(
        True, help="open every file with llama.cpp and generate a few tokens before it counts"
    )
    llama_cpp: Path | None = setting(
        None, help="folder of a llama.cpp checkout whose conversion code is used instead"
    )
