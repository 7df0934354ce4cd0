"""The step run as core runs it, and compressed-tensors' own result for a matrix."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from compressed_tensors.compressors import compress_module
from compressed_tensors.quantization import (
    initialize_module_for_quantization,
    preset_name_to_scheme,
)
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

from merged_tools import Merge
from saved_models import checkpoint_artifact
from uploader_compressed.preflight import check
from uploader_compressed.save import save
from uploader_compressed.settings import Settings
from uploader_core.plugin import (
    Artifact,
    Finding,
    OutputFolder,
    PlanContext,
    ReleaseInfo,
    StepContext,
)
from uploader_merged import open_checkpoint

RELEASE = ReleaseInfo(name="tiny", source="adapter")


def compress(
    root: Path,
    base: Path,
    adapter: Path | None,
    *kinds: str,
    pieces: tuple[str, ...] = (),
    **settings: Any,
) -> dict[str, Artifact]:
    """Run the step for some schemes in one call; the artifacts by scheme."""
    chosen = Settings(kinds=kinds, **settings)
    contexts = (_context(root, base, adapter, kind, chosen) for kind in kinds)
    made = save(tuple(replace(context, pieces=pieces) for context in contexts))
    return dict(zip(kinds, made, strict=True))


def _context(
    root: Path, base: Path, adapter: Path | None, kind: str, settings: Settings
) -> StepContext:
    folder = root / f"compressed-{kind}"
    return StepContext(
        step=f"compressed:compressed-{kind}",
        inputs=(checkpoint_artifact(base, adapter),),
        settings=settings,
        release=RELEASE,
        output=OutputFolder(folder, root / "scratch" / kind, root / "units" / kind),
        work=root / "scratch" / kind,
        produces=f"compressed-{kind}",
        variant=kind,
    )


def save_merged(root: Path, base: Path, adapter: Path | None) -> Path:
    """The merged folder, and where it is."""
    return Merge(root)(base, adapter).path


def plan(base: Path, adapter: Path | None, kind: str, **settings: Any) -> PlanContext:
    return PlanContext(
        inputs=(checkpoint_artifact(base, adapter),),
        settings=Settings(kinds=(kind,), **settings),
        release=RELEASE,
        output=base.parent / f"compressed-{kind}",
        variant=kind,
    )


def findings(base: Path, kind: str, **settings: Any) -> dict[str, list[Finding]]:
    """What the plan says, by level."""
    found: dict[str, list[Finding]] = {"error": [], "warning": [], "note": []}
    for finding in check(plan(base, None, kind, **settings)):
        found[finding.level].append(finding)
    return found


def merged(base: Path, adapter: Path | None) -> dict[str, torch.Tensor]:
    """All tensors of the merged model; its own tests compare them with peft's."""
    checkpoint = open_checkpoint(base, adapter)
    return {name: checkpoint.read(name) for name in checkpoint.names}


def by_the_library(
    kind: str, weight: torch.Tensor, together: tuple[torch.Tensor, ...] = ()
) -> dict[str, torch.Tensor]:
    """Quantise a matrix with compressed-tensors' own functions, as llm-compressor calls them.

    Args:
        kind: A scheme.
        weight: The matrix.
        together: Matrices that share NVFP4's scale of the whole tensor.
    """
    scheme = preset_name_to_scheme(kind.upper().replace("-", "_"), ["Linear"])
    how: Any = scheme.weights
    module: Any = torch.nn.Linear(*weight.shape[::-1], bias=False, dtype=weight.dtype)
    module.weight.data.copy_(weight)
    initialize_module_for_quantization(module, scheme, force_zero_point=True)
    groups = _groups(weight, how)
    overall = None
    if how.strategy == "tensor_group":
        largest = torch.stack([w.abs().max() for w in (weight, *together)]).max().reshape(1)
        overall = generate_gparam(-largest, largest)
        module.weight_global_scale.data.copy_(overall)
    scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), how, global_scale=overall)
    module.weight_scale.data.copy_(scale)
    compress_module(module)
    return dict(module.state_dict())


def _groups(weight: torch.Tensor, how: Any) -> torch.Tensor:
    if how.strategy == "channel":
        return weight.unsqueeze(1)
    if how.strategy != "block":
        return weight.unflatten(-1, (-1, how.group_size))
    high, wide = how.block_structure
    rows, columns = weight.shape
    padded = torch.nn.functional.pad(weight, (0, -columns % wide, 0, -rows % high))
    blocks = padded.view(padded.shape[0] // high, high, -1, wide)
    return blocks.transpose(1, 2).flatten(-2)


def quantization(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return dict(found["quantization_config"])
