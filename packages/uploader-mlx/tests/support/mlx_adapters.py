"""Adapters as training leaves them, and what mlx-lm and transformers compute with them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
import torch

from compressed_models import model_class
from mlx_tools import RELEASE, make
from uploader_core.plugin import Artifact, Finding, OutputFolder, PlanContext, StepContext
from uploader_mlx.adapter.save import check, save
from uploader_mlx.kinds import SIXTEEN

TOKENS = [list(range(2, 42))]


def train(kind: str, base: Path, folder: Path, **config: Any) -> Path:
    """Save an adapter whose every parameter is as if training had moved it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(2)
    model = model_class(kind).from_pretrained(base, dtype="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(model, LoraConfig(**{"r": 4, "lora_alpha": 8, **config}))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


def _inputs(base: Path, adapter: Path) -> tuple[Artifact, ...]:
    return Artifact(kind="adapter", path=adapter), Artifact(kind="base", path=base)


def convert(root: Path, base: Path, adapter: Path) -> Artifact:
    """Make ``mlx-lora`` in ``root/mlx-lora``."""
    return save(
        StepContext(
            step="mlx:lora",
            inputs=_inputs(base, adapter),
            settings=None,
            release=RELEASE,
            output=OutputFolder(root / "mlx-lora", root / "scratch", root / "units"),
            work=root / "scratch",
            produces="mlx-lora",
        )
    )


def refusals(base: Path, adapter: Path) -> list[Finding]:
    context = PlanContext(
        inputs=_inputs(base, adapter), settings=None, release=RELEASE,
        output=base.parent / "mlx-lora",
    )  # fmt: skip
    return [finding for finding in check(context) if finding.level == "error"]


def in_mlx(root: Path, base: Path, adapter: Path) -> npt.NDArray[np.float32]:
    """Logits of the base in float32 with an adapter, by mlx-lm."""
    make(root / "of-base", base, None, SIXTEEN, dtype="float32")
    return on_folder(root / "of-base" / SIXTEEN, adapter)


def on_folder(folder: Path, adapter: Path) -> npt.NDArray[np.float32]:
    """Logits of a folder of MLX with an adapter, by mlx-lm."""
    from mlx_lm.utils import load_adapters, load_model

    model, _ = load_model(folder)
    model = load_adapters(model, str(adapter))
    model.eval()
    return np.array(model(mx.array(TOKENS)))


def in_transformers(kind: str, base: Path, adapter: Path | None) -> npt.NDArray[np.float32]:
    """The same by transformers and peft, or of the base alone."""
    from peft import PeftModel

    model = model_class(kind).from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        found: npt.NDArray[np.float32] = model(torch.tensor(TOKENS)).logits.numpy()
    return found
