"""What is counted of logits: perplexity, divergence from a reference, agreement with it.

As ``tools/perplexity/perplexity.cpp`` of llama.cpp counts (b10605). Heavy: imports numpy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np  # noqa: TID253 - this module computes
import numpy.typing as npt  # noqa: TID253

from uploader_core.plugin import IntegrityError

_ROWS = 32  # whose probabilities are in memory at once, in float64

Logits = npt.NDArray[np.float32]


@dataclass
class Sums:
    """What was seen of one model so far: one number for each token that counts.

    Attributes:
        surprise: Negative log likelihood of the text's own token.
        divergence: Kullback-Leibler divergence from the reference, in nats.
        same: Whether the most likely token is the reference's.
        seconds: What computing each context took; empty where that says nothing of a server.
        tokens: Tokens of those contexts.
    """

    surprise: list[npt.NDArray[np.float64]] = field(default_factory=list)
    divergence: list[npt.NDArray[np.float64]] = field(default_factory=list)
    same: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def add(self, others: Sums) -> None:
        """Add what was seen of the contexts that follow."""
        for name in ("surprise", "divergence", "same", "seconds", "tokens"):
            getattr(self, name).extend(getattr(others, name))

    def to_json(self) -> dict[str, list[Any]]:
        """Return the numbers of the tokens, exactly."""
        return {name: _flat(getattr(self, name)) for name in ("surprise", "divergence", "same")}

    @classmethod
    def from_json(cls, data: Mapping[str, list[Any]]) -> Sums:
        """Return what :meth:`to_json` described."""
        return cls(
            surprise=[np.array(data["surprise"], np.float64)],
            divergence=[np.array(data["divergence"], np.float64)] if data["divergence"] else [],
            same=[np.array(data["same"], np.bool_)] if data["same"] else [],
        )

    def numbers(self) -> dict[str, Any]:
        """Return perplexity, divergence and agreement."""
        surprise = np.concatenate(self.surprise)
        count, mean = surprise.size, float(surprise.mean())
        # The error of a mean, carried through the exponential.
        error = math.sqrt(float(surprise.var()) / max(1, count - 1))
        found: dict[str, Any] = {
            "perplexity": math.exp(mean),
            "perplexity_error": math.exp(mean) * error,
        }
        if self.divergence:
            divergence = np.concatenate(self.divergence)
            found["kl_mean"] = float(divergence.mean())
            found["kl_p99"] = float(np.quantile(divergence, 0.99))
            found["top1"] = float(np.concatenate(self.same).mean())
        if self.seconds:
            warm = slice(1, None) if len(self.tokens) > 1 else slice(None)
            found["prompt_tokens_per_second"] = sum(self.tokens[warm]) / sum(self.seconds[warm])
        return found

    def count(self, found: Logits, ours: Logits | None, following: npt.NDArray[np.int64]) -> None:
        """Add the tokens of one context up.

        Args:
            found: Outputs of the model, shape (tokens, vocabulary).
            ours: Those of the reference; None for the reference itself.
            following: The text's own next tokens, shape (tokens,).

        Raises:
            IntegrityError: The vocabularies differ, or a logit is NaN or infinite.
        """
        if ours is not None and ours.shape != found.shape:
            raise IntegrityError("a model has another vocabulary than the reference")
        for start in range(0, following.size, _ROWS):
            rows = slice(start, start + _ROWS)
            likely = log_softmax(found[rows])
            self.surprise.append(-likely[np.arange(len(likely)), following[rows]])
            if ours is not None:
                theirs = log_softmax(ours[rows])
                self.divergence.append((np.exp(theirs) * (theirs - likely)).sum(axis=1))
                self.same.append(theirs.argmax(axis=1) == likely.argmax(axis=1))


Seen = tuple[Sums, Sums]
"""What was seen of one context: of the reference, and of the model."""


def _flat(arrays: list[Any]) -> list[Any]:
    return [value for array in arrays for value in array.tolist()]


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    """Return log probabilities in float64, row by row.

    Raises:
        IntegrityError: A logit is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise IntegrityError("the model computes NaN or infinity")
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    likely: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return likely
