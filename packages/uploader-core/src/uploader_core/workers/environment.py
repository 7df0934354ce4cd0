"""The environment of a worker."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from uploader_core.credentials import is_credential, is_shown

_STAY_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN")
_PYTHON = ("PYTHONUTF8", "PYTHONUNBUFFERED")
_QUIET = ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS")


def child_environment(
    environment: Mapping[str, str], secrets: Iterable[str], *, network: bool
) -> dict[str, str]:
    """Return the environment of a worker.

    Args:
        environment: The run's own, completed by ``.env``.
        secrets: Names that this worker may see; ``NAME=OTHER`` gives it the value of another one.
        network: False for work that must not need one; the Hub client is then told to stay
            offline and without a token.
    """
    given = {name: environment.get(held or name) for name, held in map(_halves, secrets)}
    child = {
        name: value
        for name, value in environment.items()
        if name not in given and not is_credential(name, value)
    }
    child |= {name: value for name, value in given.items() if value is not None}
    return child | dict.fromkeys((*_PYTHON, *_QUIET, *(() if network else _STAY_OFFLINE)), "1")


def is_offline(environment: Mapping[str, str]) -> bool:
    """Read the variables by which the Hub's own tools are told to stay offline, as they do."""
    said = environment.get("HF_HUB_OFFLINE") or environment.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def visible_secrets(names: Iterable[str]) -> dict[str, str]:
    """Return those of some secrets of :func:`child_environment` that are set in this process."""
    return {n: os.environ[n] for n, _ in map(_halves, names) if n in os.environ}


def to_be_masked(names: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return the values of secrets of :func:`child_environment` that nobody may see."""
    held = {held or name for name, held in map(_halves, names)}
    return [environment.get(name, "") for name in held if not is_shown(name)]


def _halves(name: str) -> tuple[str, str]:
    """Return what a worker sees a variable as, and its name here, "" for the same."""
    seen, _, held = name.partition("=")
    return seen, held
