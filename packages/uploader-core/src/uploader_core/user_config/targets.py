"""Named destinations: ``[targets.lab]`` of ``uploader.toml`` is ``--to @lab``.

::

    [targets.lab]
    to = "oci:registry.lab.example/models"
    settings = { timeout = 30 }                        # of the destination's plugin
    secrets = { OCI_PASSWORD = "LAB_OCI_PASSWORD" }    # the variable that holds it for this target

``--to @lab:tiny`` is the same with ``/tiny`` behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from uploader_core.errors import UsageError
from uploader_core.human_text import did_you_mean

TABLE = "targets"
"""Of ``uploader.toml``; no plugin can have that id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A destination, with what holds for it alone.

    Attributes:
        to: ``scheme:rest``.
        settings: Of the destination's plugin, by field; they count as if they stood in its table.
        secrets: By name of a variable that the plugin asks for: the variable that holds its value.
    """

    to: str
    settings: Mapping[str, object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def names_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return variables that a plugin asks for: ``NAME=OTHER`` where another one holds it."""
        return tuple(f"{n}={self.secrets[n]}" if n in self.secrets else n for n in names)


def find_target(destination: str, tables: Mapping[str, Mapping[str, object]]) -> Target:
    """Return what a destination means that the user typed.

    Args:
        destination: ``scheme:rest``, ``@name`` or ``@name:rest``.
        tables: Of ``uploader.toml``.

    Raises:
        UsageError: There is no such target, or what the file says of it is no target.
    """
    if not destination.startswith("@"):
        return Target(to=destination)
    name, _, rest = destination[1:].partition(":")
    known = tables.get(TABLE, {})
    if name not in known:
        raise UsageError(
            f"there is no target {name!r} in uploader.toml",
            owner=f"option --to {destination}",
            next=did_you_mean(name, known, most=2) or f'[{TABLE}.{name}] with to = "scheme:rest"',
        )
    said = known[name]
    to, settings, secrets = _read(said)
    if to is None:
        raise UsageError(
            f"[{TABLE}.{name}] of uploader.toml is no target",
            owner="uploader.toml",
            next='give it to = "scheme:rest" and, where needed, settings = {...} and '
            'secrets = { NAME = "VARIABLE" }, and nothing else',
        )
    if rest:
        to += rest if to.endswith(("/", ":")) else f"/{rest}"
    return Target(to=to, settings=settings, secrets=secrets)


def _read(said: object) -> tuple[str | None, dict[str, object], dict[str, str]]:
    """Return the parts of a table; no destination where one of them is of another form."""
    if not isinstance(said, dict) or said.keys() - {"to", "settings", "secrets"}:
        return None, {}, {}
    to, settings, secrets = said.get("to"), said.get("settings", {}), said.get("secrets", {})
    if not isinstance(to, str) or not isinstance(settings, dict) or not isinstance(secrets, dict):
        return None, {}, {}
    if not all(isinstance(value, str) for value in secrets.values()):
        return None, {}, {}
    return to, settings, secrets
