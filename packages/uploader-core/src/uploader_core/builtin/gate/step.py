"""Compare what was measured with what is allowed; what is not known has not passed."""

from __future__ import annotations

import json
from collections.abc import Iterator

from uploader_core.artifact import Artifact, Json
from uploader_core.builtin.gate.limits import ANY, Limits, limits_of
from uploader_core.contract.context import PlanContext
from uploader_core.contract.specs import Finding
from uploader_core.contract.step_context import StepContext
from uploader_core.errors import FidelityError, UsageError
from uploader_core.fidelity import Loss, losses_of, may_lose, unmeasured

SCHEMA = "uploader.fidelity-gate/1"


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse limits that cannot be read, and formats of which it would not be known.

    Raises:
        UsageError: A limit is wrong.
        FidelityError: A format that has a limit would not be measured.
    """
    limits = limits_of(context.settings)
    if context.target:
        return  # the release folder has all that any upload brings
    kinds = [artifact.kind for artifact in context.inputs if artifact.kind != "document"]
    for limit in limits:
        if wrong := limit.unknown(kinds):
            raise UsageError(
                f"{limit.option} {wrong[0]}=...: this release has no {wrong[0]}",
                owner=f"option {limit.option}",
                safe="nothing was started",
                next=f"it has {', '.join(kinds)}",
            )
    names = [k for k in unmeasured(context.inputs) if any(limit.apply_to(k) for limit in limits)]
    if names:
        options = " ".join(f"{limit.option} {names[0]}={ANY}" for limit in limits if limit.values)
        raise FidelityError(
            f"nothing would measure what {' and '.join(names)} lost, and what is not known has not "
            "passed",
            owner="options " + " and ".join(limit.option for limit in limits if limit.values),
            safe="nothing was started",
            next=f"add --measure; where no plugin measures {names[0]}: {options} publishes it "
            "without",
        )
    yield from ()


def write(context: StepContext) -> Artifact:
    """Write what was measured and allowed, where everything here has passed.

    Raises:
        FidelityError: Something lost more, or it is not known.
    """
    limits = limits_of(context.settings)
    models: list[Json] = []
    failed: list[str] = []
    for artifact in context.inputs:
        if artifact.kind == "document":
            continue
        losses = losses_of(artifact, context.measurements)
        if not losses:
            card = context.cards.get(artifact.kind)
            if not may_lose(card.relation if card else ""):
                models.append({"kind": artifact.kind, "measured": False, "quantized": False})
                continue
            losses = [Loss(kind=artifact.kind)]
        for loss in losses:
            models.append(_described(loss, limits))
            failed += _failures(loss, limits)
    if failed:
        where = f"to {context.destination}" if context.destination else "as it is"
        raise FidelityError(
            f"{context.release.name} is not published {where}: {'; '.join(failed)}",
            owner="options " + " and ".join(limit.option for limit in limits if limit.values),
            safe="nothing of it was sent; all files that were made are kept",
            next="choose another quantisation, or allow more: "
            + " ".join(f"{limit.option} ..." for limit in limits if limit.values),
        )
    data = {"schema": SCHEMA, "models": models}
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    context.output.write("fidelity_gate.json", text, role="other")
    return context.artifact()


def _failures(loss: Loss, limits: tuple[Limits, Limits]) -> Iterator[str]:
    """Say what a model lost too much of, or of what it is not known."""
    for limit, what, value in zip(limits, _WHAT, _values(loss), strict=True):
        allowed = limit.of(loss)
        if allowed is None:
            continue
        if value is None:
            because = f" ({loss.why})" if loss.why else ""
            yield f"the {what} of {loss.model} was not measured{because}"
        elif value > allowed:
            yield f"{loss.model} has a {what} of {_text(what, value)}, allowed are " + _text(
                what, allowed
            )


_WHAT = ("KL divergence", "rise of the perplexity")


def _values(loss: Loss) -> tuple[float | None, float | None]:
    return loss.kl, loss.perplexity_rise


def _text(what: str, value: float) -> str:
    return f"{value:.3g}" if what == _WHAT[0] else f"{value:.2%}"


def _described(loss: Loss, limits: tuple[Limits, Limits]) -> Json:
    keys = ("kl_mean", "perplexity_rise")
    found: dict[str, Json] = {"kind": loss.kind, "name": loss.name}
    for key, value, limit in zip(keys, _values(loss), limits, strict=True):
        found[key] = None if value is None else float(f"{value:.6g}")
        found[f"max_{key}"] = limit.of(loss)
    return found
