"""What was measured of a release's models: how far each is from base and adapter.

Plugins that measure hand it on as the artifact of their document, with the data of
``fidelity.json`` in its metadata; a format may also measure itself, and say so in its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, Json
from uploader_core.contract.specs import DocumentSpec, MakeSpec, Spec

SCHEMA = "uploader.fidelity/1"

_RELATION, _MEASURES = "relation", "measures"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """What one model lost.

    Attributes:
        kind: Of the artifact that it is in.
        name: Of the model in it, such as ``Q4_K_M``; "" where there is one.
        kl: Mean Kullback-Leibler divergence from base and adapter, in nats; None: not known.
        perplexity_rise: Perplexity by that of base and adapter, less one; None: not known.
        why: Why something is not known, where the measurement says so.
    """

    kind: str
    name: str = ""
    kl: float | None = None
    perplexity_rise: float | None = None
    why: str = ""

    @property
    def model(self) -> str:
        """What a person calls it."""
        return f"{self.kind} {self.name}".strip()


def losses_of(artifact: Artifact, measurements: Sequence[Artifact]) -> list[Loss]:
    """Return what is known of the models in an artifact; none where nobody measured.

    Args:
        artifact: What is released.
        measurements: Of a step, ``context.measurements``.
    """
    own = artifact.metadata.get("fidelity")
    found = [m.metadata for m in measurements if m.path == artifact.path]
    if isinstance(own, Mapping):
        # It was compared with the trained adapter as a whole.
        found.append({"fidelity": {"models": [own]}, **own})
    return [loss for data in found for loss in _losses(artifact.kind, data)]


def _losses(kind: str, metadata: Mapping[str, Any]) -> Iterator[Loss]:
    why = metadata.get("not_measured")
    data = metadata.get("fidelity")
    if why is not None or not isinstance(data, Mapping):
        yield Loss(kind=kind, why=str(why or ""))
        return
    reference = data.get("reference")
    before = _number(reference, "perplexity")
    for model in data.get("models", ()):
        after = _number(model, "perplexity")
        yield Loss(
            kind=kind,
            name=str(model.get("name", "")),
            kl=_number(model, "kl_mean"),
            perplexity_rise=after / before - 1 if before and after else None,
        )


def _number(data: object, key: str) -> float | None:
    value = data.get(key) if isinstance(data, Mapping) else None
    known = isinstance(value, (int, float)) and math.isfinite(value)
    return float(value) if known and value is not None else None


def stand_in(spec: Spec, *, kind: str, path: Path, producer: str) -> Artifact:
    """Return what stands in a plan for the result of a step, with what its spec says of it.

    Args:
        spec: Of the step.
        kind: Of the result.
        path: Where it will be.
        producer: Id of the step.
    """
    facts: dict[str, Json] = {}
    if isinstance(spec, DocumentSpec) and spec.measures:
        facts = {_MEASURES: True}
    elif isinstance(spec, MakeSpec) and spec.card is not None:
        facts = {_RELATION: spec.card.relation}
    return Artifact(kind=kind, path=path, producer=producer, metadata=facts)


def unmeasured(inputs: Sequence[Artifact]) -> list[str]:
    """Return the kinds in a plan of which it will not be known what they lost.

    What its plugin says to be an adapter, or a model that is not quantised, is base and adapter
    itself: nothing is lost, and nobody measures it.

    Args:
        inputs: Of a plan's context.
    """
    measured = {artifact.path for artifact in inputs if artifact.metadata.get(_MEASURES)}
    return [
        artifact.kind
        for artifact in inputs
        if artifact.kind != "document"
        and artifact.path not in measured
        and may_lose(str(artifact.metadata.get(_RELATION, "")))
    ]


def may_lose(relation: str) -> bool:
    """Return whether what has this relation to the base model may differ from what was trained."""
    return relation in ("", "quantized")
