"""Keep a measurement: ``fidelity.json``, a picture beside it, and the artifact of the document."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    FIDELITY_SCHEMA,
    Artifact,
    CancelledError,
    Json,
    SpaceError,
    StepContext,
    TemporaryError,
    UploaderError,
    hash_file,
)
from uploader_merged.fidelity.picture import draw

NAME = "fidelity.json"
PICTURE = "fidelity.png"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What was measured on.

    Attributes:
        name: Of the file, without its folder.
        sha256: Of its bytes.
        tokens: That counted.
        contexts: Into which the text was cut.
        context_length: Tokens of each.
    """

    name: str
    sha256: str
    tokens: int
    contexts: int
    context_length: int

    @classmethod
    def of(cls, path: Path, *, builtin: bool, counted: Mapping[str, Any]) -> Text:
        """Describe a file.

        Args:
            path: The file.
            builtin: Whether it comes with this package.
            counted: ``tokens``, ``contexts`` and ``context_length``.
        """
        return cls(
            name="held-out text of uploader" if builtin else path.name,
            sha256=hash_file(path)[1],
            tokens=counted["tokens"],
            contexts=counted["contexts"],
            context_length=counted["context_length"],
        )

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__slots__}


def or_without(context: StepContext, measure: Callable[[StepContext], Artifact]) -> Artifact:
    """Measure, or say in the log and in the artifact why that cannot be done.

    What is released is whole without the numbers. A worker that has pieces says nothing: the one
    that puts them together meets the same.

    Raises:
        CancelledError: The run was stopped; it will be measured when it goes on.
        SpaceError: The disk is full, which says nothing of the model.
        TemporaryError: A lock or a disk may be there again.
    """
    try:
        return measure(context)
    except (CancelledError, SpaceError, TemporaryError):
        raise
    except UploaderError as error:
        if not context.pieces:
            context.log.warning("not measured: %s", error.what)
        return context.artifact({"not_measured": error.what})


def record_folder(
    context: StepContext,
    text: Text,
    found: Mapping[str, Mapping[str, Any]],
    name: str,
    parameters: int,
    by: Mapping[str, str],
) -> Artifact:
    """Write the measurement of a folder of safetensors, the artifact that a document is about.

    Args:
        context: Of the step.
        text: What was measured on.
        found: Numbers of ``model`` and ``reference``.
        name: Of the kind that the folder is of.
        parameters: Number of weights.
        by: Library that computed, with its version.
    """
    subject = context.inputs[0]
    files = [file for file in subject.files if file.name.endswith(".safetensors")]
    size = sum(file.size for file in files)
    model = {
        "kind": subject.kind,
        "name": name,
        "file": files[0].name,
        "bytes": size,
        "bits_per_weight": 8 * size / parameters,
        **found["model"],
    }
    reference = {"name": "base and adapter, F32", **found["reference"]}
    return record(context, text, reference, [model], by)


def record(
    context: StepContext,
    text: Text,
    reference: Mapping[str, Any],
    models: Sequence[Mapping[str, Any]],
    by: Mapping[str, str],
) -> Artifact:
    """Write a measurement, and return the artifact that other documents read.

    Args:
        context: Of the step.
        text: What was measured on.
        reference: Its name and its perplexity.
        models: Each with ``kind``, ``name``, ``file``, ``bytes``, ``bits_per_weight`` and what
            :meth:`uploader_merged.fidelity.sums.Sums.numbers` returns.
        by: Library that computed, with its version.
    """
    data = {
        "schema": FIDELITY_SCHEMA,
        "text": text.to_json(),
        "reference": reference,
        "models": list(models),
        **by,
    }
    data = _rounded(data)
    context.output.write(NAME, json.dumps(data, indent=2, ensure_ascii=False) + "\n", role="other")
    picture = draw(data["models"], context.work)
    if picture is not None:
        context.output.write(PICTURE, picture, role="picture")
    return context.artifact({"fidelity": data})


def _rounded(value: Any) -> Any:
    """Keep as many digits as mean something."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
