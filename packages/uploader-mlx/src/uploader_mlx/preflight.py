"""Checks and estimates: headers, small JSON files, and mlx-lm's code for the architecture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from uploader_core.plugin import Estimate, Finding, Piece, PlanContext
from uploader_merged import Checkpoint, checkpoint_findings
from uploader_merged.sixteen_bit.layout import main_dtype
from uploader_mlx.architecture.installed import version
from uploader_mlx.folder import Folder, open_for_mlx, plan_folder
from uploader_mlx.kinds import GROUPS, SIXTEEN
from uploader_mlx.selection import OPTION

# Private memory of an interpreter with torch and mlx loaded, beyond one without, and the blocks in
# flight (stored, merged, copied to mlx, and what is computed with them).
_LIBRARIES = 230 << 20
_BLOCKS = 130 << 20

_NEVER_SAID = ("inv_freq",)
"""Endings of tensors that no model needs."""


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse what cannot be made as asked; what cannot be read raises.

    Raises:
        PluginError: mlx or mlx-lm is not there.
        SourceError: The checkpoint cannot be opened, or mlx-lm does not take it.
        UsageError: A setting is not usable.
    """
    checkpoint = open_for_mlx(context.input("checkpoint"))
    kind = context.variant or SIXTEEN
    yield from _quantised_base(checkpoint, kind)
    folder = plan_folder(checkpoint, kind, context.settings)
    yield from _left_out(checkpoint, folder)
    yield from _odd(folder)
    yield from checkpoint_findings(checkpoint, context)
    yield from _tokenizer(checkpoint)
    if context.settings.dtype == "auto" and main_dtype(checkpoint) == "F32":
        yield Finding(
            level="note",
            what="the base model is stored in float32, and so is what is not quantised",
            next="--mlx-dtype bfloat16",
        )


def _quantised_base(checkpoint: Checkpoint, kind: str) -> Iterator[Finding]:
    method = checkpoint.base.quantised
    if method is None:
        return
    twice = kind != SIXTEEN
    yield Finding(
        level="error" if twice else "warning",
        what=f"the base model is quantised already ({method})"
        + (f", and {kind} of it would lose twice" if twice else "; what that lost stays lost"),
        next="name the 16-bit model that it was made from: --base PATH_OR_ID",
    )


def _left_out(checkpoint: Checkpoint, folder: Folder) -> Iterator[Finding]:
    """Say what mlx-lm has no use for; refuse what the fine-tune changed of it."""
    dropped = [name for name in folder.model.dropped if not name.endswith(_NEVER_SAID)]
    touched = frozenset(checkpoint.touched)
    trained = [name for name in dropped if name in touched]
    if checkpoint.own_head in dropped:
        trained.append(str(checkpoint.own_head))
    if trained:
        yield Finding(
            level="error",
            what=f"mlx-lm {version()} leaves out {_listed(trained)}, which would be lost",
            next="release merged-16bit for other engines, or leave mlx out of --plugins",
        )
    towers = [name for name in dropped if "head" not in name]
    if towers and not trained:
        yield Finding(
            level="warning",
            what=f"mlx-lm computes with the language model alone, so {_listed(towers)} stay behind",
            next="release merged-16bit besides, which has all of it",
        )


def _odd(folder: Folder) -> Iterator[Finding]:
    odd = folder.selection.odd
    if odd:
        how = folder.selection.config or {}
        widths = [shape[-1] for shape in odd.values()]
        smaller = [g for g in GROUPS if all(width % g == 0 for width in widths)]
        listed = _listed([f"{path} ({' x '.join(map(str, odd[path]))})" for path in odd])
        last = next(iter(odd)).rpartition(".")[2]
        first = f"--mlx-group-size {min(smaller)}, or " if smaller else ""
        yield Finding(
            level="error",
            what=f"{folder.kind} has a scale for {how.get('group_size')} columns, which do not "
            f"divide those of {listed}; mlx_lm.convert would leave them in 16 bits without a word",
            next=f"{first}leave them in 16 bits: {OPTION} '.*{last}$=16bit'",
        )
    elif folder.kind != SIXTEEN and not folder.selection.modules:
        yield Finding(
            level="error",
            what="nothing of this model would be quantised",
            next=f"--plugins mlx for 16 bits, or another {OPTION}",
        )


def _tokenizer(checkpoint: Checkpoint) -> Iterator[Finding]:
    if not any(file.role == "tokenizer" for file in checkpoint.companions()):
        yield Finding(
            level="warning",
            what="neither the adapter nor the base model has tokenizer files, and mlx-lm loads no "
            "model without",
            next="save the tokenizer beside the adapter: tokenizer.save_pretrained(FOLDER)",
        )


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def estimate(context: PlanContext) -> Estimate:
    """Count bytes exactly from headers.

    Raises:
        PluginError: mlx or mlx-lm is not there.
    """
    checkpoint = open_for_mlx(context.input("checkpoint"))
    folder = plan_folder(checkpoint, context.variant or SIXTEEN, context.settings)
    factors = max(
        (
            sum(view.tensor.nbytes for view in checkpoint.recipe(name).consumed)
            for name in checkpoint.touched
        ),
        default=0,
    )
    return Estimate(
        bytes_written=sum(folder.sizes.values()),
        peak_memory=_LIBRARIES + _BLOCKS + _waiting(folder) + 4 * factors
        + _computed(checkpoint, folder),
        exact=True,
        files=tuple(folder.sizes.items()),
        pieces=tuple(Piece(name=shard.name, size=shard.nbytes) for shard in folder.shards),
    )  # fmt: skip


def _waiting(folder: Folder) -> int:
    """Return bytes of the scales that wait for the codes of one matrix, and of one row."""
    stored = [one for shard in folder.shards for one in shard.stored]
    scales = max((sum(p.nbytes for p in one.parts[1:]) for one in stored), default=0)
    tails = max(sum(shard.parts[name].nbytes for name in shard.tail) for shard in folder.shards)
    widest = max((one.output.shape[-1] for one in stored if one.output.shape), default=1)
    return scales + tails + 64 * widest


def _computed(checkpoint: Checkpoint, folder: Folder) -> int:
    """Return bytes of tensors that mlx-lm does more with than to rename and to stack them."""
    sizes: Mapping[str, int] = {n: checkpoint.recipe(n).nbytes for n in checkpoint.names}
    return 3 * max(
        (sum(sizes[source] for source in o.sources) for o in folder.model.outputs if o.computed),
        default=0,
    ) + sum(math.prod(o.shape) for o in folder.model.outputs if o.computed and o.nbytes < 1 << 20)
