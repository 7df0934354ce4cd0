"""Measure a model against base and adapter with transformers, block by block. Heavy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253 - this module computes
import numpy.typing as npt  # noqa: TID253
import torch  # noqa: TID253

from uploader_merged.fidelity.sums import Logits, Seen, Sums
from uploader_merged.forward.logits import Instead, NamedWeights, predict

Progress = Callable[[int, int], None]
"""Told (steps done, steps in all)."""

Predict = Callable[[Callable[[int, torch.Tensor], None], Progress], None]
"""Computes all windows: gives the number of each and the logits of its second half."""


def compare(
    reference: NamedWeights,
    model: NamedWeights,
    windows: Sequence[torch.Tensor],
    scratch: Path,
    progress: Progress,
    instead: Instead | None = None,
    needed: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Compute both with transformers, and count what differs.

    Args:
        reference: Base and adapter.
        model: What was made of them, with the same vocabulary.
        windows: Token ids, each of shape (1, tokens); of each the second half counts.
        scratch: Folder for the reference's logits, as large as vocabulary times tokens.
        progress: Told (blocks done, blocks in all), of both.
        instead: What inputs of the model's products become first.
        needed: Matrices of the model of which ``instead`` has to be asked.

    Returns:
        As :func:`numbers_of`.

    Raises:
        RefusedError: transformers cannot compute with this model.
        IntegrityError: It computes NaN, or has another vocabulary.
    """
    seen = compare_with(
        reference,
        lambda at_end, tell: predict(model, windows, at_end, tell, instead, needed),
        windows,
        scratch,
        progress,
    )
    return numbers_of(seen, windows)


def numbers_of(seen: Sequence[Seen], windows: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Sum up what was seen of all windows.

    Args:
        seen: Of each window.
        windows: Token ids.

    Returns:
        ``tokens``, ``contexts``, ``context_length``; numbers of ``reference`` and ``model``.
    """
    ours, theirs = Sums(), Sums()
    for reference, model in seen:
        ours.add(reference)
        theirs.add(model)
    return {
        "tokens": sum(part.size for part in ours.surprise),
        "contexts": len(windows),
        "context_length": windows[0].shape[1],
        "reference": ours.numbers(),
        "model": theirs.numbers(),
    }


def compare_with(
    reference: NamedWeights,
    model: Predict,
    windows: Sequence[torch.Tensor],
    scratch: Path,
    progress: Progress,
) -> list[Seen]:
    """Compute the reference with transformers and a model by whatever runs it.

    Args:
        reference: Base and adapter.
        model: Computes what was made of them, with the same vocabulary.
        windows: As in :func:`compare`.
        scratch: As there.
        progress: As there.

    Returns:
        What was seen of each window.

    Raises:
        RefusedError: transformers cannot compute with this model.
        IntegrityError: It computes NaN, or has another vocabulary.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    seen = [(Sums(), Sums()) for _ in windows]

    def keep(number: int, logits: torch.Tensor) -> None:
        found, following = _counted(windows[number], logits)
        seen[number][0].count(found, None, following)
        np.save(scratch / f"{number}.npy", found)

    def count(number: int, logits: torch.Tensor) -> None:
        found, following = _counted(windows[number], logits)
        path = scratch / f"{number}.npy"
        seen[number][1].count(found, np.load(path, mmap_mode="r"), following)
        path.unlink()

    predict(reference, windows, keep, lambda done, total: progress(done, 2 * total))
    model(count, lambda done, total: progress(done + total, 2 * total))
    return seen


def _counted(window: torch.Tensor, logits: torch.Tensor) -> tuple[Logits, npt.NDArray[np.int64]]:
    """Return predictions, without the last one, and what follows in the text."""
    following = window[0, window.shape[1] // 2 + 1 :].numpy()
    return logits[:-1].float().numpy(), following
