"""The section of the model card that says what was quantised and how to serve it."""

from __future__ import annotations

import shlex

from uploader_compressed.schemes import SCHEMES, Scheme, scheme_of
from uploader_core.plugin import Artifact, StepContext, UseContext
from uploader_lora.snippets import loading
from uploader_lora.task import Task
from uploader_lora.where_it_runs import on_engine, runs_alone, shown


def section(context: StepContext) -> str:
    """Return Markdown."""
    name = context.model_id or context.release.name
    lines: list[str] = []
    for artifact in context.inputs:
        scheme = scheme_in(artifact)
        if scheme is None:
            continue
        task = Task.of(artifact.metadata)
        lines += [
            f"{scheme.title}: {_words(scheme)}. Embeddings, norms and the output head are in "
            f"16 bits{_besides(artifact)}.{_calibration(artifact)} The layout is that of "
            "[compressed-tensors](https://github.com/vllm-project/compressed-tensors), which has "
            "to be installed.",
        ]
        reader = on_engine(artifact.metadata, "transformers")
        if reader is None or reader.runs:
            lines += ["", *loading(task, name)]
        if runs_alone(artifact.metadata, "vLLM"):
            lines += ["", "With [vLLM](https://docs.vllm.ai):", "", f"    vllm serve {name}"]
        lines += shown(artifact.metadata)
    return "\n".join(lines)


def _besides(artifact: Artifact) -> str:
    """Name what else stays in 16 bits, which is hundreds of layers where there is a tower."""
    kept = artifact.metadata.get("kept_in_16_bit")
    others = [str(m) for m in kept if m != "lm_head"] if isinstance(kept, list) else []
    if len(others) < 2:
        return f", and so is `{others[0]}`" if others else ""
    return f", and so are {len(others)} other layers (`{others[0]}`, ...)"


def _words(scheme: Scheme) -> str:
    """Say what a scheme does to a layer."""
    numbers = "floats" if scheme.floating else "whole numbers"
    shared = {
        "channel": "a scale for each row",
        "block": "a scale for each block of 128 x 128",
        "tensor_group": f"scales for {scheme.group} columns and for the whole matrix",
    }.get(scheme.strategy, f"a scale for {scheme.group} columns")
    served = "stay in 16 bits"
    if scheme.activations is not None:
        served = f"are quantised to {scheme.activations['num_bits']} bits while it is served"
    return (
        f"weights of linear layers are {scheme.bits}-bit {numbers} with {shared}; activations "
        f"{served}"
    )


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to run the model, from the Hub where it is there; nothing where nobody knows."""
    place = context.published.get("hf") or str(context.artifact.path)
    if not runs_alone(context.artifact.metadata, "vLLM"):
        return []
    return [("vLLM", f"vllm serve {shlex.quote(place)}")]


def scheme_in(artifact: Artifact) -> Scheme | None:
    """Return the scheme that an artifact is of, None where it does not say."""
    name, group = artifact.metadata.get("scheme"), artifact.metadata.get("group_size")
    if not isinstance(name, str) or name not in SCHEMES:
        return None
    return scheme_of(name, group) if isinstance(group, int) else SCHEMES[name]


def _calibration(artifact: Artifact) -> str:
    """Say what codes were fitted to; "" where they were not."""
    found = artifact.metadata.get("calibration")
    if not isinstance(found, dict):
        return ""
    name = "`" + " ".join(str(found["text"]).replace("`", "").split()) + "`"
    return (
        f" Codes were fitted by GPTQ to what the model computes on {name} ({found['tokens']:,} "
        "tokens)."
    )
