"""From an adapter and a base to recipes: every tensor of the adapter is used exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from uploader_core.plugin import SourceError
from uploader_lora import (
    Adapter,
    FullTensor,
    LoraUpdate,
    StoredTensor,
    TokenRows,
    trained_positions,
    with_positions,
    without_paths,
)
from uploader_merged.base.model import BaseModel
from uploader_merged.base.names import TensorNames
from uploader_merged.base.orientation import describe, is_transposed
from uploader_merged.base.storage import settled_dtype
from uploader_merged.base.tying import embedding_name, head_name, settled_config, untie
from uploader_merged.merge_plan import promises
from uploader_merged.merge_plan.ends import Ends, Part, is_head, plan_ends
from uploader_merged.merge_plan.experts import ExpertContext, place
from uploader_merged.merge_plan.recipes import AddVector, Dora, LowRank, PutRows, Recipe, Step, View
from uploader_merged.merge_plan.replication import replicate, replicated_config
from uploader_merged.merge_plan.task_heads import find_new_head

_FLOATS = {"F32", "F16", "BF16"}
_ONE_BY_ONE = (
    "merge the adapters one after the other: uploader run FIRST --plugins merged-16bit "
    "--output OUT, then uploader run SECOND --base OUT/merged-16bit"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """A merge, planned.

    Attributes:
        recipes: Every tensor of the result, in the order of the base's files.
        config: ``config.json`` of the result.
    """

    recipes: dict[str, Recipe]
    config: dict[str, Any]


def plan_merge(base: BaseModel, adapters: Sequence[Adapter]) -> Merge:
    """Plan a merge from headers alone.

    Args:
        base: The base model.
        adapters: Merged in this order; none leaves the base as it is.

    Raises:
        SourceError: A tensor of the adapter matches nothing, matches twice, has the wrong shape,
            or asks for something that is not done here.
    """
    config = without_paths(settled_dtype(settled_config(base), base.tensors))
    for adapter in adapters:
        positions = trained_positions(adapter.folder, base.config)
        if positions is not None:
            if len(adapters) > 1:
                why = "config.json beside it says that it was trained with other positions (RoPE)"
                raise _refusal(why, adapter, base, _ONE_BY_ONE)
            config = with_positions(config, positions)
        if adapter.config.layer_replication is not None:
            if len(adapters) > 1:
                raise _refusal("layer_replication stacks layers", adapter, base, _ONE_BY_ONE)
            base = replicate(base, adapter.config.layer_replication)
            config = replicated_config(config, adapter.config.layer_replication)
    recipes = {name: Recipe.keep(tensor, name) for name, tensor in base.tensors.items()}
    merge = Merge(recipes=recipes, config=config)
    for adapter in adapters:
        merge = _Matcher(base, adapter, merge, alone=len(adapters) == 1).run()
    return merge


class _Matcher:
    """One planning; the result grows while the adapter is walked through.

    Args:
        base: What is below all adapters.
        adapter: The one whose turn it is.
        merge: What the adapters before it made of the base.
        alone: There is no other adapter.
    """

    def __init__(self, base: BaseModel, adapter: Adapter, merge: Merge, *, alone: bool) -> None:
        self._base = base
        self._adapter = adapter
        self._alone = alone
        self._recipes = merge.recipes
        self._config = merge.config
        self._names = TensorNames(base.tensors)
        self._duplicates: tuple[Part, ...] = ()
        self._both: tuple[TokenRows, ...] = ()
        self._head: tuple[FullTensor, ...] = ()
        self._untied: tuple[str, str] | None = None
        self._used: Counter[StoredTensor] = Counter()

    def run(self) -> Merge:
        self._refuse_unsupported()
        if not self._add_task_head():
            self._prepare_ends()
        for full in self._adapter.replacements:
            if full not in self._duplicates and full not in self._head:
                self._replace(full)
        self._share_frozen_copy()
        for rows in self._adapter.token_rows:
            if rows not in self._duplicates:
                self._put_rows(rows)
        for update in self._adapter.updates:
            if update not in self._duplicates:
                self._add_update(update)
        self._resize_vocabulary()
        self._check_consumption()
        return Merge(recipes=self._recipes, config=self._config)

    def _refuse_unsupported(self) -> None:
        """Refuse by name what the reader understands and the merge does not do."""
        for why, following in promises.broken(self._base, self._adapter):
            self._refuse(why, following)

    def _add_task_head(self) -> bool:
        """Put the head of the adapter's task in the place of the language model's."""
        head = find_new_head(self._base, self._adapter, self._names, self._config)
        if head is None:
            return False
        embedding = embedding_name(self._base)
        for full in head.tensors:
            name = f"{full.module}.{full.parameter}"
            dtype = full.tensor.dtype if embedding is None else self._recipes[embedding].dtype
            kept = Recipe.keep(full.tensor, name)
            self._recipes[name] = replace(kept, dtype=dtype, replaced=True)
            self._use([View.whole(full.tensor)])
        for name in [n for n in self._recipes if n == head_name(self._recipes)]:
            del self._recipes[name]
        self._head, self._config = head.tensors, head.config
        self._names = TensorNames(self._recipes)
        return True

    def _prepare_ends(self) -> None:
        """Give the output head a tensor of its own, or take a superfluous one away."""
        ends = plan_ends(self._base, self._adapter, self._names)
        if replace(ends, both=()) != Ends() and not self._alone:
            self._refuse(
                "it changes the embedding that this model shares between input and output",
                following=_ONE_BY_ONE,
            )
        self._duplicates = ends.duplicates
        self._both = ends.both
        if ends.drop is not None:
            del self._recipes[ends.drop]
        if ends.untie is not None:
            embedding = embedding_name(self._base)
            assert embedding is not None
            # In a tied model both are the same, also where the files hold the matrix twice.
            tensor = self._base.tensors[embedding]
            self._recipes[ends.untie] = Recipe.keep(tensor, ends.untie)
            self._config = untie(self._config)
            self._untied = (embedding, ends.untie)
        self._names = TensorNames(self._recipes)

    def _share_frozen_copy(self) -> None:
        """Start both ends from the copy of the shared matrix that lies below a change of one.

        When the vocabulary was resized, that copy is the only place that has all rows.
        """
        if self._untied is None:
            return
        pair = [self._recipes[name] for name in self._untied]
        for here, there in (pair, pair[::-1]):
            frozen = any(
                full.tensor is here.source and full.reason in ("base_layer", "embedding")
                for full in self._adapter.replacements
            )
            if frozen and not there.replaced:
                self._recipes[there.name] = replace(there, source=here.source, shape=here.shape)

    def _find(self, module: str, parameter: str = "weight") -> Recipe:
        name = self._names.find(module, parameter)
        if name is None and is_head(module) and parameter == "weight":
            # transformers 5 calls every head lm_head, also where the files say embed_out.
            name = head_name(self._base.tensors)
        if name is None:
            near = self._names.near(module)
            self._refuse(
                f"{module}.{parameter} of the adapter matches no tensor of the base in "
                f"{self._base.folder}" + (f" (it has {near[0]}, ...)" if near else "")
            )
        self._check_float(self._recipes[name])
        return self._recipes[name]

    def _check_float(self, recipe: Recipe) -> None:
        if recipe.dtype not in _FLOATS:
            self._refuse(
                f"{recipe.name} of the base has the type {recipe.dtype}, which cannot be changed"
            )

    def _replace(self, full: FullTensor) -> None:
        """Put a full tensor of the adapter in the place of the base's."""
        recipe = self._find(full.module, full.parameter)
        shape = full.tensor.shape
        resized = full.reason in ("embedding", "base_layer", "modules_to_save") and (
            recipe.name in (embedding_name(self._base), head_name(self._base.tensors))
            or recipe.source.name == embedding_name(self._base)
        )
        fits = shape == recipe.shape or (
            resized and len(shape) == 2 and shape[1:] == recipe.shape[1:]
        )
        if not fits:
            self._refuse(
                f"{full.tensor.name} of the adapter is {describe(shape)}, and {recipe.name} of the "
                f"base is {describe(recipe.shape)}"
            )
        if recipe.touched:
            self._refuse(f"{recipe.name} would be replaced after it was changed already")
        self._recipes[recipe.name] = replace(recipe, source=full.tensor, replaced=True, shape=shape)
        self._use([View.whole(full.tensor)])

    def _put_rows(self, rows: TokenRows) -> None:
        recipe = self._find(rows.module)
        if len(recipe.shape) != 2 or rows.tensor.shape[1] != recipe.shape[1]:
            self._refuse(
                f"{rows.tensor.name} has rows of {rows.tensor.shape[1]}, and {recipe.name} of the "
                f"base is {describe(recipe.shape)}"
            )
        if max(rows.rows) >= recipe.shape[0]:
            self._refuse(
                f"trainable_token_indices names row {max(rows.rows)} of {recipe.name}, which has "
                f"{recipe.shape[0]}"
            )
        values = View.whole(rows.tensor)
        self._append(recipe, PutRows(rows=rows.rows, values=values))
        self._use([values])
        if rows in self._both:
            self._append(self._find("lm_head"), PutRows(rows=rows.rows, values=values))

    def _add_update(self, update: LoraUpdate) -> None:
        context = ExpertContext(
            names=self._names,
            recipes=self._recipes,
            config=self._base.config,
            peft_version=self._adapter.config.peft_version,
            packing=self._adapter.config.expert_packing,
        )
        placed = list(place(update, context))
        if placed and (update.magnitude is not None or update.bias is not None):
            self._refuse(f"{update.module}: DoRA and biases of fused experts are not known")
        for name, step in placed:
            self._append(self._recipes[name], step)
        # Both halves of a fused parameter have one of the two matrices in common.
        self._use({view for _, step in placed for view in step.views})
        if not placed:
            self._add_to_layer(update)

    def _add_to_layer(self, update: LoraUpdate) -> None:
        recipe = self._find(update.module)
        product = LowRank(
            a=View.whole(update.a),
            b=View.whole(update.b),
            scale=update.scale,
            transposed=self._is_transposed(update, recipe),
        )
        step: Step = product
        if update.magnitude is not None:
            outputs = recipe.shape[1] if product.transposed else recipe.shape[0]
            magnitude = View.whole(update.magnitude)
            if magnitude.shape[0] * magnitude.shape[1] != outputs:
                self._refuse(
                    f"{update.magnitude.name} has {update.magnitude.shape} values, and "
                    f"{recipe.name} of the base {outputs} outputs"
                )
            if recipe.steps:
                self._refuse(
                    f"{recipe.name} was changed already, and DoRA needs the lengths of what it was "
                    "trained on",
                    following=_ONE_BY_ONE,
                )
            step = Dora(product=product, magnitude=magnitude, by_columns=product.transposed)
        self._append(recipe, step)
        self._use(step.views)
        if update.bias is not None:
            bias = self._find(update.module, "bias")
            if bias.shape != update.bias.shape:
                self._refuse(
                    f"{update.bias.name} has {describe(update.bias.shape)} values, and {bias.name} "
                    f"of the base {describe(bias.shape)}"
                )
            vector = View.whole(update.bias)
            self._append(bias, AddVector(vector=vector, scale=update.scale))
            self._use([vector])

    def _is_transposed(self, update: LoraUpdate, recipe: Recipe) -> bool:
        """Check that the matrices fit the weight, and say which way it lies."""
        if update.form == "embedding":
            made_for = (update.a.shape[1], update.b.shape[0])
            transposed: bool | None = True if recipe.shape == made_for else None
        else:
            made_for = (update.b.shape[0], update.a.shape[1])
            if len(recipe.shape) > 2 or len(update.a.shape) > 2:
                # A convolution: A has the kernel, B is 1 x 1. Groups make A wider than the weight.
                whole = (update.b.shape[0], *update.a.shape[1:])
                narrow = all(size == 1 for size in update.b.shape[2:])
                transposed = False if narrow and recipe.shape == whole else None
            else:
                transposed = is_transposed(
                    update.module,
                    recipe.shape,
                    made_for,
                    self._base.config,
                    self._adapter.config.fan_in_fan_out,
                )
        if transposed is None:
            self._refuse(
                f"{update.module} of the adapter is made for a weight of {describe(made_for)}, and "
                f"{recipe.name} of the base is {describe(recipe.shape)}"
                + (", which fits in two ways (fan_in_fan_out)" if recipe.shape == made_for else "")
            )
        return transposed

    def _append(self, recipe: Recipe, step: Step) -> None:
        self._check_float(recipe)
        self._recipes[recipe.name] = replace(recipe, steps=(*recipe.steps, step))

    def _resize_vocabulary(self) -> None:
        """Write the number of rows that the embedding now has into the configuration."""
        embedding = embedding_name(self._base)
        if embedding is None:
            return
        rows, before = self._recipes[embedding].shape[0], self._base.tensors[embedding].shape[0]
        head = next(
            (n for n in self._recipes if n in ("lm_head.weight", head_name(self._base.tensors))),
            None,
        )
        if head is not None and self._recipes[head].shape[0] != rows and rows != before:
            self._refuse(
                f"the vocabulary would have {rows} entries at the input and "
                f"{self._recipes[head].shape[0]} at the output"
            )
        if rows == before:
            return
        text = self._config.get("text_config")
        if isinstance(text, dict):
            self._config["text_config"] = {**text, "vocab_size": rows}
        if not isinstance(text, dict) or "vocab_size" in self._config:
            self._config["vocab_size"] = rows

    def _use(self, views: Iterable[View]) -> None:
        for view in views:
            self._used[view.tensor] += view.shape[0] * view.shape[1]

    def _check_consumption(self) -> None:
        """Every element of every adapter tensor is used exactly once."""
        for part in self._duplicates:
            tensors = part.tensors if isinstance(part, LoraUpdate) else (part.tensor,)
            self._use(View.whole(tensor) for tensor in tensors)
        self._use(View.whole(tensor) for tensor in self._adapter.unused)
        for name, tensor in self._adapter.tensors.items():
            rows, columns = View.whole(tensor).shape
            if self._used[tensor] != rows * columns:
                self._refuse(f"the tensor {name!r} would not be used exactly once")

    def _refuse(self, why: str, following: str | None = None) -> NoReturn:
        raise _refusal(why, self._adapter, self._base, following)


def _refusal(
    why: str, adapter: Adapter, base: BaseModel, following: str | None = None
) -> SourceError:
    version = adapter.config.peft_version
    return SourceError(
        why + (f" (adapter saved by peft {version[:40]})" if version else ""),
        owner=f"{adapter.folder} on {base.folder}",
        safe="nothing was written",
        next=following
        or "add --base PATH_OR_ID with the model that the adapter was trained on, or merge "
        "it with the tool that trained it and run: uploader run MERGED_FOLDER",
    )
