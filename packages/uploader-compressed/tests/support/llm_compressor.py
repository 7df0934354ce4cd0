"""Compress merged folders with llm-compressor, in an environment of its own.

It pins another transformers and another compressed-tensors than the tests have. Takes a JSON list
of [class, merged folder, folder to write, preset] and does all in one process.
"""

from __future__ import annotations

import json
import sys

import transformers
from llmcompressor import oneshot
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.utils import load_context

# What the examples of llm-compressor leave out, for these architectures.
IGNORE = [
    "lm_head", "re:.*mlp.gate$", "re:.*block_sparse_moe.gate$", "re:.*router.*", "re:.*visual.*",
]  # fmt: skip

# It asks the configuration of Llama 4 with pictures for that of the text model.
transformers.Llama4TextConfig.text_config = property(lambda self: self)

for name, merged, target, preset in json.loads(sys.argv[1]):
    model_class = getattr(transformers, name)
    with load_context(model_class):  # takes fused experts apart
        model = model_class.from_pretrained(merged, dtype="auto")
    oneshot(
        model=model, recipe=QuantizationModifier(targets="Linear", scheme=preset, ignore=IGNORE)
    )
    model.save_pretrained(target, save_compressed=True)
