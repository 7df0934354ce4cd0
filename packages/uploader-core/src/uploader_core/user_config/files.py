"""Where settings come from besides the command line: ``uploader.toml``, the environment, ``.env``.

Order: command line, ``UPLOADER_*`` variables, ``uploader.toml`` in the working folder (or
``--config``), the user's own file, defaults.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploader_core.errors import UsageError
from uploader_core.home import from_home
from uploader_core.untrusted_json import read_text
from uploader_core.user_config.configuration import FILE, Config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCE = "source"
"""The only key of the file that is no table."""


def load(
    *,
    config_file: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, object]] | None = None,
) -> Config:
    """Read configuration files and the environment.

    Args:
        config_file: Explicit file; it must exist.
        folder: Working folder, for ``uploader.toml`` and ``.env``.
        environment: Variables; those of the process when None. ``.env`` fills in what is absent.
        options: From the command line.

    Raises:
        UsageError: A file that cannot be read.
    """
    from dotenv import dotenv_values

    folder = folder or Path.cwd()
    variables = dict(os.environ if environment is None else environment)
    for key, value in dotenv_values(folder / ".env").items():
        if value is not None:
            variables.setdefault(key, value)
    tables = read_tables(config_file, folder)
    source_file, source = _read_source(config_file, folder)
    return Config(
        tables=tables,
        environment=variables,
        options=options or {},
        source=source,
        source_file=source_file,
    )


def _read_source(config_file: Path | None, folder: Path | None) -> tuple[Path | None, str | None]:
    """Return the file that names a source, and the source; a path counts from that file's folder.

    Raises:
        UsageError: It is no text.
    """
    for path in reversed(settings_files(config_file, folder)):
        found = read_toml(path).get(SOURCE) if path.is_file() else None
        if found is None:
            continue
        if not isinstance(found, str) or not found:
            raise UsageError(f'{path}: {SOURCE} must be a folder or a name, {SOURCE} = "outputs"')
        beside = path.parent / from_home(found)
        return path, str(beside) if beside.exists() else found
    return None, None


def read_tables(
    config_file: Path | None = None, folder: Path | None = None
) -> dict[str, dict[str, object]]:
    """Read the user's own file, then that of the working folder or ``config_file``, over it.

    Raises:
        UsageError: A file that cannot be read, or is no set of tables.
    """
    if config_file is not None and not config_file.is_file():
        raise UsageError(f"there is no configuration file {config_file}")
    tables: dict[str, dict[str, object]] = {}
    for path in settings_files(config_file, folder):
        if path.is_file():
            for name, table in read_toml(path).items():
                if name == SOURCE:
                    continue
                if not isinstance(table, dict):
                    raise UsageError(f"{path}: {name!r} must be a table, [{name}]")
                tables.setdefault(name, {}).update(table)
    return tables


def settings_files(config_file: Path | None = None, folder: Path | None = None) -> tuple[Path, ...]:
    """Return the files that settings are read from, each over the one before; none need exist."""
    import platformdirs

    own = platformdirs.user_config_path("uploader", appauthor=False) / FILE
    return own, config_file or (folder or Path.cwd()) / FILE


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        data: dict[str, Any] = tomllib.loads(read_text(path))
        return data
    except RecursionError:
        raise _unreadable(path, "it is nested too deeply") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} cannot be read: {why}", next=f"correct {path.name}")
