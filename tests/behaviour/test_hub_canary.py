"""Secrets through forced failures: they are seen nowhere outside the processes that ask the Hub.

The token of the Hub, what a job of a CI asks for an identity with, and passwords of other places.
Each failure quotes the token back, as a careless server might. Three run by default, all thirty
with ``nox -s canary``.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

# Of a hub whose tokens do not begin with hf_; another one each time, for others run this test too.
CANARY = f"canary-of-another-hub-{secrets.token_hex(6)}"
OTHERS = {
    name: f"canary-{name.lower()}-{secrets.token_hex(6)}"
    for name in (
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "HF_OIDC_ID_TOKEN", "UPLOADER_OCI_PASSWORD",
        "CI_REGISTRY_PASSWORD", "DOCKER_AUTH_CONFIG_TOKEN", "AWS_SECRET_ACCESS_KEY",
        "UPLOADER_SIGNING_PASSWORD", "WANDB_API_KEY",
    )
}  # fmt: skip
"""What a job of a CI holds besides."""
ROUTES = (
    r"POST .*/commit/",
    r"PUT /_lfs/",
    r"GET /api/whoami",
    r"GET /api/models/me/tiny-LoRA",
    r"POST /api/repos/create",
    r"POST .*/preupload/",
    r"POST .*/info/lfs/objects/batch",
    r"POST .*/paths-info/",
    r"POST /api/validate-yaml",
    r"POST .*/tag/",
)
FAILURES = [
    pytest.param(
        route,
        status,
        id=f"{route[-12:]}-{status}",
        marks=[pytest.mark.slow] * (n % 10 != 0),
    )
    for n, (status, route) in enumerate(itertools.product((400, 401, 403), ROUTES))
]


def processes_with(secrets_: Iterable[bytes], run: int) -> list[str]:
    """Return processes that hold one of some secrets and should not.

    Nobody's arguments may hold it. In the environment the run itself has it, and of the workers
    that it starts those that ask the Hub, which are not told to stay offline; nobody else.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            arguments = (folder / "cmdline").read_bytes()
            parent = re.search(r"^PPid:\s*(\d+)$", (folder / "status").read_text(), re.MULTILINE)
        except OSError:
            continue
        if not arguments:
            continue  # between its fork and its program: neither one nor the other
        # A child that was forked a moment ago is still called as its parent.
        itself = folder.name == str(run) or b"\0--debug\0" in arguments
        worker = (
            parent is not None
            and parent[1] == str(run)
            and b"uploader_core.workers.child" in arguments
        )
        offline = b"HF_HUB_OFFLINE=1" in environment
        for secret in secrets_:
            if secret in arguments or (
                secret in environment and not itself and (offline or not worker)
            ):
                found.append(f"{secret!r}: {arguments.decode('utf-8', 'replace')}")
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize(("route", "status"), FAILURES)
def test_token_stays_where_it_belongs(
    uploader: Any, fine_tune: Path, hub: Any, route: str, status: int
) -> None:
    from loopback_hub import Fault

    hub.know(CANARY, "me")
    # The address is no secret: it says that a job is on. The Hub is asked with a token.
    uploader.environment |= {"HF_TOKEN": CANARY, "GITHUB_ACTIONS": "true", **OTHERS}
    uploader.environment["ACTIONS_ID_TOKEN_REQUEST_URL"] = f"{hub.url}/_ci/identity"
    canaries = [value.encode() for value in (CANARY, *OTHERS.values())]
    said = {"X-Error-Message": f"{CANARY} may not do this"}
    hub.faults.add(Fault("refuse", route, status=status, times=99, headers=said))
    output = uploader.cwd / "release"
    process = subprocess.Popen(
        uploader.argv("run", fine_tune, "--plugins", "lora", "--to", "hf:me/tiny", "--yes",
                      "--hf-tag", "v1", "--output", output, "--debug"),
        cwd=uploader.cwd, env={**uploader.variables()},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    seen: list[str] = []
    while process.poll() is None:
        seen += processes_with(canaries, process.pid)
        os.sched_yield()
    assert process.stdout is not None
    said_to_user = process.stdout.read()
    process.stdout.close()
    assert process.returncode not in (0, 1), said_to_user.decode()
    assert seen == []
    assert not [canary for canary in canaries if canary in said_to_user]
    # Release, records, logs, the client's caches and what the Hub keeps.
    for path in uploader.cwd.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [canary for canary in canaries if canary in content], path
