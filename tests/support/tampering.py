"""What may happen to a folder on its way, each with the name of the file that it happens to."""

from __future__ import annotations

import random
from pathlib import Path


def change_a_byte(folder: Path, chance: random.Random) -> str:
    """Change one bit of one file, size and name stay."""
    path = _any(folder, chance)
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    return path.name


def add_a_file(folder: Path, chance: random.Random) -> str:
    """Put a file there that nobody signed."""
    path = _any(folder, chance).parent / f"added-{chance.randrange(10**6)}.json"
    path.write_text("{}")
    return path.name


def rename_a_file(folder: Path, chance: random.Random) -> str:
    """Give a file another name, the content stays."""
    path = _any(folder, chance)
    path.rename(path.with_name(f"{path.name}.renamed"))
    return path.name


def put_a_link(folder: Path, chance: random.Random) -> str:
    """Put a symbolic link in the place of a file, to the very same content."""
    path = _any(folder, chance)
    content = folder.parent / f"{folder.name}-elsewhere"
    path.rename(content)
    path.symlink_to(content)
    return path.name


CHANGES = (change_a_byte, add_a_file, rename_a_file, put_a_link)


def _any(folder: Path, chance: random.Random) -> Path:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "model.sig"]
    hidden = [p for p in files if any(part[0] == "." for part in p.relative_to(folder).parts)]
    of_no_model = {"report.html", "publications.json"}
    return chance.choice([p for p in files if p not in hidden and p.name not in of_no_model])
