"""Render templates of others: ``python -m uploader_merged.rendering.child``.

The first line on standard output says that it is ready. Then a line of JSON on standard input names
a template, its variables and the seconds that it may take on a usual processor; the answer is a
line on standard output.
Where the system lets a process do that, it has no network; it may write no file, and has no more
memory than one prompt needs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from uploader_lora.confined import leave_the_network, limit_memory, limit_time, take_limit

MEBIBYTES = 256
"""More memory than the imports took; the sandbox alone lets a template take all there is."""

LONGEST = 16 << 20
"""Characters of a prompt."""

READY = "ready\n"
"""The first line that is written."""

_OF_START = 0.75
"""Share of the processor time of the start; that is eleven times what TRL's longest takes."""


def allowed(seconds: float, start: float) -> float:
    """Return the processor time that a prompt may take; more where the processor is slow.

    Args:
        seconds: On a usual one.
        start: That this process took until it was ready.
    """
    return max(seconds, _OF_START * start)


def main() -> int:
    """Answer until standard input ends."""
    leave_the_network()
    from transformers.utils.chat_template_utils import _compile_jinja_template

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogatepass", newline="\n")
    os.dup2(2, 1)
    take_limit("CORE", 0)
    take_limit("FSIZE", 0)
    limit_memory(MEBIBYTES)
    start = time.process_time()
    answers.write(READY)
    answers.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        limit_time(allowed(asked["seconds"], start))
        answer: dict[str, Any]
        try:
            text = _compile_jinja_template(asked["template"]).render(**asked["variables"])
            answer = {"limit": True} if len(text) > LONGEST else {"text": text}
        except MemoryError:
            answer = {"limit": True}
        except Exception as error:  # templates raise whatever Python raises
            answer = {"error": str(error)[:2000] or type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
