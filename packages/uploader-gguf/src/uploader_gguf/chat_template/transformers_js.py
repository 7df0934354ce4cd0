"""A third engine, where it is installed: ``@huggingface/jinja`` of transformers.js, run by Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uploader_gguf.chat_template.causes import given_to
from uploader_gguf.chat_template.compare import Outcome
from uploader_gguf.chat_template.notes import Note, note
from uploader_gguf.chat_template.reference import Reference, at_no_time

TIMEOUT = 60
"""Seconds for all conversations; they take milliseconds."""

_SCRIPT = Path(__file__).with_name("transformers_js.cjs")


def installed() -> str | None:
    """Return Node's path where ``NODE_PATH`` leads to the engine; None without it."""
    for folder in filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)):
        if (Path(folder) / "@huggingface" / "jinja").is_dir():
            return shutil.which("node")
    return None


def compare(reference: Reference, outcomes: Sequence[Outcome]) -> Note | None:
    """Render what transformers rendered, as transformers.js would.

    Args:
        reference: The templates that are in the files.
        outcomes: With transformers' prompts.

    Returns:
        The conversations that differ; None when none does, or the engine does not run.
    """
    node = installed()
    asked = [one for one in outcomes if one.ours is not None and not one.case.variables]
    if node is None or not asked:
        return None
    answers = _rendered(node, reference, asked)
    if answers is None:
        return None
    differ = [
        one
        for one, answer in zip(asked, answers, strict=True)
        if "prompt" not in answer or at_no_time(answer["prompt"]) != at_no_time(one.ours or "")
    ]
    if not differ:
        return None
    return note("transformers.js", (one.case.probe.name for one in differ))


def _rendered(
    node: str, reference: Reference, asked: Sequence[Outcome]
) -> list[Mapping[str, Any]] | None:
    request = []
    for one in asked:
        form = given_to(one.case.probe, reference, {})
        # As ``apply_chat_template`` of transformers.js 4.3 builds it.
        given = {
            "messages": list(form.messages),
            "tools": list(form.tools) or None,
            "documents": None,
            "add_generation_prompt": True,
            **reference.special,
        }
        request.append({"template": reference.template(form.tools), "given": given})
    try:
        done = subprocess.run(
            [node, str(_SCRIPT)],
            input=json.dumps(request),
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    answers: list[Mapping[str, Any]] = json.loads(done.stdout)
    return answers
