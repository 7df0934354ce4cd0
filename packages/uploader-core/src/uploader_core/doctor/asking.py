"""Ask one plugin what it has to say of this machine, in a worker that knows how to."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from uploader_core.contract.specs import LEVELS, Diagnosis
from uploader_core.workers import child
from uploader_core.workers.messages import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnose(Request[tuple[Diagnosis, ...]]):
    """What is asked.

    Attributes:
        run: Name of the hook.
        plugin: Id of the plugin.
        online: Whether it may ask over the network.
    """

    answer_type: ClassVar[Any] = tuple[Diagnosis, ...]

    run: str = "uploader_diagnostics"
    plugin: str
    online: bool


def _diagnose(request: Diagnose, *_: object) -> tuple[Diagnosis, ...]:
    from uploader_core.plugins.registry import Registry

    plugin = Registry().load(request.plugin)
    found = getattr(plugin.module, request.run)(online=request.online) or ()
    # A level that this core does not know is shown all the same.
    return tuple(d if d.level in LEVELS else replace(d, level="warn") for d in found)


def main() -> int:
    """Serve one request as a worker, a diagnosis among them."""
    # Run as a module, this one is called otherwise than what the request is an instance of.
    from uploader_core.doctor import asking

    return child.main({asking.Diagnose: asking._diagnose})


if __name__ == "__main__":
    sys.exit(main())
