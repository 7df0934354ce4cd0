"""Render templates of others: ``python -m uploader_merged.rendering.child``.

The first line on standard output says that it is ready. Then a line of JSON on standard input names
a template, its variables and the seconds that it may take; the answer is a line on standard output.
Where the system lets a process do that, it has no network; it may write no file, and has no more
memory than one prompt needs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from uploader_lora.confined import leave_the_network, take_limit

MEBIBYTES = 256
"""More memory than the imports took; the sandbox alone lets a template take all there is."""

LONGEST = 16 << 20
"""Characters of a prompt."""

READY = "ready\n"
"""The first line that is written."""


def main() -> int:
    """Answer until standard input ends."""
    leave_the_network()
    from transformers.utils.chat_template_utils import _compile_jinja_template

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogatepass", newline="\n")
    os.dup2(2, 1)
    _limit_memory()
    answers.write(READY)
    answers.flush()
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
    take_limit("CORE", 0)
    take_limit("FSIZE", 0)
    if sys.platform == "linux":  # macOS takes no such limit
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - as light as can be
            pages = int(file.read().split()[0])
        take_limit("AS", pages * os.sysconf("SC_PAGE_SIZE") + (MEBIBYTES << 20))


def _limit_time(seconds: float) -> None:
    """End this process when it has used so much more of a processor."""
    if sys.platform != "win32":
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    sys.exit(main())
