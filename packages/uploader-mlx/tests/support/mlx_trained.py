"""Adapters as ``mlx_lm.lora`` saves them, and sources made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from mlx_tools import make
from uploader_core.plugin import ReaderContext, SourceContext, Sources
from uploader_mlx.kinds import SIXTEEN
from uploader_mlx.source.fetch import fetch
from uploader_mlx.source.read import read


def train(root: Path, base: Path, **config: Any) -> Path:
    """Save an adapter for a base, every parameter as if training had moved it."""
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    make(root / "for-mlx", base, None, SIXTEEN)
    model, _ = load_model(root / "for-mlx" / SIXTEEN)
    model.freeze()
    kind = config.pop("fine_tune_type", "lora")
    layers = config.pop("num_layers", 2)
    parameters = {"rank": 4, "scale": 3.0, "dropout": 0.0, **config}
    linear_to_lora_layers(model, layers, parameters, use_dora=kind == "dora")
    mx.random.seed(1)
    moved = {
        name: value + 0.05 * mx.random.normal(value.shape)
        for name, value in tree_flatten(model.trainable_parameters())
    }
    folder = root / "adapters"
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapters.safetensors"), moved)
    said = {"fine_tune_type": kind, "num_layers": layers, "lora_parameters": parameters,
            "model": str(base), "iters": 100}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(said), "utf-8")
    return folder


def source(folder: Path, base: Path | None = None) -> Sources | None:
    """What the reader says of a folder, with this distribution's own plugin to fetch by."""
    return read(
        ReaderContext(
            reference=str(folder),
            base=None if base is None else str(base),
            fetch=lambda reference, purpose: fetch(
                SourceContext(reference=reference, purpose=purpose)
            ),
        )
    )
