"""Names that programs look for in a folder of an adapter or a model, as shell patterns.

transformers, peft, sentence-transformers and vLLM find files by name and in an order of their own:
``model.safetensors`` before an index of shards, ``chat_template.jinja`` before the template in
``tokenizer_config.json``, ``adapter_config.json`` before a full model's weights,
``consolidated*.safetensors`` and ``params.json`` (Mistral's own format) where vLLM looks for them.
"""

from __future__ import annotations

BESIDE = (
    "tokenizer*.json",
    "tokenizer.model*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab*.txt",
    "merges*.txt",
    "normalizer.json",
    "bpe.codes",
    "*.model",
    "*.tiktoken",
    "tekken.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "generation_config.json",
    "*processor_config.json",
    "feature_extractor_config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    *(f"{n}_[A-Z]*/*.{end}" for n in ("[0-9]", "[0-9][0-9]") for end in ("json", "safetensors")),
)
"""What is next to weights: tokenizer, templates, processors, modules around a transformer."""

_OF_OTHER_FORMS = (
    "pytorch_model*.bin",
    "pytorch_model*.bin.index.json",
    "consolidated*",
    "params.json",
    "tf_model*.h5*",
    "flax_model*.msgpack*",
)
_ADAPTER = ("adapter_config.json", "adapter_model*")

MODEL = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    *_OF_OTHER_FORMS,
    *_ADAPTER,
    *BESIDE,
)
"""A folder of a full model. Without an index vLLM loads whatever ends in ``.safetensors``."""

ADAPTER = (
    *_ADAPTER,
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    *_OF_OTHER_FORMS,
    *BESIDE,
)
"""A folder of an adapter. With a ``config.json`` in it transformers takes it for a full model."""
