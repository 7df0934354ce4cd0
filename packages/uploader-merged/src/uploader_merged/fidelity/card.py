"""A measurement in a card: a table, and how it was measured. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uploader_core.plugin import StepContext

HEADS = " perplexity | KL divergence | same next token | tokens/s |"
RULES = " ---: | ---: | ---: | ---: |"


def measured(context: StepContext) -> Mapping[str, Any]:
    """Return the content of ``fidelity.json``, empty when nothing was measured."""
    for measurement in context.measurements:
        found = measurement.metadata.get("fidelity")
        if isinstance(found, dict):
            return found
    return {}


def section(context: StepContext) -> str:
    """Return how near a model of one file is, or "" when that was not measured."""
    found = measured(context)
    if not found:
        return ""
    (model,) = found["models"]
    rows = [
        f"| |{HEADS}",
        f"| --- |{RULES}",
        f"| {model['name']} | {cells(model)} |",
        f"| base and adapter | {found['reference']['perplexity']:.4g} | | | |",
    ]
    return "\n".join([*rows, "", method(found)])


def cells(model: Mapping[str, Any]) -> str:
    """Return a model's cells: perplexity, divergence, agreement, speed."""
    speed = model.get("generation_tokens_per_second")
    return (
        f"{model['perplexity']:.4g} ± {model['perplexity_error']:.2g} | {model['kl_mean']:.3g} "
        f"| {model['top1']:.1%} | {'' if speed is None else f'{speed:.3g}'}"
    )


def method(fidelity: Mapping[str, Any]) -> str:
    """Say how it was measured."""
    text, reference = fidelity["text"], fidelity["reference"]
    name = "`" + " ".join(text["name"].replace("`", "").split()) + "`"
    by = "llama.cpp" if "llama_cpp" in fidelity else "transformers"
    timed = any("generation_tokens_per_second" in model for model in fidelity["models"])
    speed = "; speed is that of the machine that made the release" if timed else ""
    return (
        f"Measured with {by} against {reference['name']} (perplexity "
        f"{reference['perplexity']:.4g}) on {name}: {text['tokens']:,} tokens in "
        f"{text['contexts']} contexts of {text['context_length']}. KL divergence is in nats, the "
        f"mean over tokens{speed}. All numbers are in `fidelity.json`."
    )
