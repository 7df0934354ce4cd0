"""Merge a part of a stack of matrices, as rows of its own. Heavy: imports torch.

The bits are those of the merged stack: rows are merged as they are stored, and cut and turned
after that.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch  # noqa: TID253 - this module computes

from uploader_merged.compute.arithmetic import Evaluation, Piece
from uploader_merged.compute.low_rank import BLOCK
from uploader_merged.compute.tensors import DTYPES, ViewLoader, row_blocks
from uploader_merged.merge_plan.recipes import Cut, Recipe


class CutEvaluation:
    """One part of a stack being merged, as :class:`Evaluation` is for a whole tensor.

    A part that is transposed is read at once, and kept until another one is asked for: its rows
    are columns of the file.

    Args:
        recipe: Of the part.
        cut: Where it is.
        dtype: Type of the result as safetensors spells it.
        views: Shared by the evaluations of a checkpoint.
    """

    def __init__(self, recipe: Recipe, cut: Cut, dtype: str, views: ViewLoader) -> None:
        self._recipe = recipe
        self._cut = cut
        self._dtype = dtype
        self._views = views
        self._stack = Evaluation(cut.stack, dtype, views)

    def read(self) -> torch.Tensor:
        """Return the whole part."""
        return self.rows(0, self._recipe.shape[0])

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Return merged rows."""
        return self._piece(start, stop)()

    def blocks(self, elements: int) -> Iterator[torch.Tensor]:
        """Yield blocks of rows of at most so many elements, but at least one row."""
        for piece in self.pieces(elements):
            yield piece()

    def pieces(self, elements: int) -> Iterator[Piece]:
        """Yield the same blocks as work to be done, in any thread."""
        for start, stop in row_blocks(self._recipe.shape, elements):
            yield self._piece(start, stop)

    def _piece(self, start: int, stop: int) -> Piece:
        if self._cut.transposed:
            return Piece(self._turned, lambda whole: whole[start:stop])
        first = self._cut.first + self._cut.start
        return self._stack.piece(first + start, first + stop)

    def _turned(self) -> torch.Tensor:
        return self._views.turned.get((self._recipe.name, self._dtype), self._turn)

    def _turn(self) -> torch.Tensor:
        cut, outputs = self._cut, self._recipe.shape[0]
        columns = slice(cut.start, cut.start + outputs)
        result = torch.empty(self._recipe.shape, dtype=DTYPES[self._dtype])
        for start, stop in row_blocks((cut.height, cut.stack.rows[1]), BLOCK):
            rows = self._stack.piece(cut.first + start, cut.first + stop)()
            result[:, start:stop] = rows[:, columns].T
        return result


def put_back(stack: torch.Tensor | None, cut: Cut, part: torch.Tensor) -> torch.Tensor:
    """Put a part where it was cut out, and return the stack.

    Args:
        stack: The tensor of three axes, None for the first of its parts.
        cut: Where the part is.
        part: Its values.
    """
    if stack is None:
        rows, columns = cut.stack.rows
        stack = torch.empty(rows // cut.height, cut.height, columns, dtype=part.dtype)
    matrix, span = stack[cut.first // cut.height], slice(cut.start, cut.start + len(part))
    if cut.transposed:
        matrix[:, span] = part.T
    else:
        matrix[span] = part
    return stack
