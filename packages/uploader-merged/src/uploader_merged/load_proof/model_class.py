"""Which class of transformers a ``config.json`` names, without code of the model's own.

Heavy: imports transformers.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import transformers  # noqa: TID253 - this module asks it

# How attention is computed is a matter of the machine; a missing flash_attn stops no proof.
_OF_THE_MACHINE = ("attn_implementation", "_attn_implementation", "_experts_implementation")
_AUTO_CLASSES = (
    "MODEL_FOR_CAUSAL_LM_MAPPING", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING", "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING",
    "MODEL_FOR_MASKED_LM_MAPPING", "MODEL_MAPPING",
)  # fmt: skip


def loader() -> str:
    """Return the library that loads, with its version."""
    return f"transformers {transformers.__version__}"


class UnknownModelError(Exception):
    """transformers does not know the type of a model."""


def read_config(said: Mapping[str, Any]) -> Any:
    """Make the configuration object as ``from_pretrained`` does, from a file.

    Raises:
        UnknownModelError: The model type is not known; code of its own is never run.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = said.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        what = f"does not know the model type {kind}" if kind else "finds no model_type"
        raise UnknownModelError(f"{loader()} {what}{own_code(said)}")
    folder = Path(tempfile.mkdtemp(prefix="uploader-load-proof-"))
    file = folder / "config.json"
    try:
        file.write_text(json.dumps(_plain(said), ensure_ascii=False), "utf-8")
        return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    finally:
        # By its whole path, so that whoever watches a step sees where it was.
        file.unlink(missing_ok=True)
        folder.rmdir()


def _plain(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without code of its own and without the machine's affairs."""
    return {
        key: _plain(value) if isinstance(value, dict) else value
        for key, value in said.items()
        if key != "auto_map" and key not in _OF_THE_MACHINE
    }


def own_code(said: Mapping[str, Any]) -> str:
    """Return a clause where a configuration names code of its own, else ""."""
    return ", and its own code (auto_map) is not run here" if "auto_map" in said else ""


def class_for(config: Any) -> tuple[Any, str | None]:
    """Return the class to build, None when there is none, and the one named in vain."""
    named = next(iter(config.architectures or ()), None)
    if isinstance(named, str):
        with contextlib.suppress(AttributeError, ImportError):
            chosen = getattr(transformers, named)
            if isinstance(config, chosen.config_class or ()):
                return chosen, None
    for mapping in _AUTO_CLASSES:
        found = getattr(transformers, mapping, {}).get(type(config), None)
        if found is not None:
            return (found[0] if isinstance(found, tuple) else found), named
    return None, named


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own report of the same from the log."""
    from transformers.utils import logging

    settings: Any = logging
    before = settings.get_verbosity()
    settings.set_verbosity(settings.CRITICAL)
    bars = settings.is_progress_bar_enabled()
    settings.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings.set_verbosity(before)
        if bars:
            settings.enable_progress_bar()
