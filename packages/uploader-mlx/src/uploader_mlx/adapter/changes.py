"""What a PEFT adapter does to the modules of mlx-lm, and what of it mlx-lm's adapters cannot hold.

mlx-lm has one rank and one scale for all modules, and its matrices lie the other way round; of
experts they are one below the other. It has no place for whole tensors, biases and single rows of
an embedding. No torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from uploader_lora import DTYPE_BITS, same_content
from uploader_merged import Checkpoint, Recipe
from uploader_merged.base.tying import embedding_name, head_name, is_tied
from uploader_merged.merge_plan.recipes import Dora, LowRank, Stack, View
from uploader_mlx.architecture.described import Output, Sanitised

Form = Literal["matrix", "embedding", "experts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What an adapter does to one module of mlx-lm.

    Attributes:
        path: Of the module.
        form: ``matrix``, ``embedding``, or ``experts`` for a stack of matrices.
        shape: Of the weight.
        products: Low-rank changes, by the number of the expert; 0 alone but for experts.
        magnitude: DoRA's.
    """

    path: str
    form: Form
    shape: tuple[int, ...]
    products: dict[int, LowRank] = field(repr=False)
    magnitude: View | None = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Everything that an adapter does.

    Attributes:
        changes: In mlx-lm's order.
        refused: What mlx-lm's adapters have no place for, in words.
    """

    changes: tuple[Change, ...]
    refused: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Of all modules: the highest, since the others are padded with zeros."""
        return max(product.a.shape[0] for product in self.products)

    @property
    def scale(self) -> float:
        """Of all modules: what most of them have, so that their matrices stay as they are."""
        return Counter(product.scale for product in self.products).most_common(1)[0][0] or 1.0

    @property
    def products(self) -> list[LowRank]:
        """All low-rank changes."""
        return [product for change in self.changes for product in change.products.values()]

    @property
    def has_magnitudes(self) -> bool:
        """Whether it is an adapter with DoRA."""
        return any(change.magnitude is not None for change in self.changes)

    @property
    def exact(self) -> bool:
        """Whether no value is rounded: every factor between scales is a power of two."""
        return all(_is_power(product.scale / self.scale) for product in self.products)

    def dtypes(self, change: Change) -> tuple[str, str]:
        """Return the types of A and B of a change in the file.

        mlx-lm rounds the scale to the type of the matrices when it multiplies.
        """
        products = change.products.values()
        a = max((p.a.tensor.dtype for p in products), key=lambda d: DTYPE_BITS[d])
        b = max((p.b.tensor.dtype for p in products), key=lambda d: DTYPE_BITS[d])
        folded = all(_is_power(p.scale / self.scale) for p in products)
        wide = not _fits(self.scale, a) or not _fits(self.scale, b)
        return ("F32", "F32") if wide else (a, b if folded else "F32")


def changes_of(checkpoint: Checkpoint, model: Sanitised) -> Changes:
    """Sort what the adapter of a checkpoint does by mlx-lm's modules.

    Args:
        checkpoint: With one adapter.
        model: The merged checkpoint as mlx-lm has it.
    """
    refused = list(_refused(checkpoint))
    changes: list[Change] = []
    left = set(checkpoint.touched)
    for output in model.outputs:
        touched = [name for name in output.sources if name in left]
        if not touched:
            continue
        left.difference_update(touched)
        try:
            changes.append(_change(checkpoint, output))
        except _NoPlaceError as error:
            refused.append(str(error))
    refused += [f"what mlx-lm leaves out ({name})" for name in sorted(left)]
    found = Changes(changes=tuple(changes), refused=tuple(dict.fromkeys(refused)))
    if found.has_magnitudes and any(change.magnitude is None for change in changes):
        mixed = "DoRA's magnitudes for some modules and none for others"
        return Changes(changes=found.changes, refused=(*found.refused, mixed))
    return found


class _NoPlaceError(Exception):
    """mlx-lm's adapters cannot hold something."""


def _refused(checkpoint: Checkpoint) -> Iterator[str]:
    """Yield what is not of one tensor."""
    (adapter,) = checkpoint.adapters
    config = adapter.config
    if config.layer_replication is not None:
        yield "replicated layers"
    if config.initialisation is not None:
        yield f"an adapter whose training changed the base ({config.initialisation})"
    ends = {embedding_name(checkpoint.base), head_name(checkpoint.names)} - {None}
    touched = sorted(end for end in ends if end in checkpoint.touched and end)
    if touched and is_tied(checkpoint.base):
        yield f"a change of one end of a tied model ({touched[0]}): it is one matrix in mlx-lm"


def _change(checkpoint: Checkpoint, output: Output) -> Change:
    recipes = [checkpoint.recipe(name) for name in output.sources]
    module = output.name.removesuffix(".weight")
    if output.computed:
        raise _NoPlaceError(f"a tensor that mlx-lm turns or splits ({output.sources[0]})")
    if module == output.name or len(output.shape) not in (2, 3):
        raise _NoPlaceError(f"biases and norms ({output.sources[0]})")
    products: dict[int, LowRank] = {}
    magnitude: View | None = None
    for number, recipe in enumerate(recipes):
        for expert, product, lengths in _steps(recipe):
            index = number if len(recipes) > 1 else expert
            if index in products:
                raise _NoPlaceError(f"two changes of one matrix ({recipe.name})")
            products[index], magnitude = product, lengths
    form: Form = "matrix" if len(output.shape) == 2 else "experts"
    if output.sources == (embedding_name(checkpoint.base),):
        form = "embedding"
    if magnitude is not None and form != "matrix":
        raise _NoPlaceError(f"DoRA of {form} ({output.sources[0]})")
    if any(product.transposed != (form == "embedding") for product in products.values()):
        raise _NoPlaceError(f"a matrix that lies as (in, out) ({output.sources[0]})")
    return Change(
        path=module, form=form, shape=output.shape, products=products, magnitude=magnitude
    )


def _steps(recipe: Recipe) -> Iterator[tuple[int, LowRank, View | None]]:
    """Yield expert, product and magnitudes of what is done to a tensor."""
    # PEFT saves the embedding as it was beside a change of it.
    if recipe.replaced and not same_content(recipe.origin, recipe.source):
        raise _NoPlaceError(f"whole tensors ({recipe.name})")
    for step in recipe.steps:
        if isinstance(step, LowRank):
            yield 0, step, None
        elif isinstance(step, Dora) and not step.by_columns:
            yield 0, step.product, step.magnitude
        elif isinstance(step, Stack):
            for placed in step.placed:
                if placed.product.shape[0] != recipe.shape[1]:
                    raise _NoPlaceError(f"gate and up in one tensor ({recipe.name})")
                yield placed.expert, placed.product, None
        else:
            raise _NoPlaceError(f"rows and vectors that were trained ({recipe.name})")


def _is_power(factor: float) -> bool:
    return abs(math.frexp(factor)[0]) == 0.5


def _fits(scale: float, dtype: str) -> bool:
    """Return whether a type holds a scale without rounding."""
    bits = {"BF16": 8, "F16": 11, "F32": 24}.get(dtype, 0)
    return float(math.frexp(scale)[0] * 2**bits).is_integer()
