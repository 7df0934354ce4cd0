"""What a ``config.json`` next to an adapter says of the computation, and the base's does not.

Training with changed settings of the model (``overrides_of_model_config`` of axolotl, arguments of
``from_pretrained``) leaves them there, and ``adapter_config.json`` has no place for them. Positions
are merged (:mod:`uploader_lora.positions`); of everything else only a person knows what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import Finding
from uploader_lora.positions import KEYS as POSITIONS
from uploader_lora.positions import text_part
from uploader_lora.stored import read_json

# Training and loading; the vocabulary, which the adapter's tensors and tokenizer tell.
_OTHER = re.compile(
    r"_.*|transformers_version|(torch_)?dtype|use_cache|cache_implementation|architectures"
    r"|vocab_size|\w*token_ids?|\w*token_index|tie_word_embeddings|quantization_config|id2label"
    r"|label2id|num_labels|problem_type|auto_map|\w*dropout\w*|\w*_drop|initializer_\w+"
    r"|\w*gradient_checkpointing\w*|pretraining_tp|output_\w+|return_dict|unsloth_\w+"
    r"|tokenizer_class|model_max_length|router_\w*coef|\w*jitter\w*|name_or_path|finetuning_task"
)
# Null here says that it is off; of other keys, that a default is meant.
_OFF = {
    "sliding_window",
    "attention_chunk_size",
    "attn_logit_softcapping",
    "final_logit_softcapping",
}


def config_findings(adapter: Path, base: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a warning for settings of the computation that the base does not have.

    Args:
        adapter: Folder of the adapter.
        base: ``config.json`` of the base model.

    Raises:
        SourceError: ``config.json`` next to the adapter cannot be read.
    """
    path = adapter / "config.json"
    if not path.is_file():
        return
    theirs, ours = _settled(text_part(read_json(path))), _settled(text_part(base))
    if theirs.get("model_type") != ours.get("model_type"):
        return
    other = [
        f"{key} {_shown(theirs[key])} (the base: {_shown(ours[key])})"
        for key in sorted(theirs.keys() & ours.keys())
        if theirs[key] != ours[key]
        and key not in POSITIONS
        and not _OTHER.fullmatch(key)
        and (key in _OFF or None not in (theirs[key], ours[key]))
    ]
    if other:
        yield Finding(
            level="warning",
            what=f"config.json beside the adapter says {', '.join(other)}; a release has the "
            "settings of the base, so if it was trained with these, it computes something else",
            next="if it was, put these into config.json of a copy of the base: --base COPY",
        )


def _settled(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a configuration without a window that another key of it switches off.

    transformers saves null for the window of a Qwen2, whose files have a number beside the switch.
    """
    return config if config.get("use_sliding_window", True) else {**config, "sliding_window": None}


def _shown(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
