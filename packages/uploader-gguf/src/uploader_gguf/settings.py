"""Options of the GGUF step: ``--gguf-quants`` and so on."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import Size, UsageError, setting
from uploader_gguf.format.mixture import Overrides
from uploader_gguf.format.quants import QUANTS, TensorType
from uploader_gguf.target_size.wish import TargetSize, parse

TYPES = tuple(t.name for t in TensorType if t.is_quantized or t.name in ("F32", "F16", "BF16"))

DEFAULT_QUANTS = ("Q4_K_M", "Q8_0")


@dataclass(frozen=True, kw_only=True, slots=True)
class ConverterSettings:
    """How llama.cpp's conversion code is found, and helped."""

    pre_tokenizer: str | None = setting(
        None, help="llama.cpp's name of the pre-tokenizer, when it is not recognised (qwen2)"
    )
    llama_cpp: Path | None = setting(
        None,
        help="folder of a llama.cpp checkout whose conversion code is used instead",
        content=("*.py",),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class GgufSettings(ConverterSettings):
    """What the user can choose."""

    quants: tuple[str, ...] = setting(
        (),
        help="kinds of file, comma separated; all are made in one pass (Q4_K_M,Q8_0 when neither"
        " kinds nor a target size are given)",
        choices=tuple(QUANTS),
    )
    target_size: str | None = setting(
        None,
        help="one file of this size (4.0GiB) or of so many bits per weight (4.5bpw): the type of"
        " each tensor is chosen by what it costs, measured on the model",
    )
    mmproj: str = setting(
        "F16",
        help="how the encoder of images and sound of a multimodal model is stored",
        choices=("F16", "BF16", "F32", "Q8_0", "none"),
    )
    mtp: bool = setting(
        True, help="keep the heads that predict several tokens at once, of models that have them"
    )
    imatrix: Path | None = setting(
        None, help="importance matrix from llama-imatrix, for K and IQ kinds"
    )
    calibration: str | None = setting(
        None,
        help="text to compute an importance matrix from: a file, or builtin",
        content=True,
    )
    output_tensor_type: str | None = setting(
        None, help="type of output.weight instead of the mixture's", choices=TYPES
    )
    token_embedding_type: str | None = setting(
        None, help="type of the token embeddings instead of the mixture's", choices=TYPES
    )
    tensor_types: tuple[str, ...] = setting(
        (), help="types of other tensors: REGEX=TYPE, comma separated (ffn_down=q6_K)"
    )
    split_size: Size | None = setting(
        None, help="cut files after so many bytes (20G); Ollama does not take cut files"
    )
    quantized_by: str | None = setting(
        None, help="who made the files, written into them (general.quantized_by)"
    )
    smoke_test: bool = setting(
        True, help="open every file with llama.cpp and generate a few tokens before it counts"
    )
    tokenizer_check: bool = setting(
        True, help="compare llama.cpp's tokenisation of many scripts with the tokenizer's own"
    )
    template_check: bool = setting(
        True,
        help="compare llama.cpp's chat prompts with those of the tokenizer's own template, and"
        " rewrite what llama.cpp reads otherwise",
    )
    kernels: str = setting(
        "auto",
        help="who quantises: fast kernels with llama.cpp's bytes, or llama.cpp's own (reference)",
        choices=("auto", "reference"),
        changes_result=False,
    )
    lora_type: str = setting(
        "F32", help="how gguf-lora stores values", choices=("F32", "F16", "BF16")
    )

    def kinds(self) -> tuple[str, ...]:
        """Return the stock kinds of file that are made, besides the one of a target size."""
        if not self.quants and self.target_size is None:
            return DEFAULT_QUANTS
        return tuple(dict.fromkeys(self.quants))

    def wish(self) -> TargetSize | None:
        """Return the size that is asked for.

        Raises:
            UsageError: It is neither a size nor bits per weight.
        """
        return None if self.target_size is None else parse(self.target_size)

    def overrides(self) -> Overrides:
        """Return the wishes for single tensors.

        Raises:
            UsageError: ``--gguf-tensor-types`` is not REGEX=TYPE.
        """
        patterns = []
        for text in self.tensor_types:
            pattern, _, kind = text.rpartition("=")
            names = {name.casefold(): name for name in TYPES}
            try:
                re.compile(pattern)
            except re.error as error:
                raise _wrong(text, f"{pattern!r} is not a regular expression: {error}") from error
            if not pattern or kind.casefold() not in names:
                close = difflib.get_close_matches(kind.upper(), TYPES, n=3)
                raise _wrong(
                    text, f"{kind!r} is not a type; near are {', '.join(close or TYPES[:3])}"
                )
            # llama-quantize lower-cases the pattern, as tensor names are.
            patterns.append((pattern.lower(), TensorType[names[kind.casefold()]]))
        return Overrides(
            output=_type(self.output_tensor_type),
            embedding=_type(self.token_embedding_type),
            patterns=tuple(patterns),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureSettings(ConverterSettings):
    """What the user can choose of ``--measure``."""

    measure_text: str = setting(
        "builtin",
        help="text to measure on, that neither training nor calibration saw: a file, or builtin",
        content=True,
    )
    measure_contexts: int = setting(8, help="most contexts of 512 tokens that are measured")


def _type(name: str | None) -> TensorType | None:
    return None if name is None else TensorType[name]


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(
        f"--gguf-tensor-types {text!r}: {why}",
        owner="option --gguf-tensor-types",
        next="write REGEX=TYPE, such as ffn_down=Q6_K",
    )
