"""Read PEFT LoRA adapters without peft and without pickles; release them byte for byte."""

from __future__ import annotations

from uploader_core.plugin import (
    DTYPE_BITS,
    SafetensorsHeader,
    StoredTensor,
    read_header,
    tensor_bytes,
)
from uploader_lora.adapter import Adapter, FullTensor, LoraUpdate, TokenRows
from uploader_lora.config import AdapterConfig
from uploader_lora.config_file import read_config
from uploader_lora.positions import describe_positions, trained_positions, with_positions
from uploader_lora.private_paths import without_paths
from uploader_lora.reading import read_adapter
from uploader_lora.stored import (
    FLOATS,
    MAX_INDEX,
    has_weights,
    read_json,
    read_stored,
    same_content,
    weight_files,
)
from uploader_lora.tokenizer_file import read_tokenizer

__all__ = [
    "DTYPE_BITS",
    "FLOATS",
    "MAX_INDEX",
    "Adapter",
    "AdapterConfig",
    "FullTensor",
    "LoraUpdate",
    "SafetensorsHeader",
    "StoredTensor",
    "TokenRows",
    "describe_positions",
    "has_weights",
    "read_adapter",
    "read_config",
    "read_header",
    "read_json",
    "read_stored",
    "read_tokenizer",
    "same_content",
    "tensor_bytes",
    "trained_positions",
    "weight_files",
    "with_positions",
    "without_paths",
]
