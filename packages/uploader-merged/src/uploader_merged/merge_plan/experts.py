"""Low-rank changes of fused experts, and where the matrices of single experts go.

transformers 5 holds all experts of a layer in one parameter (``experts.gate_up_proj``), while most
files keep one matrix for each (``experts.3.gate_proj.weight``). PEFT stores the change of a fused
parameter as A of shape (experts * r, in), the expert slowest, and B of shape (out, experts * r),
the expert fastest. Adapters trained with transformers 4 name single experts. All four combinations
of adapter and files are placed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from uploader_core.plugin import SourceError
from uploader_lora import LoraUpdate
from uploader_merged.base.model import nested_configs
from uploader_merged.base.names import TensorNames
from uploader_merged.base.orientation import describe
from uploader_merged.merge_plan.recipes import LowRank, Placed, Recipe, Stack, Step, View

# Parts of a fused parameter in their order, as files of different families call them.
_PARTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "gate_up_proj": (("gate_proj", "up_proj"), ("w1", "w3")),
    "up_proj": (("up_proj",),),
    "down_proj": (("down_proj",), ("w2",)),
}
_SINGLE = re.compile(r"(?P<path>.*experts)\.(?P<number>\d+)\.(?P<leaf>\w+)")

# Fused weights that lie as (experts, in, out): in memory, which PEFT asks the class for
# (is_transposed), and on disk.
_IN_OUT_IN_MEMORY = {"gpt_oss", "aria", "aria_text", "openai_privacy_filter"}
_IN_OUT_ON_DISK = _IN_OUT_IN_MEMORY | {
    "llama4",
    "llama4_text",
    "qwen3_vl_moe",
    "qwen3_vl_moe_text",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertContext:
    """What is known beside the tensors.

    Attributes:
        names: Of the base.
        recipes: So far.
        config: The base's configuration.
        peft_version: PEFT that saved the adapter; 0.19 changed which side A is on.
        packing: ``peft`` or ``unsloth``; None when nobody knows.
    """

    names: TensorNames
    recipes: Mapping[str, Recipe]
    config: Mapping[str, Any]
    peft_version: str | None
    packing: str | None


def place(update: LoraUpdate, context: ExpertContext) -> Iterator[tuple[str, Step]]:
    """Yield (tensor name, step) for an update of fused or single experts; nothing for others.

    Raises:
        SourceError: Shapes or numbers do not fit, or it could be meant in two ways.
    """
    if update.parameter in _PARTS:
        fused = context.names.find(update.module, update.parameter)
        if fused is not None:
            yield fused, _on_fused(update, context, context.recipes[fused])
        else:
            yield from _on_single(update, context)
        return
    single = _SINGLE.fullmatch(update.module)
    if single is None or context.names.find(update.module) is not None:
        return
    for parameter, spellings in _PARTS.items():
        for leaves in spellings:
            if single["leaf"] in leaves:
                fused = context.names.find(single["path"], parameter)
                if fused is not None:
                    part, parts = leaves.index(single["leaf"]), len(leaves)
                    recipe = context.recipes[fused]
                    number = int(single["number"])
                    yield fused, _single_on_fused(update, context, recipe, number, part, parts)
                    return


def _on_fused(update: LoraUpdate, context: ExpertContext, recipe: Recipe) -> Step:
    """All experts of the adapter, and one tensor of three axes on disk."""
    if len(recipe.shape) != 3 or recipe.shape[0] != update.experts:
        _refuse(
            f"{update.module}.{update.parameter} of the adapter has {update.experts} experts, and "
            f"{recipe.name} of the base is {describe(recipe.shape)}"
        )
    rows, columns = recipe.shape[1:]
    known = _known_layout(context.config)
    transposed = _is_transposed(update, context, (rows, columns), known)
    return Stack(
        placed=tuple(
            Placed(expert=e, row=0, product=_product(update, context, e, transposed))
            for e in range(update.experts)
        )
    )


def _on_single(update: LoraUpdate, context: ExpertContext) -> Iterator[tuple[str, Step]]:
    """All experts of the adapter, and a matrix for each on disk."""
    stored = context.names.experts(update.module)
    for leaves in _PARTS[update.parameter]:
        if all(leaf in stored for leaf in leaves):
            break
    else:
        _refuse(
            f"{update.module}.{update.parameter} of the adapter matches no tensor of the base",
        )
    for leaf in leaves:
        if sorted(stored[leaf]) != list(range(update.experts)):
            _refuse(
                f"{update.module}.{update.parameter} of the adapter has {update.experts} experts, "
                f"and the base {len(stored[leaf])} ({leaf})"
            )
    rows, columns = context.recipes[stored[leaves[0]][0]].shape
    whole = (rows * len(leaves), columns)
    transposed = _is_transposed(update, context, whole, in_out=False)
    for number in range(update.experts):
        for part, leaf in enumerate(leaves):
            recipe = context.recipes[stored[leaf][number]]
            if recipe.shape != (rows, columns):
                _refuse(
                    f"{recipe.name} of the base is {describe(recipe.shape)}, and another expert "
                    f"{rows} x {columns}"
                )
            span = (part * rows, (part + 1) * rows, 1)
            yield recipe.name, _product(update, context, number, transposed, span)


def _single_on_fused(
    update: LoraUpdate, context: ExpertContext, recipe: Recipe, number: int, part: int, parts: int
) -> Step:
    """One expert of the adapter, and one tensor of three axes on disk."""
    made_for = (update.b.shape[0], update.a.shape[1])
    fits = len(recipe.shape) == 3 and number < recipe.shape[0]
    rows = recipe.shape[1] // parts if fits else 0
    if (
        not fits
        or (rows, recipe.shape[2]) != made_for
        or _known_layout(context.config) is not False
    ):
        _refuse(
            f"{update.module} of the adapter is made for a weight of {describe(made_for)}, and "
            f"{recipe.name} of the base is {describe(recipe.shape)}"
        )
    product = LowRank(a=View.whole(update.a), b=View.whole(update.b), scale=update.scale)
    return Stack(placed=(Placed(expert=number, row=part * rows, product=product),))


def _product(
    update: LoraUpdate,
    context: ExpertContext,
    expert: int,
    transposed: bool,
    span: tuple[int, int, int] | None = None,
) -> LowRank:
    """Cut one expert out of A and B, and of its rows the ones in ``span``."""
    rank, experts = update.rank, update.experts
    fastest = (expert, experts * rank, experts)
    slowest = (expert * rank, (expert + 1) * rank, 1)
    if experts > 1 and context.packing is None:
        _refuse(
            "the adapter has fused experts and was trained with Unsloth, which packed them in two "
            "ways over time, and its file does not say which",
            following="--merged-expert-packing unsloth for an adapter from before September 2026, "
            "--merged-expert-packing peft for a newer one; compare the answers of the result",
        )
    outs, ins = (0, update.b.shape[0], 1), (0, update.a.shape[1], 1)
    if span is not None:
        # What is a row of the weight is an output, or an input when the product is transposed.
        outs, ins = (outs, span) if transposed else (span, ins)
    return LowRank(
        a=View(tensor=update.a, rows=slowest, columns=ins),
        b=View(
            tensor=update.b,
            rows=outs,
            columns=fastest if context.packing == "peft" else slowest,
        ),
        scale=update.scale,
        transposed=transposed,
    )


def _is_transposed(
    update: LoraUpdate,
    context: ExpertContext,
    stored: tuple[int, int],
    in_out: bool | None,
) -> bool:
    """Return whether ``B @ A`` has to be transposed to be oriented as the weight is.

    Shapes decide where they can. For square matrices it depends on which side PEFT put A: since
    0.19 always on the inputs, before that on the first axis of the parameter.

    Args:
        update: The change.
        context: What is known next to it.
        stored: Shape of one expert's weight on disk.
        in_out: Whether the weight lies as (in, out) on disk; None when that is not known.
    """
    made_for = (update.b.shape[0], update.a.shape[1])
    direct, flipped = stored == made_for, stored == made_for[::-1]
    if direct != flipped:
        return flipped
    if not direct:
        _refuse(
            f"{update.module}.{update.parameter} of the adapter is made for experts of "
            f"{describe(made_for)}, and the base has {describe(stored)}"
        )
    version = re.match(r"(\d+)\.(\d+)", context.peft_version or "")
    if version is None or "dev" in (context.peft_version or "") or in_out is None:
        _refuse(
            f"{update.module}.{update.parameter} has square experts, and nothing says which side "
            "is which (peft_version, model_type)"
        )
    since_019 = (int(version[1]), int(version[2])) >= (0, 19)
    a_on_inputs = since_019 or bool(_types(context.config) & _IN_OUT_IN_MEMORY)
    return a_on_inputs == in_out


def _known_layout(config: Mapping[str, Any]) -> bool | None:
    """Return whether fused weights are stored as (experts, in, out) on disk."""
    types = _types(config)
    return bool(types & _IN_OUT_ON_DISK) if types else None


def _types(config: Mapping[str, Any]) -> set[str]:
    return {str(part["model_type"]) for part in nested_configs(config) if "model_type" in part}


def _refuse(why: str, following: str | None = None) -> NoReturn:
    raise SourceError(
        why,
        owner="the experts of the adapter and of the base model",
        safe="nothing was written",
        next=following or "add --base PATH_OR_ID with the model that the adapter was trained on",
    )
