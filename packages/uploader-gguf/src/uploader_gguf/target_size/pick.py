"""Pick the mixture of a file: measure, predict, choose, and say it as text. For workers only."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from uploader_core.plugin import RefusedError
from uploader_gguf.format.gguf_file import padding
from uploader_gguf.format.mixture import Overrides, select_types
from uploader_gguf.format.quants import QUANTS, Quant, TensorType
from uploader_gguf.format.shapes import TensorShape
from uploader_gguf.format.tensor_roles import allows_quantization
from uploader_gguf.importance.imatrix import Importance
from uploader_gguf.llama_cpp.converter import Conversion
from uploader_gguf.llama_cpp.encoders import choose as choose_encoders
from uploader_gguf.target_size import candidates, errors, recipe
from uploader_gguf.target_size.choose import Choice, Option, choose
from uploader_gguf.target_size.sensitivity import sensitivity
from uploader_gguf.target_size.wish import TargetSize
from uploader_gguf.writing.layout import lay_out
from uploader_merged.compute.pipeline import thread_pool

METHOD = "energy lost in sampled rows, weighted by role; convex hull, greedy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Picked:
    """A mixture for a size.

    Attributes:
        quant: The stock mixture that gives the file its type number (``general.file_type``).
        patterns: ``REGEX=TYPE`` for every tensor that can be chosen.
        parameters: Weights of the model.
        budget: Bytes that the file may have.
        nbytes: Bytes that it has.
        error: Predicted; see :mod:`uploader_gguf.target_size.sensitivity`.
        largest: Whether no larger file is predicted to be nearer the model.
        summary: How the weights are spread over types.
        stock: Name and predicted error of the largest stock mixture that fits; None if none does.
    """

    quant: Quant
    patterns: tuple[str, ...]
    parameters: int
    budget: int
    nbytes: int
    error: float
    largest: bool
    summary: str
    stock: tuple[str, float] | None

    def overrides(self) -> Overrides:
        """Return what lays the file out."""
        split = (text.rpartition("=") for text in self.patterns)
        return Overrides(patterns=tuple((regex, TensorType[kind]) for regex, _, kind in split))

    def record(self, wish: TargetSize) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {
            "target": wish.label,
            "budget": self.budget,
            "bytes": self.nbytes,
            "bits_per_weight": round(8 * self.nbytes / self.parameters, 4),
            "predicted_error": float(f"{self.error:.6g}"),
            "method": METHOD,
            "quants": self.quant.name,
            "tensor_types": ",".join(self.patterns),
        }


class Problem:
    """What there is to choose from, before anything is measured.

    Args:
        conversion: What the converter planned; its values stay as they are.
        importance: An importance matrix.
        overrides: The user's wishes for single tensors, which stand.
        limit: Bytes of tensors after which a file is cut.
        wanted: Which kernels, see :func:`uploader_gguf.llama_cpp.encoders.choose`.

    Attributes:
        parameters: Weights of the model.
        least: Bytes of the smallest file.
    """

    def __init__(
        self,
        conversion: Conversion,
        importance: Importance | None,
        overrides: Overrides,
        limit: int,
        wanted: str = "auto",
    ) -> None:
        self._conversion, self._importance, self._limit = conversion, importance, limit
        self._overrides, self._wanted = overrides, wanted
        self._shapes = {
            t.name: TensorShape(name=t.name, shape=t.shape, stored=t.stored["F16"])
            for t in conversion.tensors
        }
        self._planned = {
            t.name: t
            for t in conversion.tensors
            if t.values is not None and allows_quantization(self._shapes[t.name])
        }
        self._kinds = {
            name: candidates.kinds_of(
                self._shapes[name],
                overrides,
                tied="output.weight" not in self._shapes,
                matrix=importance is not None and importance.of(name, t.shape) is not None,
            )
            for name, t in self._planned.items()
        }
        self.parameters = sum(prod(t.shape) for t in conversion.tensors)
        some = {name: kinds[0] for name, kinds in self._kinds.items()}
        self._rest = self._file_bytes(some) - self._data(some)
        smallest = {
            name: min(kinds, key=lambda kind: self._padded(name, kind))
            for name, kinds in self._kinds.items()
        }
        self.least, self._least_data = self._file_bytes(smallest), self._data(smallest)

    def pick(self, wish: TargetSize, progress: Callable[[int, int], None]) -> Picked:
        """Choose the type of every tensor.

        Args:
            wish: The size.
            progress: Told (tensors measured, tensors in all).

        Raises:
            RefusedError: The smallest file is larger than the size.
        """
        self.check(wish)
        budget = wish.budget(self.parameters)
        options = self._measured(progress)
        room = budget - self._rest
        while True:
            choice = choose(options, max(room, self._least_data))
            nbytes = self._file_bytes(choice.kinds)
            if nbytes <= budget:
                break
            room -= nbytes - budget  # headers of more files, where it is cut
        error = {name: {o.kind: o.error for o in given} for name, given in options.items()}
        sizes, fitting = {}, None
        for name in recipe.STOCK:
            kinds = self._stock(QUANTS[name])
            sizes[name] = self._file_bytes(kinds)
            if sizes[name] <= budget and all(kinds[tensor] in error[tensor] for tensor in kinds):
                predicted = sum(error[tensor][kind] for tensor, kind in kinds.items())
                fitting = (name, predicted)
                if predicted < choice.error:
                    choice = Choice(
                        kinds=kinds, nbytes=self._data(kinds), error=predicted, largest=False
                    )
        return Picked(
            quant=recipe.base_of(sizes, self._file_bytes(choice.kinds)),
            patterns=recipe.patterns(choice.kinds),
            parameters=self.parameters,
            budget=budget,
            nbytes=self._file_bytes(choice.kinds),
            error=choice.error,
            largest=choice.largest,
            summary=recipe.summary(
                choice.kinds, {name: prod(t.shape) for name, t in self._planned.items()}
            ),
            stock=fitting,
        )

    def check(self, wish: TargetSize) -> None:
        """Refuse a size below the smallest file.

        Raises:
            RefusedError: It says what is possible.
        """
        if self.least > wish.budget(self.parameters):
            raise RefusedError(
                f"a file of {wish.label} is not possible: the smallest that this model can have is"
                f" {self.least:,} bytes, {8 * self.least / self.parameters:.2f} bits per weight",
                owner="option --gguf-target-size",
                safe="nothing was written",
                next=f"--gguf-target-size {self.least}, or more",
            )

    def _measured(self, progress: Callable[[int, int], None]) -> dict[str, list[Option]]:
        kinds = {kind for kinds in self._kinds.values() for kind in kinds}
        encoders = choose_encoders(self._wanted, kinds)
        tied = "output.weight" not in self._shapes
        options = {}
        with thread_pool(os.cpu_count() or 1) as pool:
            for number, (name, planned) in enumerate(self._planned.items()):
                progress(number, len(self._planned))
                lost = errors.measure(
                    planned,
                    self._kinds[name],
                    self._conversion,
                    self._importance,
                    encoders,
                    pool,
                )
                weight = sensitivity(name, self._conversion.model, tied=tied)
                options[name] = [
                    Option(kind=kind, nbytes=self._padded(name, kind), error=weight * lost[kind])
                    for kind in self._kinds[name]
                ]
        return options

    def _stock(self, quant: Quant) -> dict[str, TensorType]:
        given = self._importance is not None
        chosen = select_types(
            quant,
            self._shapes,
            self._conversion.model,
            imatrix=given,
            overrides=self._overrides,
        )
        return {name: chosen[name] for name in self._planned}

    def _padded(self, name: str, kind: TensorType) -> int:
        nbytes = kind.nbytes(self._shapes[name].shape)
        return nbytes + padding(nbytes, self._conversion.alignment)

    def _data(self, kinds: Mapping[str, TensorType]) -> int:
        return sum(self._padded(name, kind) for name, kind in kinds.items())

    def _file_bytes(self, kinds: Mapping[str, TensorType]) -> int:
        """Return the bytes of the whole file, of all parts together where it is cut."""
        exact = tuple((f"^{re.escape(name)}$", kind) for name, kind in kinds.items())
        file = lay_out(
            QUANTS["Q4_K_M"],
            "model.gguf",
            self._conversion,
            self._importance,
            Overrides(patterns=exact),
            self._limit,
        )
        return sum(shard.nbytes for shard in file.shards)
