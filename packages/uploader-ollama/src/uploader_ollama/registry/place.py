"""``host/namespace/model[:tag]``: a name that the registry takes and that Ollama can pull."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import UsageError
from uploader_oci.registry.client import Registry
from uploader_oci.registry.line import Options
from uploader_oci.registry.reference import Reference, parse_reference
from uploader_ollama.model.name import parse_name

SCHEME = "ollama-registry:"


def read_place(target: str) -> tuple[Reference, str]:
    """Return the place, and the tag that the user named, "" for none.

    Raises:
        UsageError: The registry or Ollama would not take it; names the rule.
    """
    try:
        place = parse_reference(target, owner=f"--to {SCHEME}")
    except UsageError as error:
        raise error.replace(next=str(error.next).replace("oci:", SCHEME)) from error
    if place.digest or place.repository.count("/") != 1:
        raise UsageError(
            f"{target!r} is not of the form HOST/NAMESPACE/MODEL[:TAG], the only one that Ollama "
            "pulls",
            owner=f"--to {SCHEME}",
            safe="nothing was sent",
            next=f"--to {SCHEME}{place.host}/{_two_parts(place.repository)}",
        )
    name = parse_name(target)
    return place, name.tag


def _two_parts(repository: str) -> str:
    parts = repository.split("/")
    return f"library/{parts[0]}" if len(parts) == 1 else f"{parts[0]}/{'-'.join(parts[1:])}"


def open_registry(
    place: Reference,
    settings: Any,
    secrets: Mapping[str, str],
    *,
    push: bool = False,
    state: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Registry:
    """Return the repository, with the login that there is."""
    options = Options(
        plain_http=settings.plain_http, timeout=settings.registry_timeout, chunk=settings.chunk
    )
    return Registry(place, secrets=secrets, push=push, options=options, state=state, tell=tell)
