"""Base and adapter as one checkpoint, merged tensor by tensor when it is read.

The public surface for converters::

    from uploader_merged import open_checkpoint

    checkpoint = open_checkpoint(base_folder, adapter_folder)
    for name in checkpoint.names:
        print(name, checkpoint.dtype(name), checkpoint.shape(name))
    weight = checkpoint.read("model.layers.0.self_attn.q_proj.weight")

Opening reads headers and small JSON files only and imports no torch; reading does.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import Artifact, Json, PluginError
from uploader_lora import Adapter
from uploader_lora.task import Task, task_of
from uploader_merged.base.companions import CompanionFile, collect
from uploader_merged.base.custom_code import companions_with_code_of, with_code_of
from uploader_merged.base.model import BaseModel, read_base
from uploader_merged.base.stops import GENERATION, Stops, find_stops, generation_text, with_stops
from uploader_merged.base.tying import embedding_name, has_two_matrices, head_name
from uploader_merged.merge_plan.matching import plan_merge
from uploader_merged.merge_plan.recipes import Recipe
from uploader_merged.merge_plan.single_experts import with_single_experts
from uploader_merged.merge_plan.stacking import AdapterChoice, read_adapters
from uploader_merged.merge_plan.task_heads import for_task

if TYPE_CHECKING:
    import torch

    from uploader_merged.compute.arithmetic import Evaluation, Piece
    from uploader_merged.compute.cuts import CutEvaluation
    from uploader_merged.compute.tensors import ViewLoader


class Checkpoint:
    """A checkpoint whose tensors are merged when they are read.

    Safe to read from several threads: nothing but a small cache changes after opening, and every
    read opens the files that it needs.
    """

    def __init__(
        self, base: BaseModel, adapters: tuple[Adapter, ...] = (), model_id: str | None = None
    ) -> None:
        base = for_task(base, adapters)
        merge = plan_merge(base, adapters)
        self._model_id = model_id
        self._base = base
        self._adapters = adapters
        self._recipes = merge.recipes
        self._config = merge.config
        self._lock = threading.Lock()
        self._views: ViewLoader | None = None
        self._widened = False

    def widened(self) -> Checkpoint:
        """Return the same checkpoint with its sums left in float32, not rounded to 16 bits.

        That is what base and adapter compute with, side by side: what a format is measured by.
        """
        other = copy.copy(self)
        other._widened = True
        return other

    def on(self, base: BaseModel) -> Checkpoint:
        """Return the same adapters on another base, such as the same one under other names."""
        return Checkpoint(base, self._adapters, self._model_id)

    def with_single_experts(self, stays: Callable[[str], bool]) -> Checkpoint:
        """Return the same checkpoint with fused experts as a matrix for each, where that is known.

        Every number is the one that the fused tensor has. Names are those that most families
        have, ``experts.3.gate_proj.weight``, and matrices lie as (out, in).

        Args:
            stays: Given the name of a fused tensor, whether it is to stay; one that has to be cut
                with the other of its layer does not.
        """
        other = copy.copy(self)
        other._recipes = with_single_experts(self._recipes, stays)
        return other

    @property
    def stacks(self) -> Mapping[str, tuple[Recipe, ...]]:
        """What :meth:`with_single_experts` took apart: the parts by the name of the tensor."""
        found: dict[str, list[Recipe]] = {}
        for recipe in self._recipes.values():
            if recipe.cut is not None:
                found.setdefault(recipe.cut.stack.name, []).append(recipe)
        return {name: tuple(parts) for name, parts in found.items()}

    @property
    def base(self) -> BaseModel:
        """The base model."""
        return self._base

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """The adapters in the order of merging; none for a checkpoint that is the base itself."""
        return self._adapters

    @property
    def config(self) -> Mapping[str, Any]:
        """``config.json`` as it has to be for the merged weights and the tokenizer."""
        stops, config = self.stops, self._config
        if stops is not None and stops.file != GENERATION and stops.changed:
            config = with_stops(config, stops)
        return with_code_of(config, self._model_id)

    @property
    def config_changed(self) -> bool:
        """Whether :attr:`config` differs from the base's file."""
        base = self._base
        return bool(base.quantised or base.widened) or self.config != base.config

    @property
    def names(self) -> tuple[str, ...]:
        """Tensor names as on disk, in the order of the base's files."""
        return tuple(self._recipes)

    @property
    def touched(self) -> tuple[str, ...]:
        """Names of the tensors that the adapter changes."""
        return tuple(name for name, recipe in self._recipes.items() if recipe.touched)

    @property
    def own_head(self) -> str | None:
        """Name of the output head, where it has other values than the input embedding."""
        embedding, head = embedding_name(self._base), head_name(self._recipes)
        if embedding is None or head is None or head == embedding:
            return None
        changed = self._recipes[head].touched or self._recipes[embedding].touched
        return head if changed or has_two_matrices(self._base) else None

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors in their storage types."""
        return sum(recipe.nbytes for recipe in self._recipes.values())

    def recipe(self, name: str) -> Recipe:
        """Return where a tensor comes from; KeyError for an unknown name."""
        return self._recipes[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, slowest axis first."""
        return self._recipes[name].shape

    def dtype(self, name: str) -> str:
        """Return a tensor's storage type as safetensors spells it (``BF16``)."""
        stored = self._recipes[name].dtype
        return "F32" if self._widened and stored in ("BF16", "F16") else stored

    def read(self, name: str, dtype: str | None = None) -> torch.Tensor:
        """Return a merged tensor.

        The sum is made in float32 and cast once.

        Args:
            name: Tensor name.
            dtype: Type of the result as safetensors spells it; the storage type when None.

        Raises:
            KeyError: No tensor of that name.
            SourceError: A file changed since it was opened.
        """
        return self._evaluate(name, dtype).read()

    def read_rows(self, name: str, start: int, stop: int, dtype: str | None = None) -> torch.Tensor:
        """Return rows ``start`` to ``stop`` (along the first axis) of a merged tensor."""
        return self._evaluate(name, dtype).rows(start, stop)

    def blocks(
        self, name: str, elements: int = 1 << 18, dtype: str | None = None
    ) -> Iterator[torch.Tensor]:
        """Yield a merged tensor as blocks of rows, in order.

        Fused experts that the adapter changes come as one matrix below the other, so a block has
        two axes then. Memory stays at a few blocks whatever the size of the tensor.

        Args:
            name: Tensor name.
            elements: Largest number of elements in a block, but at least one row.
            dtype: As in :meth:`read`.
        """
        return self._evaluate(name, dtype).blocks(elements)

    def pieces(
        self, name: str, elements: int = 1 << 18, dtype: str | None = None
    ) -> Iterator[Piece]:
        """Yield what :meth:`blocks` yields as work, to be done in any thread and order.

        Calling a piece does it all; :func:`uploader_merged.compute.pipeline.merged_in_order` lets
        one thread read while another one merges.
        """
        return self._evaluate(name, dtype).pieces(elements)

    def _evaluate(self, name: str, dtype: str | None) -> Evaluation | CutEvaluation:
        from uploader_merged.compute.arithmetic import Evaluation
        from uploader_merged.compute.cuts import CutEvaluation
        from uploader_merged.compute.tensors import ViewLoader

        with self._lock:
            if self._views is None:
                self._views = ViewLoader()
        recipe, wanted = self._recipes[name], dtype or self.dtype(name)
        if recipe.cut is not None:
            return CutEvaluation(recipe, recipe.cut, wanted, self._views)
        return Evaluation(recipe, wanted, self._views)

    @functools.cached_property
    def stops(self) -> Stops | None:
        """Where generation stops; None where that is not known, or nothing is generated."""
        files = {file.name: file for file in self._collected}
        embedding = embedding_name(self._base)
        mixed = any(f.role == "tokenizer" and f.origin == "fine-tune" for f in files.values())
        own = GENERATION in files and files[GENERATION].origin == "fine-tune"
        return find_stops(
            {name: file.path for name, file in files.items() if file.is_named_so},
            self._config,
            None if embedding is None else self.shape(embedding)[0],
            self._base.folder if mixed and self._adapters and not own else None,
        )

    def companions(self) -> tuple[CompanionFile, ...]:
        """Return tokenizer, template, processor and licence files with their origin."""
        stops, files = self.stops, companions_with_code_of(self._collected, self._model_id)
        if stops is None or stops.file != GENERATION or not stops.changed:
            return files
        return tuple(
            replace(file, text=generation_text(file.path, stops))
            if file.name == GENERATION
            else file
            for file in files
        )

    @functools.cached_property
    def _collected(self) -> tuple[CompanionFile, ...]:
        files = collect(self._base.folder, [adapter.folder for adapter in self._adapters])
        if self._config.get("architectures") == self._base.config.get("architectures"):
            return files
        # A task with a head of its own does not generate.
        return tuple(f for f in files if f.name != GENERATION or f.origin != "base")

    def task(self) -> Task:
        """Return what the model is for."""
        files = {file.name: file.path for file in self.companions()}
        trained = self._adapters[-1].config.task_type if self._adapters else None
        return task_of(self.config, files, trained)

    def auxiliary(self) -> Mapping[str, Path]:
        """Return the paths of :meth:`companions` by name."""
        return {file.name: file.path for file in self.companions()}


def open_checkpoint(
    source: Artifact | Path | str,
    adapter: AdapterChoice | Sequence[AdapterChoice] | None = None,
    *,
    expert_packing: str = "auto",
) -> Checkpoint:
    """Open a model folder, with or without adapters, as one checkpoint.

    Args:
        source: Folder of the base model, or a ``checkpoint`` artifact, which knows all folders.
        adapter: Folder of a PEFT adapter, alone or as (folder, weight), or a list of these that is
            merged in order; not together with an artifact.
        expert_packing: ``peft`` or ``unsloth``, for adapters of fused experts whose file does not
            say; ``auto`` refuses those.

    Raises:
        SourceError: A folder cannot be used, or they do not fit together.
    """
    model_id: str | None = None
    if isinstance(source, Artifact):
        base, pairs = source.metadata.get("base"), source.metadata.get("adapters")
        if not isinstance(base, str) or not isinstance(pairs, list):
            raise PluginError(
                f"the {source.kind} artifact of {source.producer} does not say how to open it",
                owner=source.version or source.producer,
                next="pip install -U uploader-core uploader-merged",
            )
        expert_packing = str(source.metadata.get("expert_packing", "auto"))
        named = source.metadata.get("model_id")
        model_id = named if isinstance(named, str) else None
        source, adapter = base, _choices(pairs)
    elif adapter is None:
        adapter = []
    elif isinstance(adapter, (str, Path, tuple)):
        adapter = [adapter]
    return Checkpoint(read_base(Path(source)), read_adapters(adapter, expert_packing), model_id)


def _choices(pairs: list[Json]) -> list[AdapterChoice]:
    """Read the adapters of a ``checkpoint`` artifact: pairs of folder and weight."""
    return [(str(p[0]), float(str(p[1]))) for p in pairs if isinstance(p, list)]
