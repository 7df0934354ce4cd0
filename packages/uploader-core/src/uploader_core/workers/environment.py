"""The environment of a worker."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

# A worker that computes has no business with credentials, whatever they are called.
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW(OR)?D|CREDENTIAL|(API_?|(PRIVATE|ACCESS|ACCOUNT)_)KEY|CONNECTION_STR", re.I
)


_STAY_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN")


_NOT_SECRET = {"TOKENIZERS_PARALLELISM", "HF_HUB_DISABLE_IMPLICIT_TOKEN"}


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
        if name not in given and (name in _NOT_SECRET or not _SECRET.search(name))
    }
    child |= {name: value for name, value in given.items() if value is not None}
    child["PYTHONUTF8"] = "1"
    child["PYTHONUNBUFFERED"] = "1"
    if not network:
        child |= dict.fromkeys(_STAY_OFFLINE, "1")
    child |= dict.fromkeys(("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_PROGRESS_BARS"), "1")
    return child


def is_offline(environment: Mapping[str, str]) -> bool:
    """Read the variables by which the Hub's own tools are told to stay offline, as they do."""
    said = environment.get("HF_HUB_OFFLINE") or environment.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def visible_secrets(names: Iterable[str]) -> dict[str, str]:
    """Return those of some secrets of :func:`child_environment` that are set in this process."""
    return {n: os.environ[n] for n, _ in map(_halves, names) if n in os.environ}


def _halves(name: str) -> tuple[str, str]:
    """Return what a worker sees a variable as, and its name here, "" for the same."""
    seen, _, held = name.partition("=")
    return seen, held
