"""The step run as core runs it, and what mlx-lm itself makes of the merged folder."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx

from compressed_words import put_tokenizer
from merged_tools import Merge
from saved_models import checkpoint_artifact
from uploader_core.plugin import (
    Artifact,
    Finding,
    OutputFolder,
    PlanContext,
    ReleaseInfo,
    StepContext,
)
from uploader_mlx.kinds import SIXTEEN
from uploader_mlx.preflight import check
from uploader_mlx.save import save
from uploader_mlx.settings import QuantSettings, Settings

RELEASE = ReleaseInfo(name="tiny", source="adapter")


def make(
    root: Path,
    base: Path,
    adapter: Path | None,
    *kinds: str,
    pieces: tuple[tuple[str, ...], ...] = (),
    **settings: Any,
) -> dict[str, Artifact]:
    """Run the step for some kinds in one call; the artifacts by kind, in ``root/KIND``."""
    contexts = [_context(root, base, adapter, kind, kinds, settings) for kind in kinds]
    if pieces:
        contexts = [replace(c, pieces=own) for c, own in zip(contexts, pieces, strict=True)]
    return dict(zip(kinds, save(tuple(contexts)), strict=True))


def _settings(kind: str, kinds: tuple[str, ...], settings: dict[str, Any]) -> Settings:
    own = {k: v for k, v in settings.items() if k in ("dtype", "shard_size")}
    if kind == SIXTEEN:
        return Settings(**own)
    quants = tuple(k for k in kinds if k != SIXTEEN)
    return QuantSettings(quants=quants, **settings)


def _context(
    root: Path,
    base: Path,
    adapter: Path | None,
    kind: str,
    kinds: tuple[str, ...],
    settings: dict[str, Any],
) -> StepContext:
    return StepContext(
        step=f"mlx:{kind}",
        inputs=(checkpoint_artifact(base, adapter),),
        settings=_settings(kind, kinds, settings),
        release=RELEASE,
        output=OutputFolder(root / kind, root / "scratch" / kind, root / "units" / kind),
        work=root / "scratch" / kind,
        produces="mlx" if kind == SIXTEEN else f"mlx-quantised-{kind}",
        variant="" if kind == SIXTEEN else kind,
    )


def plan(base: Path, adapter: Path | None, kind: str, **settings: Any) -> PlanContext:
    return PlanContext(
        inputs=(checkpoint_artifact(base, adapter),),
        settings=_settings(kind, (kind,), settings),
        release=RELEASE,
        output=base.parent / kind,
        variant="" if kind == SIXTEEN else kind,
    )


def findings(
    base: Path, kind: str, adapter: Path | None = None, **settings: Any
) -> dict[str, list[Finding]]:
    """What the plan says, by level."""
    found: dict[str, list[Finding]] = {"error": [], "warning": [], "note": []}
    for finding in check(plan(base, adapter, kind, **settings)):
        found[finding.level].append(finding)
    return found


def save_merged(root: Path, base: Path, adapter: Path | None) -> Path:
    """The merged folder with a tokenizer, which mlx-lm asks for."""
    return put_tokenizer(Merge(root)(base, adapter).path)


def convert(merged: Path, target: Path, kind: str, **options: Any) -> Path:
    """Convert a folder as ``mlx_lm.convert`` does."""
    from mlx_lm.convert import convert as theirs

    if kind == SIXTEEN:
        chosen: dict[str, Any] = {}
    elif kind.startswith("mixed"):
        # Its own group of None becomes the default on the way.
        chosen = {"quantize": True, "quant_predicate": kind.replace("-", "_"), "q_group_size": 64}
    elif kind.endswith("bit"):
        chosen = {"quantize": True, "q_bits": int(kind[0])}
    else:
        chosen = {"quantize": True, "q_mode": kind}
    with contextlib.redirect_stdout(io.StringIO()):
        theirs(str(merged), str(target), **{**chosen, **options})
    return target


def load_all(folder: Path) -> dict[str, mx.array]:
    tensors: dict[str, mx.array] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        tensors |= mx.load(str(file))
    return tensors


def same_bits(left: mx.array, right: mx.array) -> bool:
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    return bool(mx.array_equal(left.view(mx.uint8), right.view(mx.uint8)))


def greedy(folder: Path, tokens: list[int], count: int = 8) -> list[int]:
    """What mlx-lm goes on with, the likeliest token each time."""
    from mlx_lm.utils import load_model

    model, _ = load_model(folder)
    model.set_dtype(mx.float32)  # mlx multiplies experts in nothing else on a processor
    found = list(tokens)
    for _ in range(count):
        logits = model(mx.array(found)[None])
        found.append(int(mx.argmax(logits[0, -1]).item()))
    return found[len(tokens) :]
