"""Fused experts as a matrix for each expert and projection, without a weight being moved. No torch.

What the parts are called is what the files of most families have, and what engines load:
``experts.3.gate_proj.weight``. Only pairs of stacks whose shapes tell how they lie are taken apart:
one is (2 * inner, outer) for each expert and the other (outer, inner), or both are transposed, and
no two numbers make both true. Stacks with biases stay: those of gpt-oss have gate and up in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from uploader_merged.merge_plan.recipes import Cut, Placed, Recipe, Stack

_ENDINGS = (
    # Of the stack with gate and up, of the one with down, and of the module of the experts.
    (".experts.gate_up_proj", ".experts.down_proj", ".experts"),
    # GraniteMoE; llm-compressor and engines call its single experts so.
    (".input_linear.weight", ".output_linear.weight", ".experts"),
)


class _Pair(NamedTuple):
    """The stacks of a layer, and the module whose parts the experts are."""

    gate_up: Recipe
    down: Recipe
    module: str
    transposed: bool


def with_single_experts(
    recipes: Mapping[str, Recipe], stays: Callable[[str], bool]
) -> dict[str, Recipe]:
    """Return the same tensors with fused experts taken apart, each where its stack was.

    Args:
        recipes: By name.
        stays: Whether a stack is to stay as it is; it does where both of its layer are.
    """
    cuts: dict[str, list[Recipe]] = {}
    for pair in _pairs(recipes):
        if not (stays(pair.gate_up.name) and stays(pair.down.name)):
            cuts[pair.gate_up.name] = list(_parts(pair, pair.gate_up, ("gate_proj", "up_proj")))
            cuts[pair.down.name] = list(_parts(pair, pair.down, ("down_proj",)))
    return {
        part.name: part for name, recipe in recipes.items() for part in cuts.get(name, [recipe])
    }


def _pairs(recipes: Mapping[str, Recipe]) -> Iterator[_Pair]:
    for name, gate_up in recipes.items():
        for ending, other, experts in _ENDINGS:
            down = recipes.get(name.removesuffix(ending) + other)
            if not name.endswith(ending) or down is None or f"{name}_bias" in recipes:
                continue
            transposed = _transposed(gate_up, down)
            if transposed is not None:
                module = name.removesuffix(ending) + experts
                yield _Pair(gate_up, down, module, transposed)


def _transposed(gate_up: Recipe, down: Recipe) -> bool | None:
    """Return whether matrices lie as (in, out); None where these are no experts that we know."""
    if len(gate_up.shape) != 3 or len(down.shape) != 3 or gate_up.shape[0] != down.shape[0]:
        return None
    if any(not isinstance(step, Stack) for step in (*gate_up.steps, *down.steps)):
        return None
    high, wide = gate_up.shape[1:]
    rows, columns = down.shape[1:]
    if (high, wide) == (2 * columns, rows):
        return False
    return True if (wide, high) == (2 * rows, columns) else None


def _parts(pair: _Pair, recipe: Recipe, names: tuple[str, ...]) -> Iterator[Recipe]:
    count, height, width = recipe.shape
    outputs, inputs = (width, height) if pair.transposed else (height, width)
    outputs //= len(names)
    changes = _by_expert(recipe)
    for number in range(count):
        steps = (Stack(placed=tuple(changes[number])),) if number in changes else ()
        # Without a step for a stack, a recipe's rows are those of its shape.
        shape = recipe.shape if steps else (count * height, width)
        stack = replace(recipe, shape=shape, steps=steps)
        for part, name in enumerate(names):
            yield replace(
                stack,
                name=f"{pair.module}.{number}.{name}.weight",
                shape=(outputs, inputs),
                cut=Cut(
                    stack=stack,
                    first=number * height,
                    height=height,
                    start=part * outputs,
                    transposed=pair.transposed,
                ),
            )


def _by_expert(recipe: Recipe) -> Mapping[int, list[Placed]]:
    found: dict[int, list[Placed]] = {}
    for step in recipe.steps:
        for placed in step.placed if isinstance(step, Stack) else ():
            found.setdefault(placed.expert, []).append(placed)
    return found
