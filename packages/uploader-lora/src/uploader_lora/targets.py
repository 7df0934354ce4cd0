"""Which modules a name in ``adapter_config.json`` means: PEFT's own rules of matching.

PEFT matches in two ways. ``target_modules``, ``exclude_modules`` and ``target_parameters`` are
matched by whole segments of the path. ``modules_to_save`` and ``trainable_token_indices`` are
matched by the end of the path, any end: ``norm`` is also ``input_layernorm``, ``classifier`` also
``pre_classifier`` (``_set_trainable`` of peft/utils/other.py, peft 0.21.2).
"""

from __future__ import annotations

from uploader_lora.keys import PREFIX

HEADS = ("lm_head", "embed_out")
"""Modules that are output heads of language models."""

TASK_HEADS = {
    "SEQ_CLS": ("classifier", "score"),
    "TOKEN_CLS": ("classifier", "score"),
    "QUESTION_ANS": ("qa_outputs",),
}
"""Names that PEFT adds to ``modules_to_save`` for a task, whether or not the model has them all."""


def ends_with(module: str, name: str) -> bool:
    """Return whether a path ends with a name, as whole segments."""
    return module == name or module.endswith(f".{name}")


def is_saved(module: str, name: str) -> bool:
    """Return whether ``modules_to_save`` means a module by a name, or a module that it lies in.

    Args:
        module: Path without PEFT's prefix.
        name: Entry of ``modules_to_save``.
    """
    path = PREFIX.rstrip(".")
    for segment in module.split("."):
        path = f"{path}.{segment}"
        if path.endswith(name):
            return True
    return False


def has_rows(module: str, name: str | None) -> bool:
    """Return whether ``trainable_token_indices`` means an embedding by a name.

    Args:
        module: Path without PEFT's prefix.
        name: Key of ``trainable_token_indices``; None is the input embedding.
    """
    return name is None or f"{PREFIX}{module}".endswith(name)


def means_head(name: str | None) -> bool:
    """Return whether a key of ``trainable_token_indices`` means an output head."""
    return name is not None and any(head.endswith(name) or ends_with(name, head) for head in HEADS)
