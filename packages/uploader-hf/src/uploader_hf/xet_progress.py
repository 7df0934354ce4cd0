"""Progress of a transfer through Xet, which the client draws as bars and tells nobody.

Its reporter is replaced while a transfer runs. A version of the client that has another one goes on
without telling.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

_REPORTERS = "huggingface_hub.utils._xet_progress_reporting"
_SWITCHES = (
    ("huggingface_hub.utils", "are_progress_bars_disabled"),
    ("huggingface_hub._commit_api", "are_progress_bars_disabled"),
)
"""Where the client looks whether anybody wants to know; a worker has bars switched off."""


@contextlib.contextmanager
def told(tell: Callable[[int, int], None]) -> Iterator[None]:
    """Be told how far transfers through Xet are while this is open.

    Args:
        tell: Called, in a thread of the client's, with the bytes of files that are done and the
            bytes that went over the network.
    """

    def hear(report: Any) -> None:
        done = getattr(report, "total_bytes_completed", 0)
        tell(int(done), int(getattr(report, "total_transfer_bytes_completed", 0)))

    class Base:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def close(self, *_: Any) -> None:
            pass

    # hf_xet looks at the names of the arguments.
    class Reporter(Base):
        def update_progress(self, group_report: Any, item_reports: Any = None) -> None:
            hear(group_report)

    class OldReporter(Base):
        def update_progress(self, total_update: Any, item_updates: Any) -> None:
            hear(total_update)

    with contextlib.ExitStack() as stack:
        _replace(stack, _REPORTERS, "XetUploadProgressReporter", Reporter)  # 1.x, 2.x
        _replace(stack, _REPORTERS, "XetProgressReporter", OldReporter)  # 0.36
        for module, name in _SWITCHES:
            _replace(stack, module, name, lambda *_: False)
        yield


def _replace(stack: contextlib.ExitStack, module: str, name: str, value: Any) -> None:
    try:
        owner = importlib.import_module(module)
        old = getattr(owner, name)
    except (ImportError, AttributeError):
        return
    setattr(owner, name, value)
    stack.callback(setattr, owner, name, old)
