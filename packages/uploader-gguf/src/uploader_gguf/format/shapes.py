"""What the rules for types ask about a model and its tensors; pure Python, of values of a GGUF."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_gguf.format.quants import TensorType


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelShape:
    """What the rules ask about a model; values of its GGUF keys.

    Attributes:
        architecture: ``general.architecture``.
        layers: ``<architecture>.block_count``.
        experts: ``<architecture>.expert_count``, 0 for a dense model.
        heads: Attention heads of the first layer.
        kv_heads: Key-value heads of the first layer.
    """

    architecture: str
    layers: int
    experts: int = 0
    heads: int = 0
    kv_heads: int = 0

    @property
    def gqa(self) -> int:
        """``llama_hparams::n_gqa``: query heads for each key-value head."""
        return self.heads // self.kv_heads if self.kv_heads else 0

    @property
    def is_70b(self) -> bool:
        """``LLM_TYPE_70B`` as ``src/models/*.cpp`` infer it; it makes attn_v one step finer."""
        if self.architecture == "llama":
            return self.layers == 80 and self.heads != self.kv_heads
        if self.architecture == "jais2":
            return self.layers == 68
        return self.architecture in ("qwen2", "deci", "olmo") and self.layers == 80


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorShape:
    """A tensor of the F16 file.

    Attributes:
        name: GGUF name.
        shape: Slowest axis first, as numpy and torch count.
        stored: Its type in the F16 file.
    """

    name: str
    shape: tuple[int, ...]
    stored: TensorType

    @property
    def dims(self) -> int:
        """``ggml_n_dims``: leading axes of length 1 do not count, but there is at least one."""
        shape = list(self.shape)
        while len(shape) > 1 and shape[0] == 1:
            shape.pop(0)
        return len(shape)
