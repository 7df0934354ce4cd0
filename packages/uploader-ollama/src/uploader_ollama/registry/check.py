"""Before anything is computed: is the name one that Ollama pulls, and may this login push there."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import Finding, PlanContext, secrets_in_sources
from uploader_ollama.model.pieces import said_of_files
from uploader_ollama.model.recipe import OLDEST, chosen
from uploader_ollama.registry.place import open_registry, read_place
from uploader_ollama.settings import ALLOW


def check(context: PlanContext) -> Iterable[Finding]:
    """Log in, and begin an upload that is given up again.

    Raises:
        UsageError: A name or a parameter that is not taken.
        AuthError: No login, a wrong one, or one that may not push there.
        UploaderError: The registry, or the network.
    """
    place, _ = read_place(context.target or "")
    chosen(context.settings.parameters)
    allowed = context.settings.allow_secret
    yield from secrets_in_sources(context.sources, ALLOW, allowed=allowed)
    with open_registry(place, context.settings, context.secrets, push=True) as registry:
        registry.check_push()
    yield Finding(
        level="note",
        what=f"for Ollama {OLDEST} and newer; who may read it is up to {place.host}",
    )
    yield from said_of_files(context)
