"""Progress of a transfer through Xet, which the client only draws as bars.

Its reporter is replaced while a transfer runs. With a version of the client that has another
reporter, the transfer works and progress is not reported.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_REPORTERS = "huggingface_hub.utils._xet_progress_reporting"
_SWITCHES = (
    ("huggingface_hub.utils", "are_progress_bars_disabled"),
    ("huggingface_hub._commit_api", "are_progress_bars_disabled"),
)
"""Where the client looks whether anybody wants to know; a worker has bars switched off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class XetReport:
    """How far a transfer is.

    Attributes:
        done: Bytes of files that are done.
        sent: Bytes that went over the network.
        files: Bytes that are done and bytes in all of single files, by their paths here; not
            every report names all of them.
    """

    done: int
    sent: int
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@contextlib.contextmanager
def told(tell: Callable[[XetReport], None]) -> Iterator[None]:
    """Be told how far transfers through Xet are while this is open.

    Args:
        tell: Called in a thread of the client's.
    """

    def hear(report: Any, items: Any) -> None:
        files = {
            str(item.item_name): (int(item.bytes_completed), int(item.total_bytes))
            for item in (items.values() if isinstance(items, dict) else items or ())
            if hasattr(item, "item_name") and hasattr(item, "total_bytes")
        }
        done = getattr(report, "total_bytes_completed", 0)
        sent = getattr(report, "total_transfer_bytes_completed", 0)
        tell(XetReport(done=int(done), sent=int(sent), files=files))

    class Base:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def close(self, *_: Any) -> None:
            pass

    # hf_xet looks at the names of the arguments.
    class Reporter(Base):
        def update_progress(self, group_report: Any, item_reports: Any = None) -> None:
            hear(group_report, item_reports)

    class OldReporter(Base):
        def update_progress(self, total_update: Any, item_updates: Any) -> None:
            hear(total_update, item_updates)

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
