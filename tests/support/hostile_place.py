"""A fine-tune that was made to do harm, and where that would show."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALL = ("all",)
USUAL = "lora,merged"
SECRET = "what-lies-outside-is-nobodys-business"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One fine-tune, to be damaged.

    Attributes:
        root: Everything is below it.
    """

    root: Path

    @property
    def adapter(self) -> Path:
        return self.root / "run" / "final_model"

    @property
    def base(self) -> Path:
        return self.root / "base"

    @property
    def weights(self) -> Path:
        return self.adapter / "adapter_model.safetensors"

    @property
    def output(self) -> Path:
        return self.root / "release"

    @property
    def canary(self) -> Path:
        """A file that code of an input would make."""
        return self.root / "canary"

    @property
    def outside(self) -> Path:
        """A file that no release may hold."""
        return self.root / "outside" / "secret.txt"

    @property
    def code(self) -> str:
        """Python that makes the canary."""
        return f"open({str(self.canary)!r}, 'w').close()"

    def run(self, *options: object, plugins: str = USUAL) -> list[object]:
        """Return the arguments that release the adapter."""
        return ["run", self.adapter, "--plugins", plugins, "--yes", "--output", self.output,
                *options]  # fmt: skip

    def snapshot(self) -> dict[str, tuple[int, int, int]]:
        """Return what is there besides the release: mode, size and time of each file."""
        return {
            str(path.relative_to(self.root)): (stat.st_mode, stat.st_size, stat.st_mtime_ns)
            for path in walk(self.root)
            if path != self.output and self.output not in path.parents
            for stat in [path.lstat()]
            if not path.is_dir() or path.is_symlink()
        }


Damage = Callable[[Place], object]
"""Makes a fine-tune hostile; returns a list, arguments of a command, if not of the usual run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hostile:
    """One input.

    Attributes:
        sort: What sort of file it is.
        what: What is wrong with it.
        damage: Makes it.
        harmless: Whether the release is made all the same, without what is hostile.
        plugins: Formats that are asked for.
        told: What is said of it, an expression.
    """

    sort: str
    what: str
    damage: Damage
    harmless: bool = False
    plugins: str = USUAL
    told: str = ""

    def arguments(self, place: Place) -> list[object]:
        """Make it, and return the arguments of the command that meets it."""
        returned = self.damage(place)
        return returned if isinstance(returned, list) else place.run(plugins=self.plugins)

    def __str__(self) -> str:
        return f"{self.sort}: {self.what}"


def make_place(pristine: Path, root: Path) -> Place:
    """Copy a sound fine-tune, with a file beside it that no release may hold."""
    shutil.copytree(pristine, root)
    place = Place(root=root)
    place.outside.parent.mkdir()
    place.outside.write_text(SECRET)
    return place


def cases(
    sort: str,
    table: dict[str, Damage],
    *,
    harmless: Iterable[str] = (),
    told: dict[str, str] | None = None,
    **options: Any,
) -> list[Hostile]:
    """Return the inputs of a table; those that are named do not stop the release."""
    harmless = {*table} if harmless == ALL else {*harmless}
    assert harmless <= {*table}, harmless - {*table}
    told = told or {}
    return [
        Hostile(
            sort=sort,
            what=what,
            damage=damage,
            harmless=what in harmless,
            told=told.get(what, ""),
            **options,
        )
        for what, damage in table.items()
    ]


def walk(folder: Path) -> Iterator[Path]:
    """Yield what is below a folder, following no link."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from walk(path)


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None takes a key out."""
    data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    merged = {**data, **changes}
    path.write_text(json.dumps({k: v for k, v in merged.items() if v is not None}), "utf-8")


def raw(path: Path, key: str, value: str) -> None:
    """Put a member into a JSON object as text, which need not be JSON."""
    edit(path, **{key: None})
    text = path.read_text("utf-8").strip()
    comma = "," if text != "{}" else ""
    path.write_text(f'{{"{key}": {value}{comma}{text[1:]}', "utf-8")


def nested(depth: int, opens: str = "[", closes: str = "]") -> str:
    return opens * depth + closes * depth
