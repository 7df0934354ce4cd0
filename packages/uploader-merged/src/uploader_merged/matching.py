"""From an adapter and a base to recipes: every tensor of the adapter is used exactly once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from uploader_core.plugin import SourceError
from uploader_lora import Adapter, FullTensor, LoraUpdate, StoredTensor
from uploader_merged.base import BaseModel
from uploader_merged.names import TensorNames
from uploader_merged.recipes import LowRank, Recipe, Step
from uploader_merged.tying import embedding_name, head_name, is_tied, untie, untied_head_name

_FLOATS = {"F32", "F16", "BF16"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """A merge, planned.

    Attributes:
        recipes: Every tensor of the result, in the order of the base's files.
        config: ``config.json`` of the result.
    """

    recipes: dict[str, Recipe]
    config: dict[str, Any]


def plan_merge(base: BaseModel, adapter: Adapter | None) -> Merge:
    """Plan a merge from headers alone.

    Args:
        base: The base model.
        adapter: The adapter; None leaves the base as it is.

    Raises:
        SourceError: A tensor of the adapter matches nothing, matches twice, has the wrong shape,
            or asks for something that is not done here.
    """
    recipes = {name: Recipe.keep(tensor) for name, tensor in base.tensors.items()}
    merge = Merge(recipes=recipes, config=dict(base.config))
    if adapter is None:
        return merge
    return _Matcher(base, adapter, merge).run()


class _Matcher:
    """One planning; the result grows while the adapter is walked through."""

    def __init__(self, base: BaseModel, adapter: Adapter, merge: Merge) -> None:
        self._base = base
        self._adapter = adapter
        self._recipes = merge.recipes
        self._config = merge.config
        self._names = TensorNames(base.tensors)

    def run(self) -> Merge:
        self._refuse_unsupported()
        self._untie_if_needed()
        for full in self._adapter.replacements:
            self._replace(full)
        for update in self._adapter.updates:
            self._add_update(update)
        self._check_consumption()
        return Merge(recipes=self._recipes, config=self._config)

    def _refuse_unsupported(self) -> None:
        """Refuse by name what the reader understands and the merge does not do."""
        config = self._adapter.config
        for what, present in (
            ("DoRA (use_dora)", config.use_dora),
            ("biases of LoRA (lora_bias)", config.lora_bias),
            (f"trained biases (bias = {config.bias})", config.bias != "none"),
            ("whole modules (modules_to_save)", bool(config.modules_to_save)),
            ("trained token rows (trainable_token_indices)", bool(config.trainable_tokens)),
            ("adapted parameters (target_parameters)", bool(config.target_parameters)),
            ("stacked layers (layer_replication)", config.layer_replication is not None),
            (
                f"a base changed by init_lora_weights = {config.initialisation}",
                config.initialisation is not None,
            ),
            ("weights stored as (in, out) (fan_in_fan_out)", config.fan_in_fan_out),
            (
                "LoRA on embeddings",
                any(u.form == "embedding" for u in self._adapter.updates),
            ),
            (
                "a resized vocabulary",
                any(r.reason == "embedding" for r in self._adapter.replacements),
            ),
        ):
            if present:
                self._refuse(f"merging {what} is not supported")

    def _untie_if_needed(self) -> None:
        """Give the output head a tensor of its own when the adapter changes it alone."""
        heads = {"lm_head", "embed_out"}
        touched = [u for u in self._adapter.updates if u.module.rpartition(".")[2] in heads]
        if not touched or not is_tied(self._base):
            return
        embedding = embedding_name(self._base)
        if embedding is None:
            self._refuse("the base is tied and has no input embedding")
        name = head_name(self._base) or untied_head_name(embedding)
        # In a tied model the embedding is the truth, whatever the files hold for the head.
        self._recipes[name] = Recipe.keep(self._base.tensors[embedding], name)
        self._names = TensorNames(self._recipes)
        self._config = untie(self._config)

    def _find(self, module: str, parameter: str = "weight") -> Recipe:
        name = self._names.find(module, parameter)
        if name is None:
            near = self._names.near(module)
            self._refuse(
                f"{module} of the adapter matches no tensor of the base in "
                f"{self._base.folder}" + (f" (it has {near[0]}, ...)" if near else "")
            )
        return self._recipes[name]

    def _replace(self, full: FullTensor) -> None:
        """Put a full tensor of the adapter in the place of the base's."""
        recipe = self._find(full.module, full.parameter)
        if full.tensor.shape != recipe.shape:
            self._refuse(
                f"{full.tensor.name} of the adapter has the shape {list(full.tensor.shape)}, and "
                f"{recipe.name} of the base {list(recipe.shape)}"
            )
        if recipe.replaced:
            self._refuse(f"{recipe.name} would be replaced twice")
        self._recipes[recipe.name] = replace(recipe, source=full.tensor, replaced=True)

    def _add_update(self, update: LoraUpdate) -> None:
        recipe = self._find(update.module)
        out, into = update.b.shape[0], update.a.shape[-1]
        if len(update.a.shape) != 2 or recipe.shape != (out, into):
            self._refuse(
                f"{update.module} of the adapter is made for a weight of {out} x {into}, and "
                f"{recipe.name} of the base is {' x '.join(str(n) for n in recipe.shape)}"
            )
        self._append(recipe, LowRank(a=update.a, b=update.b, scale=update.scale))

    def _append(self, recipe: Recipe, step: Step) -> None:
        if recipe.dtype not in _FLOATS:
            self._refuse(
                f"{recipe.name} of the base has the type {recipe.dtype}, which cannot be changed"
            )
        self._recipes[recipe.name] = replace(recipe, steps=(*recipe.steps, step))

    def _check_consumption(self) -> None:
        used: Counter[StoredTensor] = Counter(
            tensor for recipe in self._recipes.values() for tensor in recipe.consumed
        )
        for name, tensor in self._adapter.tensors.items():
            if used[tensor] != 1:
                self._refuse(f"the tensor {name!r} would be used {used[tensor]} times")

    def _refuse(self, why: str) -> NoReturn:
        version = self._adapter.config.peft_version
        raise SourceError(
            why + (f" (adapter saved by peft {version[:40]})" if version else ""),
            owner=f"{self._adapter.folder} on {self._base.folder}",
            safe="nothing was written",
            next="add --base PATH_OR_ID with the model that the adapter was trained on, or merge "
            "it with the tool that trained it and run: uploader run MERGED_FOLDER",
        )
