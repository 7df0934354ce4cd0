"""Render templates of others: ``python -m uploader_merged.rendering.child``.

A line of JSON on standard input names a template, its variables and the seconds that it may take;
the answer is a line on standard output. Where the system lets a process do that, it has no network;
it may write no file, and has no more memory than one prompt needs.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from typing import Any

from uploader_lora.confined import leave_the_network

MEBIBYTES = 256
"""More memory than the imports took; the sandbox alone lets a template take all there is."""

LONGEST = 16 << 20
"""Characters of a prompt."""


def main() -> int:
    """Answer until standard input ends."""
    leave_the_network()
    from transformers.utils.chat_template_utils import _compile_jinja_template

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogatepass", newline="\n")
    os.dup2(2, 1)
    _limit_memory()
    for line in sys.stdin:
        asked = json.loads(line)
        _limit_time(asked["seconds"])
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


def _limit_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # macOS takes no such limit
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - as light as can be
            pages = int(file.read().split()[0])
        most = pages * resource.getpagesize() + (MEBIBYTES << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _limit_time(seconds: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    until = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
