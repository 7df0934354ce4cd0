"""Prove that a compressed model loads, before it is written, and that the files are what it says.

Light: torch and transformers are imported where something is read.
"""

from __future__ import annotations

import importlib.metadata
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from uploader_compressed.folder import Folder
from uploader_compressed.schemes import BLOCK, SCHEMES, Scheme
from uploader_compressed.selection import Selection, listed, open_apart, select
from uploader_core.plugin import Finding, PlanContext
from uploader_lora import StoredTensor
from uploader_lora.where_it_runs import Described
from uploader_merged import Checkpoint, open_checkpoint
from uploader_merged.failed_proof import failed_proof, prove_headers
from uploader_merged.load_proof import Outcome, Subject, prove_checkpoint
from uploader_merged.load_proof.check import outcome_of

if TYPE_CHECKING:
    from uploader_compressed.calibration.codes import Calibrated

_PROVED = SCHEMES["fp8-dynamic"]
"""Which layers are quantised is the same for all schemes, and this one fits every shape."""

_FAR = 0.5
"""Most that fitted codes may be away from weights, as a share of these; 4 bits come to 0.15."""

_SEED = 1
_TENSORS = 24


def prove(context: PlanContext) -> Iterator[Finding]:
    """Prove that what will be made of a checkpoint loads, as far as that is free of settings.

    Raises:
        SourceError: The checkpoint cannot be opened.
    """
    source = context.input("checkpoint")
    stored = open_checkpoint(source)
    found = list(prove_checkpoint(stored))
    yield from found
    if stored.base.quantised is not None or any(f.level == "error" for f in found):
        return
    checkpoint = open_apart(source)
    if Described.of(checkpoint.config, names=checkpoint.names).unread_by("transformers"):
        checkpoint = stored  # without its experts, which the plan says are not for transformers
    selection = select(checkpoint)
    if not selection.names:
        return
    outcome = _outcome(checkpoint, selection)
    if outcome.unproved:
        yield Finding(
            level="warning",
            what=f"it was not proved that the compressed release loads: {outcome.unproved}",
            next="pip install -U compressed-tensors transformers",
        )
    elif wrong := _wrong(outcome):
        yield Finding(
            level="error",
            what=wrong,
            next="leave compressed out of --plugins, and report the architecture",
        )


def _outcome(checkpoint: Checkpoint, selection: Selection) -> Outcome:
    """Return what loading comes to with the layers of a selection quantised."""
    config = _PROVED.config([*selection.ignore])
    # Of the library that does the loading, so that a proof does not outlive it.
    config["version"] = _version("compressed-tensors")
    names = frozenset(selection.names)
    tensors = {}
    for name in checkpoint.names:
        dtype, shape = checkpoint.dtype(name), checkpoint.shape(name)
        if name in names:
            module, (rows, columns) = name.removesuffix(".weight"), shape
            for part in _PROVED.parts(dtype, (rows, columns)):
                tensors[f"{module}.{part.ending}"] = part.dtype, part.shape
        else:
            tensors[name] = dtype, shape
    subject = Subject(config={**checkpoint.config, "quantization_config": config}, tensors=tensors)
    return outcome_of(subject)


def _wrong(outcome: Outcome) -> str | None:
    """Return what is wrong with a load; codes are no weights, so their types are not."""
    if replace(outcome, mistyped=(), unproved=None).complete:
        return None
    reasons = {
        "is not filled": list(outcome.missing),
        "has no place": [stray.name for stray in outcome.strays],
        "has another shape": [misfit.name for misfit in outcome.misfits],
        "cannot be put together": [name for name, _ in outcome.failed],
    }
    told = "; ".join(f"{listed(names)} {why}" for why, names in reasons.items() if names)
    return (
        f"{outcome.loader} would not load the compressed {outcome.model_class} complete: "
        f"{told or outcome.trouble}"
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def prove_written(
    checkpoint: Checkpoint, folder: Folder, path: Path, calibrated: Calibrated | None = None
) -> dict[str, int]:
    """Check finished files: every header, and a sample of rows merged again.

    Args:
        checkpoint: What was quantised.
        folder: What was to be written.
        path: Where the files are.
        calibrated: Codes that were fitted to a text, and so are not the nearest ones.

    Returns:
        The proof, for the record and the manifest.

    Raises:
        IntegrityError: A file is not what it should be.
    """
    planned = {
        shard.name: {t.name: (t.part.dtype, t.part.shape) for t in shard.tensors}
        for shard in folder.shards
    }
    written = prove_headers(path, planned)
    choose = random.Random(_SEED)  # noqa: S311 - a sample, not a secret
    names = folder.selection.names
    chosen = choose.sample(names, min(_TENSORS, len(names)))
    rows = 0
    for name in chosen:
        height = checkpoint.shape(name)[0]
        start = choose.randrange(0, height, BLOCK)
        stop = min(height, start + 4)
        fitted = None if calibrated is None else calibrated.rows(name, start, stop)
        if calibrated is None or fitted is None:
            _compare(checkpoint, folder.scheme, written, name, (start, stop))
        else:
            _compare_fitted(checkpoint, calibrated, written, name, (start, stop))
        rows += stop - start
    return {"headers": len(folder.shards), "recomputed_tensors": len(chosen),
            "recomputed_rows": rows, "seed": _SEED}  # fmt: skip


def _compare(
    checkpoint: Checkpoint,
    scheme: Scheme,
    written: Mapping[str, StoredTensor],
    name: str,
    rows: tuple[int, int],
) -> None:
    """Undo the codes of a few rows plainly, and see that they are as near as codes can be."""
    from uploader_compressed.decode import decode, step

    weights = checkpoint.read_rows(name, *rows).double()
    found, scales = decode(scheme, written, name, rows)
    error = (found - weights).abs()
    allowed = step(scheme, weights.abs(), scales)
    if not bool((error <= allowed).all()):
        worst = float((error / allowed).max())
        raise failed_proof(
            f"the proof of {scheme.name} failed at {name}, rows from {rows[0]}: a weight is "
            f"{worst:.3g} times as far off as its code can be"
        )


def _compare_fitted(
    checkpoint: Checkpoint,
    calibrated: Calibrated,
    written: Mapping[str, StoredTensor],
    name: str,
    rows: tuple[int, int],
) -> None:
    """See that rows are the fitted ones, and that they still resemble the weights."""
    from uploader_compressed.decode import decode

    scheme = calibrated.scheme
    weights = checkpoint.read_rows(name, *rows).double()
    found, _ = decode(scheme, written, name, rows)
    fitted, _ = decode(scheme, calibrated.tensors, name, rows)
    off = float((found - weights).norm() / weights.norm().clamp(min=1e-12))
    if not bool((found == fitted).all()) or off > _FAR:
        raise failed_proof(
            f"the proof of {scheme.name} failed at {name}, rows from {rows[0]}: they are "
            f"{off:.3g} of their size away from the weights"
        )
