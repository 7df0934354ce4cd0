"""Plugin ``max``: how much a release may lose at most (``--max-kl``, ``--max-perplexity-rise``).

Before each upload, and for the release folder, what was measured is compared with what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from uploader_core.contract.costs import Resources
from uploader_core.contract.hookspecs import hookimpl
from uploader_core.contract.settings import setting
from uploader_core.contract.specs import DocumentSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSettings:
    """What may be lost."""

    kl: tuple[str, ...] = setting(
        (),
        help="publish nothing whose mean KL divergence from base and adapter is more than this, in "
        "nats; KIND=VALUE or KIND/NAME=VALUE for one format or model",
    )
    perplexity_rise: tuple[str, ...] = setting(
        (),
        help="publish nothing whose perplexity is more than this above that of base and adapter "
        "(2% or 0.02); KIND=VALUE or KIND/NAME=VALUE for one format or model",
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="gate",
        summary="what was measured, and what was allowed",
        output="fidelity_gate.json",
        scope="place",
        order=10,  # before what signs
        when="uploader_core.builtin.gate.limits:is_asked_for",
        check="uploader_core.builtin.gate.step:check",
        run="uploader_core.builtin.gate.step:write",
        settings=GateSettings,
        isolation="inline",
        resources=Resources(lane="light"),
    )
