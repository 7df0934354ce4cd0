"""The section of the card of a derived adapter: how to load it, and how near it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uploader_core.plugin import Artifact, StepContext
from uploader_lora import card


def section(context: StepContext) -> str:
    """Return Markdown."""
    lines = [card.section(context)]
    for artifact in context.inputs:
        if artifact.metadata.get("lossy"):
            lines += ["", *_nearness(artifact)]
    return "\n".join(lines)


def _nearness(artifact: Artifact) -> Iterable[str]:
    """Yield a table of errors by name of module, and what was measured."""
    found: Any = artifact.metadata["lossy"]
    yield (
        "It is **not** the trained adapter: what servers do not load was replaced by low-rank "
        f"products of rank {artifact.metadata.get('rank')}. The error is the norm of what is "
        "missing, as a part of that of the trained change."
    )
    yield ""
    yield "| modules | in the trained adapter | how many | mean error | highest error |"
    yield "| --- | --- | ---: | ---: | ---: |"
    kinds = dict.fromkeys((one["module"].rpartition(".")[2], one["what"]) for one in found)
    for name, what in kinds:
        errors = [
            one["error"]
            for one in found
            if (one["module"].rpartition(".")[2], one["what"]) == (name, what)
        ]
        mean = sum(errors) / len(errors)
        yield f"| `{name}` | {what} | {len(errors)} | {mean:.3g} | {max(errors):.3g} |"
    yield ""
    yield _measured(artifact.metadata.get("fidelity"))


def _measured(fidelity: Any) -> str:
    if not isinstance(fidelity, dict) or "kl_mean" not in fidelity:
        why = fidelity.get("not_measured", "") if isinstance(fidelity, dict) else ""
        return f"Its answers were not measured: {why}."
    return (
        f"Against base and trained adapter, on {fidelity['tokens']:,} tokens of the "
        f"{fidelity['text']}: KL divergence {fidelity['kl_mean']:.3g} nats in the mean, the same "
        f"next token for {fidelity['top1']:.1%}."
    )
