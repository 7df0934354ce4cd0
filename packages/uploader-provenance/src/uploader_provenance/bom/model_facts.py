"""What both forms of a bill of materials say of a model, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import Json
from uploader_provenance.bom.facts import Facts, Made
from uploader_provenance.licences.terms import terms_of

_REINFORCED = {"ppo", "grpo", "rloo", "online-dpo"}
_IN_AND_OUT = {
    # By task of the Hub.
    "text-generation": ("text", "text"),
    "image-text-to-text": ("text, image", "text"),
    "feature-extraction": ("text", "embedding"),
    "sentence-similarity": ("text", "embedding"),
    "text-classification": ("text", "classification"),
    "token-classification": ("text", "classification"),
    "text-ranking": ("text", "score"),
    "translation": ("text", "text"),
    "summarization": ("text", "text"),
    "automatic-speech-recognition": ("audio", "text"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number that was measured.

    Attributes:
        type: What it is.
        value: As text.
        of: What it was measured of.
        bounds: Of the confidence interval of 95 %, where one is known.
    """

    type: str
    value: str
    of: str
    bounds: tuple[str, str] | None = None


def metrics(facts: Facts, made: Made) -> Iterator[Metric]:
    """Yield fidelity as it was measured, and the results of the training."""
    text, reference = (made.fidelity.get(name) for name in ("text", "reference"))
    on = f" on {text['name']}, sha256 {text['sha256']}" if isinstance(text, dict) else ""
    for model in made.fidelity.get("models", ()):
        of = f"{model['file']}{on}"
        yield _perplexity(model, of)
        yield Metric(type="KL divergence, mean, nats", value=_number(model["kl_mean"]), of=of)
        yield Metric(type="top-1 agreement", value=_number(model["top1"]), of=of)
    if isinstance(reference, dict):
        yield _perplexity(reference, f"{reference.get('name', 'reference')}{on}")
    for name, value in sorted(facts.lineage.results.items()):
        yield Metric(type=name, value=_number(value), of="training")


def _perplexity(model: Mapping[str, Any], of: str) -> Metric:
    value, error = model["perplexity"], model.get("perplexity_error")
    bounds = None
    if isinstance(error, (int, float)):
        bounds = (_number(value - 1.96 * error), _number(value + 1.96 * error))
    return Metric(type="perplexity", value=_number(value), of=of, bounds=bounds)


def _number(value: float) -> str:
    # Six digits: more of a float are a matter of the machine's library.
    return f"{value:.6g}"


def approach(facts: Facts) -> str:
    """Return how it was trained in CycloneDX's words, "" where that is not known."""
    tags = set(facts.lineage.tags)
    if "sft" in tags:
        return "supervised"
    return "reinforcement-learning" if tags & _REINFORCED else ""


def inputs_and_outputs(made: Made) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the forms of what the model takes and gives, nothing where that is not known."""
    taken, given = _IN_AND_OUT.get(made.task, ("", ""))
    return tuple(filter(None, taken.split(", "))), tuple(filter(None, given.split(", ")))


def properties(facts: Facts, made: Made) -> dict[str, str]:
    """Return what else records say of an artifact, by name."""
    found = {
        "kind": made.artifact.kind,
        "content-digest": f"sha256:{made.digest}",
        "base-model-relation": made.card.relation,
        "library": made.card.library_name,
        "parameters": words(made.artifact.metadata.get("parameters")),
    }
    for part, values in (
        ("method", facts.lineage.method),
        ("training", facts.lineage.training),
        ("hardware", facts.lineage.hardware),
    ):
        found |= {f"{part}:{name}": words(value) for name, value in values.items()}
    return {f"uploader:{name}": found[name] for name in sorted(found) if found[name]}


def limitations(facts: Facts) -> Iterator[str]:
    """Yield sentences on what the model should not be used for, or is not."""
    yield from facts.limits
    terms = terms_of(facts.licence.base) if facts.licence.base else None
    if terms is not None and terms.no_commerce:
        yield f"Commercial use is forbidden: {terms.title}, {terms.no_commerce}."


def words(value: Json) -> str:
    """Return a recorded value as text, "" for what has no short one."""
    if isinstance(value, list):
        # Sets in Python have an order of the process (target_modules).
        return ", ".join(sorted(map(words, value)))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    return ""
