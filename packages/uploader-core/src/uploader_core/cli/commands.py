"""Commands of other distributions, which the entry-point group ``uploader_core.commands`` names.

An entry's name is what is typed, with a dot before the command of a group (``plugins.check``); its
value is a click command. Nothing of it is imported before it is used: ``--help`` reads the names,
and what the distribution says of itself. The folders are looked through by hand, for the library
that reads metadata takes longer to import than all of ``--help``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click

GROUP = "uploader_core.commands"


class ForeignCommand(NamedTuple):
    """A command of another distribution.

    Attributes:
        name: As in the entry point, ``demo`` or ``plugins.check``.
        target: ``package.module:attribute``.
        distribution: Its name and version.
        folder: Its metadata.
    """

    name: str
    target: str
    distribution: str
    folder: str

    def load(self) -> click.Command:
        """Import it.

        Raises:
            PluginBrokenError: It cannot be imported, or is no command.
        """
        from uploader_core.errors import PluginBrokenError, UploaderError

        module, _, attribute = self.target.partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
            if isinstance(command, click.Command):
                return command
            why = f"{self.target} is no click command"
        except UploaderError:
            raise
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}"
        raise PluginBrokenError(
            f"the command {self.name.replace('.', ' ')!r} cannot be used: {why}",
            owner=self.distribution,
            safe="nothing was changed",
            next=f"pip install -U {self.distribution.split(' ')[0]}",
        )

    def summary(self) -> str:
        """Return what the distribution says of itself in one line."""
        try:
            with open(os.path.join(self.folder, "METADATA"), encoding="utf-8") as file:
                for line in file:
                    if line.startswith("Summary:"):
                        return line.partition(":")[2].strip()
                    if not line.strip():
                        break  # the description begins
        except (OSError, ValueError):
            pass
        return ""


def foreign_commands(group: str = "", path: Sequence[str] | None = None) -> list[ForeignCommand]:
    """Return the commands that belong to a group, sorted by name.

    Args:
        group: ``plugins`` for those below it, "" for those at the top.
        path: Folders to look through; those of the import system when None.
    """
    start = f"{group}." if group else ""
    found: dict[str, ForeignCommand] = {}
    for command in _read(sys.path if path is None else path):
        rest = command.name.removeprefix(start)
        if command.name.startswith(start) and "." not in rest:
            found.setdefault(rest, command._replace(name=rest))
    return [found[name] for name in sorted(found)]


def _read(path: Sequence[str]) -> Iterator[ForeignCommand]:
    """Yield every command; of a distribution that is there twice, those of the first."""
    seen: set[str] = set()
    for place in path:
        try:
            names = os.listdir(place or ".")
        except OSError:
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            distribution, _, version = name.rpartition(".")[0].partition("-")
            if distribution.lower() in seen:
                continue
            seen.add(distribution.lower())
            folder = os.path.join(place, name)
            text = _entry_points(folder)
            if GROUP in text:
                owner = f"{distribution.replace('_', '-')} {version}".strip()
                for key, value in _entries(text):
                    yield ForeignCommand(key, value, owner, folder)


def _entry_points(folder: str) -> str:
    """Read the entry points of a distribution: of each that is installed, so as quickly as can be.

    Python's own ``open`` takes several times as long for files of a few bytes.
    """
    try:
        file = os.open(folder + "/entry_points.txt", os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(file, 1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(file)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


class OpenGroup(click.Group):
    """A group to which other distributions may add commands; its own come first."""

    place = ""
    """How the group is called in entry points, "" for the top."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = self.own_command(ctx, cmd_name)
        if own is not None:
            return own
        for command in foreign_commands(self.place):
            if command.name == cmd_name:
                return command.load()
        return None

    def own_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command that the group itself has."""
        return super().get_command(ctx, cmd_name)

    def own_names(self, ctx: click.Context) -> list[str]:
        """Return the names of the group's own commands."""
        return super().list_commands(ctx)

    def own_rows(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Return name and one line of help of the group's own commands."""
        rows = []
        for name in self.own_names(ctx):
            command = self.own_command(ctx, name)
            rows.append((name, "" if command is None else command.get_short_help_str(60)))
        return rows

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = self.own_names(ctx)
        return [*own, *(c.name for c in foreign_commands(self.place) if c.name not in own)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            raise click.UsageError(self.unknown(name, known))
        return super().resolve_command(ctx, args)

    def unknown(self, name: str, known: list[str]) -> str:
        """Say what may have been meant by a name that no command has."""
        import difflib

        close = difflib.get_close_matches(name, known, n=1)
        if close:
            return f"there is no command {name!r}. Did you mean {close[0]!r}?"
        extras = ", ".join(f'"uploader-core[{extra}]"' for extra in _extras())
        return (
            f"there is no command {name!r}. Some commands are distributions of their own; "
            f"pip install brings them: {extras}"
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(self.own_rows(ctx))
        own = self.own_names(ctx)
        names: dict[ForeignCommand, list[str]] = {}
        for command in foreign_commands(self.place):
            if command.name not in own:
                owner = command._replace(name="", target="")
                names.setdefault(owner, []).append(command.name)
        if names:
            with formatter.section("Commands of other distributions"):
                formatter.write_dl(
                    [
                        (", ".join(several), f"{owner.summary()} ({owner.distribution})")
                        for owner, several in names.items()
                    ]
                )


def _extras() -> list[str]:
    """Return core's extras, which bring distributions with commands."""
    import importlib_metadata

    return importlib_metadata.metadata("uploader-core").get_all("Provides-Extra") or []
