"""What a plugin returned, looked at before core believes it."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

from uploader_core.artifact import Artifact, Receipt
from uploader_core.contract.costs import Estimate
from uploader_core.contract.output import OutputFolder
from uploader_core.errors import PluginBrokenError, PluginError
from uploader_core.human_text import names_text
from uploader_core.untrusted_json import as_json


def check_artifact(artifact: Artifact, kind: str, output: OutputFolder) -> None:
    """Refuse an artifact that is not made of what the step wrote.

    Args:
        artifact: As it was returned.
        kind: What the step shall make; ``document`` for any.
        output: Through which it wrote.

    Raises:
        PluginError: Another kind, or other files than those that were written.
    """
    if kind not in (artifact.kind, "document"):
        raise PluginError(
            f"the step returned {artifact.kind}, not {kind}", next="return context.artifact(...)"
        )
    written = {file.name: (file.size, file.sha256) for file in output.files}
    listed = {file.name: (file.size, file.sha256) for file in artifact.files}
    names = sorted(written.keys() | listed.keys())
    wrong = [name for name in names if written.get(name) != listed.get(name)]
    if wrong:
        raise PluginError(
            f"{names_text(wrong)}: the artifact lists other files, sizes or digests than were "
            "written through context.output",
            safe="nothing of it counts as released",
            next="return context.artifact(...), which lists what was written",
        )


def check_receipt(receipt: Receipt, files: int) -> None:
    """Refuse a receipt that cannot be true.

    Args:
        receipt: As it was returned.
        files: How many should arrive.

    Raises:
        PluginError: It counts other files, or less than nothing.
    """
    if receipt.files != files or receipt.bytes_sent < 0 or not receipt.url:
        raise PluginError(
            f"the receipt counts {receipt.files:,} of {files:,} files and {receipt.bytes_sent:,} "
            f"bytes sent, at {receipt.url or 'no address'}",
            safe="what is at the destination was not compared",
            next="list the destination again and count what matched: context.receipt(files=...)",
        )


def check_estimate(estimate: object, dotted: str) -> Estimate:
    """Return an estimate that can be added to others.

    Args:
        estimate: As it was returned.
        dotted: Who did.

    Raises:
        PluginBrokenError: It is something else, or has a number below zero or none at all.
    """
    if not isinstance(estimate, Estimate):
        raise PluginBrokenError(f"{dotted} did not return an Estimate")
    for field in fields(estimate):
        value = getattr(estimate, field.name)
        pairs = [number for _, number in value] if field.name in ("files", "elsewhere") else [value]
        for number in pairs:
            if isinstance(number, (int, float)) and not (math.isfinite(number) and number >= 0):
                raise PluginBrokenError(
                    f"{dotted} said {field.name}={number}: no cost is that",
                    next="leave the plugin out, or tell its author",
                )
    return estimate


def plain(result: object, run: str) -> dict[str, Any]:
    """Return what a function returned as JSON.

    Args:
        result: As it was returned.
        run: Dotted name of the function.

    Raises:
        PluginError: Something in it has no form in JSON.
    """
    try:
        data = as_json(result)
        json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{run} returned what JSON cannot hold: {error}",
            next="give numbers that are finite, texts, lists and dictionaries with names",
        ) from error
    return data
