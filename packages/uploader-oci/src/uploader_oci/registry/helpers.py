"""Docker's credential helpers: programs that know a login (https://github.com/docker/docker-credential-helpers)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable

from uploader_core.plugin import AuthError, parse_json

LIMIT = 30.0
"""Seconds: some ask a cloud, some a person."""

_NOT_FOUND = "credentials not found"
"""Begins what every helper says when it knows no login; the status is 1 then, as for all else."""


def ask_helper(
    name: str, server: str, *, without: Iterable[str] = (), limit: float = LIMIT
) -> tuple[str, str] | None:
    """Ask ``docker-credential-NAME`` for the login of a server.

    Args:
        name: What docker's configuration calls it (``pass``, ``ecr-login``).
        server: As docker wrote it.
        without: Variables that the program does not get.
        limit: Seconds that it may take.

    Returns:
        User and secret; None when it knows none.

    Raises:
        AuthError: There is no such program, it fails, or it answers with something else.
    """
    program = f"docker-credential-{name}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise _failed(program, "no name of a helper")
    path = shutil.which(program)
    if path is None:
        raise _failed(program, "it is not on the PATH")
    environment = {key: value for key, value in os.environ.items() if key not in {*without}}
    try:
        done = subprocess.run(
            [path, "get"],
            input=server.encode(),
            capture_output=True,
            env=environment,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _failed(program, f"it did not answer in {limit:.0f} s") from None
    except OSError as error:
        raise _failed(program, f"it cannot be started: {error.strerror}") from None
    # Nothing of what it writes is shown: it may be the secret.
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        if _NOT_FOUND in said.lower():
            return None
        raise _failed(program, f"it ended with {done.returncode}")
    try:
        answer = parse_json(said)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise _failed(program, "it answered with something else than a login") from None
    return (user, secret) if secret else None


def _failed(program: str, why: str) -> AuthError:
    return AuthError(
        f"{program} gives no login: {why}",
        owner="credsStore or credHelpers of docker's config.json",
        safe="nothing was sent",
        next=f"try it: echo HOST | {program} get; or set UPLOADER_OCI_USERNAME and "
        "UPLOADER_OCI_PASSWORD",
    )
