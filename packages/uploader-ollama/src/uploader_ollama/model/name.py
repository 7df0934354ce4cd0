"""Names of models, by Ollama's own rules (``types/model/name.go``), and one tag for each file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from uploader_core.plugin import UsageError

LATEST = "latest"
REGISTRY = "registry.ollama.ai"
LIBRARY = "library"

_PARTS = {
    "host": (re.compile(r"\w[\w.:-]*", re.ASCII), 350, "letters, digits, . _ - and :"),
    "namespace": (re.compile(r"\w[\w-]*", re.ASCII), 80, "letters, digits, _ and -"),
    "model": (re.compile(r"\w[\w.-]*", re.ASCII), 80, "letters, digits, . _ and -"),
    "tag": (re.compile(r"\w[\w.-]*", re.ASCII), 80, "letters, digits, . _ and -"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A model's name; the defaults are Ollama's.

    Attributes:
        model: ``my-model``.
        tag: "" where the user named none.
        namespace: ``me`` of ``me/my-model``.
        host: Registry that ``ollama push`` would bring it to.
    """

    model: str
    tag: str = ""
    namespace: str = LIBRARY
    host: str = REGISTRY

    @property
    def short(self) -> str:
        """The name without tag, as short as Ollama shows it."""
        parts = [self.model]
        if self.namespace != LIBRARY or self.host != REGISTRY:
            parts.insert(0, self.namespace)
        if self.host != REGISTRY:
            parts.insert(0, self.host)
        return "/".join(parts)

    @property
    def key(self) -> str:
        """The whole name as Ollama compares it: without regard to case (``getExistingName``)."""
        return str(self).casefold()

    def __str__(self) -> str:
        return f"{self.short}:{self.tag or LATEST}"

    def at(self, tag: str) -> Name:
        """Return the same model under another tag."""
        return replace(self, tag=tag)


def parse_name(text: str) -> Name:
    """Read ``[[host/]namespace/]model[:tag]``.

    Raises:
        UsageError: Ollama would not take it; names the rule.
    """
    rest, tag = text, ""
    if text.rfind(":") > text.rfind("/"):
        rest, _, tag = text.rpartition(":")
        if not tag:
            raise _wrong(text, "there is no tag behind the colon")
    parts = rest.split("/")
    if len(parts) > 3:
        raise _wrong(text, "it has more parts than host/namespace/model")
    given = dict(zip(("host", "namespace", "model")[3 - len(parts) :], parts, strict=True))
    if tag:
        given["tag"] = tag
    for part, value in given.items():
        pattern, longest, letters = _PARTS[part]
        if not pattern.fullmatch(value) or len(value) > longest:
            rule = f"1 to {longest} {letters}, with a letter, digit or _ first"
            raise _wrong(text, f"{part} {value!r} is not {rule}")
    return Name(**given)


def tag_of(kind: str) -> str:
    """Return the tag of a kind of file as Ollama's library has them: ``q4_K_M`` for ``Q4_K_M``."""
    tag = re.sub(r"^[A-Z]+", lambda letters: letters[0].lower(), kind)
    return re.sub(r"[^\w.-]+", "-", tag, flags=re.ASCII)


def tags_for(asked: str, kinds: Sequence[str], default: str) -> dict[str, tuple[str, ...]]:
    """Return the tags of each kind of file.

    The default kind has the tag that was asked for, or ``latest``. Where there are several kinds,
    each has the tag of its kind besides, behind the one that was asked for: ``v2-q8_0``.
    To say ``latest`` is to say none.

    Args:
        asked: Tag that the user named; "" for none.
        kinds: Of the files.
        default: One of them.
    """
    alone = len(kinds) == 1
    found = {}
    for kind in kinds:
        own = tag_of(kind) if asked in ("", LATEST) else f"{asked}-{tag_of(kind)}"
        first = (asked or LATEST,) if kind == default else ()
        found[kind] = first if alone else (own, *first)
    return found


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a name of an Ollama model: {why}",
        owner="--to",
        next="for example --to ollama:my-model or --to ollama:me/my-model:v2",
    )
