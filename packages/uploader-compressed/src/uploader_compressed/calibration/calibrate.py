"""Go through a model layer by layer, round each layer, and keep its codes in a scratch folder.

Heavy: imports torch. A layer is calibrated on what the rounded layers before it make of the text.
In memory are the weights of one layer in float32, the text's activations, and of one input at a
time its products, (in, in) numbers a few times over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - this module computes

from uploader_compressed.calibration.codes import Calibrated, stored_names
from uploader_compressed.calibration.gptq import describe_inputs, gptq
from uploader_compressed.calibration.inputs import SeenInputs
from uploader_compressed.encode import pack
from uploader_compressed.schemes import Scheme
from uploader_core.plugin import PluginError
from uploader_lora import read_header
from uploader_merged import Checkpoint
from uploader_merged.compute.tensors import save_tensors
from uploader_merged.forward.empty_model import EmptyModel, build_empty
from uploader_merged.forward.filling import Filler
from uploader_merged.forward.in_step import Call, run_in_step
from uploader_merged.forward.matrices import Products, placed_in
from uploader_merged.forward.outside import fill_when_used


def calibrate(
    checkpoint: Checkpoint,
    scheme: Scheme,
    names: frozenset[str],
    windows: Sequence[torch.Tensor],
    scratch: Path,
    progress: Callable[[int, int], None],
) -> Calibrated:
    """Find codes for the matrices of all layers.

    Args:
        checkpoint: The model.
        scheme: Of whole numbers.
        names: Matrices that are quantised.
        windows: Token ids, each of shape (1, tokens).
        scratch: Folder for the codes.
        progress: Told (layers done, layers in all).

    Returns:
        Codes of all matrices of ``names`` that the text came to.

    Raises:
        RefusedError: transformers cannot compute with this model.
        PluginError: It computes in a way that is not known here, or computes NaN.
    """
    empty = build_empty(checkpoint.config)
    filler = Filler(empty.model, checkpoint.names, checkpoint.stacks)
    fill_when_used(empty, filler, checkpoint, windows)
    work = _Layers(checkpoint, empty, filler, scheme, names, scratch, progress)
    run_in_step(empty, windows, work.at_block)
    return work.found


class _Layers:
    """What is done at each layer."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        empty: EmptyModel,
        filler: Filler,
        scheme: Scheme,
        names: frozenset[str],
        scratch: Path,
        progress: Callable[[int, int], None],
    ) -> None:
        self.found = Calibrated(scheme=scheme)
        self._checkpoint = checkpoint
        self._empty = empty
        self._filler = filler
        self._names = names
        self._scratch = scratch
        self._progress = progress
        scratch.mkdir(parents=True, exist_ok=True)

    def at_block(self, number: int, calls: Sequence[Call]) -> Sequence[Any]:
        """Round a layer, and return what the rounded layer makes of the text."""
        self._progress(number, len(self._empty.blocks))
        prefix, block = self._empty.prefixes[number], self._empty.blocks[number]
        placed = placed_in(self._empty, self._filler, number, self._checkpoint.shape, self._names)
        seen = SeenInputs(self._names)
        self._filler.fill(prefix, self._checkpoint.read)
        with Products(self._empty.model, placed, seen.see, self._names) as products:
            for call in calls:
                call.through(block)
        products.check()
        self._filler.empty(prefix)
        self._keep(number, dict(self._rounded(seen)))
        self._filler.fill(prefix, self._read)
        outputs = [call.through(block) for call in calls]
        self._filler.empty(prefix)
        self._progress(number + 1, len(self._empty.blocks))
        return outputs

    def _rounded(self, seen: SeenInputs) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield codes and scales of the matrices of a layer by their names in the release."""
        scheme = self.found.scheme
        left = seen.products()
        while left:
            names, products = left[-1]
            if not products.isfinite().all():
                raise PluginError(
                    f"the model computes NaN or infinity before {names[0]}",
                    next="take an earlier checkpoint of the training, this one diverged",
                )
            del products
            inputs = describe_inputs(left.pop()[1])  # nobody else has them, so it can free them
            for name in names:
                codes, scales = gptq(scheme, self._checkpoint.read(name), inputs)
                yield from zip(
                    stored_names(scheme, name), (pack(scheme, codes), scales), strict=True
                )
                self.found.names.add(name)

    def _keep(self, number: int, tensors: dict[str, torch.Tensor]) -> None:
        if tensors:
            path = self._scratch / f"layer-{number:05}.safetensors"
            save_tensors(tensors, path)
            self.found.tensors.update(read_header(path).tensors)

    def _read(self, name: str) -> torch.Tensor:
        if name in self.found.names:
            return self.found.read(name, self._checkpoint.shape(name)[0])
        return self._checkpoint.read(name)
