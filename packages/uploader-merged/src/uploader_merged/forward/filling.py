"""Put tensors of a checkpoint where transformers has them in a model, some at a time. Heavy.

Names and forms differ: transformers 5 stacks experts that a checkpoint holds one by one, and
renames parts of models. Its own loading is asked, with the tensors of one part only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch  # noqa: TID253 - this module loads weights

from uploader_core.plugin import PluginError
from uploader_merged.compute.cuts import put_back
from uploader_merged.load_proof.model_class import loader, quiet
from uploader_merged.merge_plan.recipes import Recipe

Read = Callable[[str], torch.Tensor]
"""Returns a tensor of the checkpoint by its name."""


class Filler:
    """Fills and empties parts of a model.

    Args:
        model: With parameters on the meta device.
        names: Of all tensors of the checkpoint.
        stacks: Parts of fused experts that the checkpoint has one by one, by the name of the whole.
    """

    def __init__(
        self, model: Any, names: Iterable[str], stacks: Mapping[str, Sequence[Recipe]] | None = None
    ) -> None:
        self._model = model
        self._parts = {
            part.name: (whole, part.cut)
            for whole, parts in (stacks or {}).items()
            for part in parts
            if part.cut is not None
        }
        wholes = {name: self._parts[name][0] if name in self._parts else name for name in names}
        self._mapping, targets = _targets(model, dict.fromkeys(wholes.values()))
        self._targets = {name: targets[whole] for name, whole in wholes.items()}

    def sources(self, prefix: str) -> tuple[str, ...]:
        """Return names of the checkpoint's tensors that make parameters with a prefix."""
        return tuple(n for n, target in self._targets.items() if target.startswith(prefix))

    def parts(self, prefix: str) -> tuple[str, ...]:
        """Return those of :meth:`sources` that are parts of fused experts."""
        return tuple(name for name in self.sources(prefix) if name in self._parts)

    def source(self, name: str) -> str | None:
        """Return the tensor of the checkpoint that a parameter is; None where several make it."""
        found = [source for source, target in self._targets.items() if target == name]
        return found[0] if len(found) == 1 else None

    def fill(self, prefix: str, read: Read) -> None:
        """Fill all parameters whose names begin so, in float32.

        Raises:
            PluginError: Some are not filled by the checkpoint's tensors.
        """
        tensors: dict[str, torch.Tensor] = {}
        for name in self.sources(prefix):
            if name in self._parts:
                whole, cut = self._parts[name]
                tensors[whole] = put_back(tensors.get(whole), cut, read(name))
            else:
                tensors[name] = read(name)
        with quiet():
            _load(self._model, tensors, self._mapping)
        empty = [n for n, p in self._named(prefix) if p.is_meta]
        if empty:
            raise PluginError(
                f"{loader()} does not fill {empty[0]} from {', '.join(tensors) or 'any tensor'}",
                owner=type(self._model).__name__,
                next="formats that need no data can be made; report the architecture",
            )

    def empty(self, prefix: str) -> None:
        """Give the memory of parameters back."""
        for name, parameter in list(self._named(prefix)):
            owner, _, last = name.rpartition(".")
            nothing = torch.empty(parameter.shape, dtype=parameter.dtype, device="meta")
            setattr(
                self._model.get_submodule(owner),
                last,
                torch.nn.Parameter(nothing, requires_grad=False),
            )

    def _named(self, prefix: str) -> Iterable[tuple[str, Any]]:
        every = self._model.named_parameters(remove_duplicate=False)
        return ((name, parameter) for name, parameter in every if name.startswith(prefix))


def _targets(model: Any, names: Iterable[str]) -> tuple[list[Any], dict[str, str]]:
    """Return transformers' mapping, and the parameter that each tensor makes, alone or not."""
    state = model.state_dict()
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import (
            WeightConverter,
            WeightRenaming,
            rename_source_key,
        )
    except ImportError as error:
        raise PluginError(
            f"computing with a model block by block needs transformers 5, and this is {loader()}",
            safe="formats that need no data can be made",
            next="pip install -U transformers",
        ) from error
    mapping = get_model_conversion_mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    targets = {}
    for name in names:
        found, _ = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        if found not in state and name in state:
            found = name
        targets[name] = found
    return mapping, targets


def _load(model: Any, tensors: dict[str, torch.Tensor], mapping: list[Any]) -> None:
    from transformers.core_model_loading import convert_and_load_state_dict_in_model
    from transformers.modeling_utils import LoadStateDictConfig

    config = LoadStateDictConfig(
        weight_mapping=mapping, device_map={"": "cpu"}, dtype=torch.float32
    )
    convert_and_load_state_dict_in_model(model=model, state_dict=tensors, load_config=config)
