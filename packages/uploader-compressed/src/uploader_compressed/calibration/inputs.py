"""Collect what the matrices of a layer are multiplied with. Heavy."""

from __future__ import annotations

import torch  # noqa: TID253 - this module computes

_TINY = 1e-12


class SeenInputs:
    """Sums of outer products of inputs, one for all matrices that get the same inputs.

    Every token counts alike, whatever its size: the first one of a text is a thousand times as
    large as others in some layers, and would be all that counts.

    Args:
        names: Matrices of interest.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._group: dict[str, int] = {}
        self._sums: list[torch.Tensor] = []
        self._last = torch.empty(0)
        self._begun: int | None = None
        self._added: set[int] = set()

    def see(self, names: tuple[str, ...], rows: torch.Tensor) -> None:
        """Take the input of a product.

        Args:
            names: Matrices of the checkpoint that it is with.
            rows: Shape (tokens, in).
        """
        if rows.data_ptr() != self._last.data_ptr() or rows.shape != self._last.shape:
            # Kept, so that no other input comes to lie at the same place.
            self._last, self._begun, self._added = rows, None, set()
        for name in names:
            if name not in self._names:
                continue
            if name not in self._group:
                if self._begun is None:
                    self._begun = len(self._sums)
                    self._sums.append(torch.zeros(rows.shape[1], rows.shape[1]))
                self._group[name] = self._begun
            group = self._group[name]
            if group not in self._added:
                self._added.add(group)
                even = rows / rows.norm(dim=1, keepdim=True).clamp(min=_TINY)
                self._sums[group].addmm_(even.T, even)

    def products(self) -> list[tuple[list[str], torch.Tensor]]:
        """Return matrices that share their inputs, and the sum over tokens of outer products.

        Sums are given away, so that each can be forgotten when it was used.
        """
        sums, self._sums = self._sums, []
        shared: list[list[str]] = [[] for _ in sums]
        for name, group in self._group.items():
            shared[group].append(name)
        return list(zip(shared, sums, strict=True))
