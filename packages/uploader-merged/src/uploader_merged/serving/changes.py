"""What of an adapter has a low-rank form, what comes near one, and what has none. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from uploader_lora import Adapter, StoredTensor
from uploader_lora.adapter import LoraUpdate
from uploader_merged.base.orientation import is_conv1d
from uploader_merged.base.tying import embedding_name, head_name, is_tied
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.merge_plan.ends import is_head
from uploader_merged.merge_plan.recipes import Dora, LowRank, PutRows, Recipe, Stack


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A tensor of the merged model that is near the base's and a low-rank product.

    Attributes:
        name: Of the tensor.
        module: As the adapter calls the module.
        what: In the adapter: ``DoRA``, ``stored whole``, ``trained tokens``.
        form: ``embedding`` for the input embedding.
        transposed: The tensor lies as (in, out).
    """

    name: str
    module: str
    what: str
    form: Literal["matrix", "embedding"]
    transposed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Everything that an adapter does to its base.

    Attributes:
        exact: Updates that are low-rank products already.
        near: Tensors whose difference is replaced by its nearest product.
        vectors: Tensors of one axis that may only be dropped where nothing changed.
        none: What cannot be held, in words.
    """

    exact: tuple[LoraUpdate, ...]
    near: tuple[Change, ...]
    vectors: tuple[str, ...]
    none: tuple[str, ...]


def changes_of(checkpoint: Checkpoint) -> Changes:
    """Sort what the adapter of a checkpoint does.

    Args:
        checkpoint: With one adapter.
    """
    (adapter,) = checkpoint.adapters
    modules = _modules(adapter)
    near: list[Change] = []
    vectors: list[str] = []
    none: list[str] = []
    inexact: set[StoredTensor] = set()
    for name in checkpoint.touched:
        recipe = checkpoint.recipe(name)
        if not recipe.replaced and all(isinstance(step, LowRank) for step in recipe.steps):
            continue
        if any(isinstance(step, Stack) for step in recipe.steps):
            none.append(f"changes of fused experts ({name})")
        elif recipe.shape != recipe.origin.shape:
            none.append(f"a vocabulary of another size ({name})")
        elif len(recipe.shape) == 1:
            vectors.append(name)
        elif len(recipe.shape) != 2:
            none.append(f"changes of convolutions ({name})")
        else:
            used = [view.tensor for view in recipe.consumed]
            inexact.update(used)
            at_head = name == head_name(checkpoint.names)
            named = (modules[tensor] for tensor in used if is_head(modules[tensor]) == at_head)
            near.append(_near(checkpoint, recipe, next(named, "lm_head")))
    near += _of_the_tied_head(checkpoint, near)
    if adapter.config.layer_replication is not None:
        none.append("replicated layers")
    return Changes(
        exact=tuple(u for u in adapter.updates if not inexact.intersection(u.tensors)),
        near=tuple(near),
        vectors=tuple(vectors),
        none=tuple(none),
    )


def _modules(adapter: Adapter) -> dict[StoredTensor, str]:
    found = {tensor: update.module for update in adapter.updates for tensor in update.tensors}
    found |= {full.tensor: full.module for full in adapter.replacements}
    return found | {rows.tensor: rows.module for rows in adapter.token_rows}


def _near(checkpoint: Checkpoint, recipe: Recipe, module: str) -> Change:
    dora = next((step for step in recipe.steps if isinstance(step, Dora)), None)
    is_input = recipe.name == embedding_name(checkpoint.base)
    if dora is not None:
        what = "DoRA"
    else:
        rows = any(isinstance(step, PutRows) for step in recipe.steps)
        what = "trained tokens" if rows else "stored whole"
    turned = dora.by_columns if dora is not None else is_conv1d(module, checkpoint.base.config)
    return Change(
        name=recipe.name,
        module=module,
        what=what,
        form="embedding" if is_input else "matrix",
        transposed=is_input or turned,
    )


def _of_the_tied_head(checkpoint: Checkpoint, near: list[Change]) -> Iterator[Change]:
    """Yield the change of the head that a model shares with its embedding, and keeps sharing."""
    for change in near:
        if change.form == "embedding" and head_name(checkpoint.names) is None:
            if not is_tied(checkpoint.base):
                continue
            yield Change(
                name=change.name,
                module="lm_head",
                what=change.what,
                form="matrix",
                transposed=False,
            )
