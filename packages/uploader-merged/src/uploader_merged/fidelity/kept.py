"""What was seen of one context, kept as a part of the step for whoever adds it up. Heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import StepContext, parse_json
from uploader_merged.fidelity.sums import Seen, Sums


def keep(context: StepContext, name: str, of: str, seen: Seen) -> None:
    """Write down what was seen of a context.

    Args:
        context: Of the step.
        name: Of the part.
        of: Digest of what was measured, and on which text.
        seen: Of the reference and of the model.
    """
    ours, theirs = seen
    data = {"of": of, "reference": ours.to_json(), "model": theirs.to_json()}
    text = json.dumps(data).encode("ascii")
    with context.output.create_part(name) as writer:
        writer.write(hashlib.sha256(text).hexdigest().encode("ascii") + b"\n" + text)


def read_kept(context: StepContext, name: str, of: str) -> Seen | None:
    """Return what was seen of a context, exactly.

    Args:
        context: Of the step.
        name: Of the part.
        of: As :func:`keep` was told.

    Returns:
        None where it is not there, not whole, or of something else.
    """
    path: Path | None = context.output.part(name)
    if path is None:
        return None
    digest, _, text = path.read_bytes().partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode("ascii") != digest:
        return None
    data: Mapping[str, Any] = parse_json(text.decode("ascii"))
    if data["of"] != of:
        return None
    return Sums.from_json(data["reference"]), Sums.from_json(data["model"])
