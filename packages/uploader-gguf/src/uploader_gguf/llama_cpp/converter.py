"""What llama.cpp's converter would write for a checkpoint: keys, and tensors as lazy values.

The converter gets a folder with configuration and tokenizer files only, and merged tensors in place
of those on disk (see :mod:`uploader_gguf.llama_cpp.driver`), so everything it knows of an
architecture applies to them as it would to a merged folder. For each tensor its name, its shape,
its type in each file, and a lazy graph of the values before they are stored are kept.
"""

from __future__ import annotations

import logging
import struct
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import RefusedError, UploaderError
from uploader_gguf.format.gguf_file import string, uint32
from uploader_gguf.format.quants import TensorType
from uploader_gguf.format.shapes import ModelShape
from uploader_gguf.llama_cpp.converter_folder import ConverterFolder
from uploader_gguf.llama_cpp.driver import Driver, Part, PreTokenizer
from uploader_gguf.llama_cpp.lazy import Array
from uploader_gguf.llama_cpp.toolchain import Toolchain
from uploader_gguf.llama_cpp.weights import Weights
from uploader_gguf.tokenizer.vocabulary_keys import correct

_LOG = logging.getLogger(__name__)
_TOKENS, _TEMPLATES = "tokenizer.ggml.tokens", "tokenizer.chat_templates"
_EMBEDDING = "token_embd.weight"


@dataclass(kw_only=True, slots=True)
class Planned:
    """A tensor of the files to be written.

    Attributes:
        name: GGUF name.
        shape: Slowest axis first.
        stored: Its type in the file of each direct kind (``F16`` is always there).
        values: Lazy array of the values before they are stored, float32 or float16; None when
            the converter stores the tensor in one way only.
        fixed: Lazy array of final bytes when ``values`` is None.
    """

    name: str
    shape: tuple[int, ...]
    stored: dict[str, TensorType]
    values: Any
    fixed: Any


@dataclass(kw_only=True, slots=True)
class Conversion:
    """What the converter would have written.

    Attributes:
        keys: Packed values with their types, by key, for the F16 file.
        tensors: In the converter's order.
        model: What the rules for mixtures ask about.
        alignment: Of tensor data, in bytes.
        blocks: Yields a lazy array in blocks of rows.
        sample: Yields about so many values of a lazy array, see :func:`lazy.sample_rows`.
    """

    keys: dict[str, bytes]
    tensors: list[Planned]
    model: ModelShape
    alignment: int
    blocks: Callable[[Any], Iterator[Array]]
    sample: Callable[[Any, int], Iterator[tuple[int, Array]]]


def plan(
    chain: Toolchain,
    weights: Weights,
    folder: ConverterFolder,
    *,
    kinds: set[str],
    pre_tokenizer: PreTokenizer,
    part: Part = "text",
    mtp: bool = True,
    vocabulary: bool = True,
) -> Conversion:
    """Let llama.cpp's converter describe the GGUF files of a checkpoint.

    Args:
        chain: Which llama.cpp.
        weights: The checkpoint.
        folder: Its configuration and tokenizer files, and overriding metadata.
        kinds: Direct kinds that are wanted besides F16 (``Q8_0``).
        pre_tokenizer: Asked when llama.cpp does not recognise the tokenizer.
        part: Of the model.
        mtp: Keep the heads that predict several tokens at once.
        vocabulary: False when tensors alone are asked for; the keys are not complete then.

    Raises:
        RefusedError: The converter cannot do this model; its own words are in the error.
    """
    driver = Driver(chain, weights, folder.path, pre_tokenizer, mtp=mtp)
    stored: dict[str, dict[str, TensorType]] = {}
    try:
        main = driver.run(part, "F16", vocabulary=vocabulary)
        for kind in sorted(kinds | {"F16"}):
            writer = main if kind == "F16" else driver.run(part, kind, vocabulary=False)
            for tensor, info in writer.tensors[0].items():
                stored.setdefault(tensor, {})[kind] = TensorType(int(info.dtype))
    except UploaderError:
        raise
    except Exception as error:
        raise RefusedError(
            f"llama.cpp's converter cannot convert this model: {reason_of(error)}",
            owner=chain.version,
            safe="nothing was written",
            next="try a newer checkout of llama.cpp with --gguf-llama-cpp DIR",
        ) from error
    tensors = []
    for tensor, info in main.tensors[0].items():
        _, values = driver.recorded.get(id(info.tensor), (None, None))
        tensors.append(
            Planned(
                name=tensor,
                shape=tuple(int(n) for n in info.shape),
                stored=stored[tensor],
                values=values,
                fixed=info.tensor if values is None else None,
            )
        )
        info.tensor = None
    # Only the plan holds on to graphs now, and lets go of each when it is written.
    driver.recorded.clear()
    keys = {
        key: _long_array(v.value, v.sub_type)
        or main._pack_val(v.value, v.type, add_vtype=True, sub_type=v.sub_type)
        for key, v in main.kv_data[0].items()
    }
    if part == "text" and vocabulary:
        _amend(keys, {key: v.value for key, v in main.kv_data[0].items()}, folder, tensors)
    return Conversion(
        keys=keys,
        tensors=tensors,
        model=_shape(main),
        alignment=main.data_alignment,
        blocks=driver.blocks,
        sample=driver.sample,
    )


def reason_of(error: Exception) -> str:
    """Return what the converter says, or the line of it that gave up: many checks say nothing."""
    if str(error):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}, {last.line}"


def _amend(
    keys: dict[str, bytes],
    values: dict[str, Any],
    folder: ConverterFolder,
    tensors: list[Planned],
) -> None:
    """Put right what the converter says otherwise than the model's own files."""
    names = values.get(_TEMPLATES)
    if names is not None:  # they come out of a set, in another order each time
        keys[_TEMPLATES] = _packed(sorted(names))
    pooling = f"{values['general.architecture']}.pooling_type"
    if folder.pooling is not None and values.get(pooling) != folder.pooling:
        keys[pooling] = _packed(folder.pooling)
    if folder.own is None or _TOKENS not in values:
        return
    rows = next((t.shape[0] for t in tensors if t.name == _EMBEDDING), len(values[_TOKENS]))
    found = correct(values, folder.own, rows, folder.ends)
    for key, value in found.values.items():
        if value is None:
            keys.pop(key, None)
        else:
            keys[key] = _packed(value)
    if found.said:
        _LOG.info("otherwise than llama.cpp's converter has it: %s", "; ".join(found.said))


def _packed(value: Any) -> bytes:
    """Pack a new value of a key, as the converter's writer packs one of its kind."""
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return uint32(value)
    packed = _long_array(value, None)
    assert packed is not None
    return packed


_BOOL, _STRING, _ARRAY = 7, 8, 9
_NUMBERS: tuple[tuple[type, int, str], ...] = ((int, 5, "i"), (float, 6, "f"))


def _long_array(value: Any, kind: Any) -> bytes | None:
    """Pack a list as the writer does; its own way takes seconds for a large vocabulary.

    Args:
        value: Of a key.
        kind: Type of the items if the converter states one.

    Returns:
        None for what is no list of one of the types that vocabularies consist of.
    """
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(item, (str, bytes)) for item in value):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(string, value))
    for python_type, code, letter in _NUMBERS:
        if kind in (None, code) and all(
            isinstance(item, python_type) and not isinstance(item, bool) for item in value
        ):
            head = struct.pack("<IIQ", _ARRAY, code, len(value))
            return head + struct.pack(f"<{len(value)}{letter}", *value)
    return None


def _shape(writer: Any) -> ModelShape:
    values = {key: value.value for key, value in writer.kv_data[0].items()}
    arch = str(values["general.architecture"])

    def number(key: str) -> int:
        value = values.get(f"{arch}.{key}", 0)
        # Some models have a value for each layer; the rules look at the first.
        return int(value[0] if isinstance(value, (list, tuple)) else value)

    heads = number("attention.head_count")
    return ModelShape(
        architecture=arch,
        layers=number("block_count"),
        experts=number("expert_count"),
        heads=heads,
        kv_heads=number("attention.head_count_kv") or heads,
    )
