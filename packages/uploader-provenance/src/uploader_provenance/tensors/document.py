"""The document ``tensor_digests.json`` of an artifact."""

from __future__ import annotations

import json

from uploader_core.plugin import Artifact, StepContext
from uploader_provenance.tensors.digests import NAME, SCHEMA, digest_weights, weights_to_json


def write(context: StepContext) -> Artifact:
    """Write the digests of the artifact's tensors.

    Raises:
        SourceError: A file of the artifact cannot be read.
        CancelledError: The run was stopped.
    """
    subject = context.inputs[0]
    total = sum(file.size for file in subject.files if file.role == "weights")
    weights = digest_weights(
        subject.path,
        [file.name for file in subject.files],
        lambda done: context.progress("reading tensors", done, total),
    )
    content = {"schema": SCHEMA, "kind": subject.kind, "weights": weights_to_json(weights)}
    text = json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n"
    context.output.write(NAME, text, role="document")
    return context.artifact()
