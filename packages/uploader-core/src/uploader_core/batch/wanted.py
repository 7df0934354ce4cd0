"""One release that a batch shall make, as its file, its folder and the command line say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from uploader_core.builtin.local_source.folder_files import default_name
from uploader_core.errors import UsageError
from uploader_core.home import from_home
from uploader_core.planning.request import Request

_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A release of a batch.

    Attributes:
        where: What asks for it, for messages (``RUNS.toml, [[run]] 3``).
        source: Folder or reference.
        values: Other values by key, see :data:`uploader_core.batch.runs_file.KEYS`.
        settings: Of plugins: plugin id to field name to value.
        beside: What relative paths count from; the working folder when None.
    """

    where: str
    source: str
    values: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    beside: Path | None = None

    @property
    def name(self) -> str:
        """What ``{name}`` stands for: the name that is given, else that of the source."""
        given = self.values.get("name")
        folder = self._path(self.source)
        if isinstance(given, str):
            return given
        return default_name(folder.absolute()) if folder.is_dir() else Path(self.source).name

    def request(self) -> Request:
        """Return what a single run would be asked.

        Raises:
            UsageError: A placeholder that is none.
        """
        output = self._text("output")
        request = Request(
            source=self._there(self.source),
            plugins=self._texts("plugins"),
            destinations=tuple(map(self._destination, self._texts("to"))),
            output=None if output is None else self._path(self._filled(output)),
            name=self._text("name"),
            base=None if (base := self._text("base")) is None else self._there(base),
            adapters=tuple(map(self._there, self._texts("adapter"))),
            measure=self.values.get("measure") is True,
            leave_behind=self._texts("leave-behind"),
        )
        return _with_command(request, self.settings)

    def _text(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, ())
        return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()

    def _filled(self, text: str) -> str:
        """Put the name where ``{name}`` is."""
        for other in {*_PLACEHOLDER.findall(text)} - {"name"}:
            raise UsageError(
                f"{self.where}: {text!r} has a placeholder {{{other}}}",
                next="the only one is {name}, the name of the run or of its source's folder",
            )
        return text.replace("{name}", self.name)

    def _path(self, text: str) -> Path:
        return (self.beside or Path()) / from_home(text)

    def _there(self, text: str) -> str:
        """Return a path for what exists beside the file, and anything else as it is."""
        path = self._path(text)
        return str(path) if self.beside is not None and path.exists() else text

    def _destination(self, text: str) -> str:
        scheme, _, rest = self._filled(text).partition(":")
        local = scheme == "dir" and "://" not in rest and rest
        return f"dir:{self._path(rest)}" if local else self._filled(text)


def _with_command(request: Request, settings: Mapping[str, Mapping[str, object]]) -> Request:
    """Add the command that makes the same release alone, for its manifest."""
    words = ["uploader", "run", request.source]
    given: tuple[tuple[str, object], ...] = (
        ("--plugins", ",".join(request.plugins)),
        ("--output", request.output),
        ("--name", request.name),
        ("--base", request.base),
        ("--leave-behind", ",".join(request.leave_behind)),
    )
    for option, said in given:
        words += [option, str(said)] if said else []
    words += [word for adapter in request.adapters for word in ("--adapter", adapter)]
    words += [word for to in request.destinations for word in ("--to", to)]
    words += ["--measure"] if request.measure else []
    for plugin, values in settings.items():
        for name, value in values.items():
            dashed = f"{plugin}-{name.replace('_', '-')}"
            if isinstance(value, bool):
                words.append(f"--{dashed}" if value else f"--no-{dashed}")
            else:
                several = value if isinstance(value, (list, tuple)) else [value]
                words += [f"--{dashed}", ",".join(map(str, several))]
    return replace(request, command=shlex.join(words))
