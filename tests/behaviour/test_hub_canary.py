"""Secrets through forced failures: they are seen nowhere outside the steps that need them.

The token of the Hub, what a job of a CI gets its identity by, that identity and the token that it
is exchanged for; the key that signs and its password; passwords of registries and of what no step
asks for. Servers quote the token back, as careless ones might, and steps say all that they see.
Three run by default, all of them with ``nox -s canary``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from canary_watch import (
    MODULES,
    POINTS,
    files_with,
    found_in,
    lines_of,
    processes_with,
    saying,
    steps_with,
)

GROUPS = {
    "hub": ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "HF_OIDC_ID_TOKEN"),
    "signing": ("UPLOADER_SIGNING_PASSWORD", "UPLOADER_SIGNING_PRIVATE_KEY"),
    "registry": ("UPLOADER_OCI_PASSWORD", "CI_REGISTRY_PASSWORD", "GITHUB_TOKEN"),
    "nobody": ("DOCKER_AUTH_CONFIG_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY"),
}
"""What a job of a CI holds, by whose steps are shown it."""
CLAIMS = {"repository": "acme/training", "ref": "refs/tags/v1", "workflow": "release.yml"}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What goes wrong.

    Attributes:
        route: Requests that the Hub refuses, and quotes; "" for none.
        identity: Whether the job logs in by its identity instead of a token.
        signing: With what, and what is wrong with it; "" for no signature.
        breaks: A file that a step writes, and what happens to it then.
        registry: What is wrong at a registry; "" for none.
    """

    route: str = ""
    identity: bool = False
    signing: str = ""
    breaks: str = ""
    registry: str = ""

    def __str__(self) -> str:
        login = "identity" if self.identity else "token"
        parts = (login, self.route[-14:], self.signing, self.breaks, self.registry)
        return "-".join(filter(None, parts))


ROUTES = {
    False: (
        r"POST .*/commit/", r"PUT /_lfs/", r"GET /api/whoami", r"GET /api/models/me/tiny-LoRA",
        r"POST /api/repos/create", r"POST .*/preupload/", r"POST .*/info/lfs/objects/batch",
        r"POST .*/paths-info/", r"POST /api/validate-yaml", r"POST .*/tag/",
    ),
    True: (
        r"POST .*/commit/", r"PUT /_lfs/", r"POST /oauth/token", r"GET /api/models/me/tiny-LoRA",
        r"/auth-check/write", r"POST .*/preupload/", r"POST .*/info/lfs/objects/batch",
        r"POST .*/paths-info/", r"GET /_ci/identity", r"POST .*/tag/",
    ),
}  # fmt: skip
FAILURES = [
    Failure(route=route, identity=identity, signing=("", "key", "password")[n % 3])
    for identity, routes in ROUTES.items()
    for n, route in enumerate(routes)
] + [
    Failure(signing="wrong password"),
    Failure(signing="wrong password", identity=True),
    Failure(signing="no key"),
    Failure(signing="no key", identity=True),
    Failure(signing="other certificate"),
    Failure(signing="other certificate", identity=True),
    Failure(signing="password", breaks=r"model\.sig=kill"),
    Failure(signing="key", breaks=r"model\.sig=kill", identity=True),
    Failure(signing="password", breaks=r"model\.sig=say"),
    Failure(signing="key", breaks=r"model\.sig=say", identity=True),
    Failure(registry="password"),
    Failure(registry="config", signing="key", identity=True),
    Failure(registry="full", signing="password"),
    Failure(registry="full", identity=True),
    Failure(breaks=r"\.gguf=say", signing="key"),
    Failure(breaks=r"\.gguf=say", identity=True),
    Failure(breaks=r"\.gguf=kill", signing="password", identity=True),
]  # fmt: skip
QUICK = {0, 10 + 1, 20}
"""What has run by default: a token, an identity with a signature, a password that is wrong."""


def canary(name: str) -> str:
    """Return a secret of a sort that nothing knows by its looks, another one each time."""
    return f"canary-{name.lower()}-{secrets.token_hex(6)}"


class Job:
    """A job of a CI with secrets, which releases something.

    Attributes:
        secrets: By group, all that may be seen nowhere; servers may add to them.
        arguments: More of the command.
    """

    def __init__(self, uploader: Any, hub: Any, seen: Path) -> None:
        self.uploader, self.hub, self.seen = uploader, hub, seen
        self.arguments: list[object] = []
        self.secrets: dict[str, set[str]] = {group: set() for group in GROUPS}
        for group, names in GROUPS.items():
            for name in names:
                self.hold(group, name, canary(name))
        variables = {"UPLOADER_DISABLE": "", "CANARY_SEEN": str(seen), "GITHUB_ACTIONS": "true"}
        uploader.environment |= variables

    def hold(self, group: str, name: str, value: str) -> None:
        """Put a secret into the job's environment."""
        self.uploader.environment[name] = value
        self.secrets[group] |= lines_of(value)

    def log_in(self, identity: bool, repo: str) -> None:
        """Log in to the Hub: by a stored token, or by an identity trusted with a repository."""
        environment = self.uploader.environment
        if not identity:
            # Of a hub whose tokens do not begin with hf_.
            self.hold("hub", "HF_TOKEN", canary("of-another-hub"))
            self.hub.know(environment["HF_TOKEN"], "me")
            # The address is no secret: it says that a job is on. The Hub is asked with a token.
            environment["ACTIONS_ID_TOKEN_REQUEST_URL"] = f"{self.hub.url}/_ci/identity"
            return
        for name in ("HF_TOKEN", "HF_OIDC_ID_TOKEN"):
            environment.pop(name, None)
        job = self.hub.job(**CLAIMS)
        self.hold("hub", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", job["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
        environment |= {**job, "HF_OIDC_RESOURCE": repo}
        environment |= {"GITHUB_REPOSITORY": CLAIMS["repository"], "GITHUB_REF": CLAIMS["ref"]}
        self.hub.store.create(repo, private=True)
        self.hub.identities.trust(repo, **CLAIMS)
        sign: Callable[[Any], str] = self.hub.identities.sign

        def signed(claims: Any) -> str:
            # The identity, and what it is exchanged for; the first part is the same for all.
            token = sign(claims)
            self.secrets["hub"] |= {token, *token.split(".")[1:]}
            return token

        self.hub.identities.sign = signed

    def bring_identity(self) -> str:
        """Have the identity in a variable, as a job of GitLab has it, and return it."""
        claims = {**CLAIMS, "aud": self.hub.url, "exp": 1 << 40}
        self.hold("hub", "HF_OIDC_ID_TOKEN", self.hub.identities.sign(claims))
        return str(self.uploader.environment["HF_OIDC_ID_TOKEN"])

    def sign(self, how: str) -> None:
        """Have the release signed with a key in the environment."""
        from cryptography.hazmat.primitives.asymmetric import ec

        from signing_tools import PEM, Authority, pem_of

        key = ec.generate_private_key(ec.SECP256R1())
        password = self.uploader.environment["UPLOADER_SIGNING_PASSWORD"]
        locked = {"password": password, "wrong password": canary("another")}.get(how, "")
        pem = pem_of(key, locked).decode()
        if how == "no key":
            head, *lines, foot = pem.splitlines()
            pem = "\n".join([head, *reversed(lines), foot])
        self.hold("signing", "UPLOADER_SIGNING_PRIVATE_KEY", pem)
        self.arguments += ["--provenance-key", "env"]
        if how == "other certificate":
            path = self.uploader.cwd / "other.pem"
            path.write_bytes(Authority().certificate.public_bytes(PEM))
            self.arguments += ["--provenance-certificates", path]

    def push(self, registry: Any, how: str) -> None:
        """Publish to a registry as well."""
        from uploader_oci.loopback import PASSWORD, USERNAME

        password = canary("registry") if how == "config" else PASSWORD
        both = base64.b64encode(f"{USERNAME}:{password}".encode()).decode()
        self.secrets["registry"] |= {password, both}
        if how == "password":
            self.uploader.environment["UPLOADER_OCI_USERNAME"] = USERNAME
        else:
            del self.uploader.environment["UPLOADER_OCI_PASSWORD"]
            config = {"auths": {registry.host: {"auth": both}}}
            self.hold("registry", "DOCKER_AUTH_CONFIG", json.dumps(config))
        self.arguments += ["--to", f"oci:{registry.host}/me/tiny:v1"]

    def run(self, *arguments: object) -> tuple[int, bytes, list[str]]:
        """Run the command; return its code, all it printed, and whose process held too much."""
        said = self.seen / "printed"
        with said.open("wb") as printed:
            process = subprocess.Popen(
                self.uploader.argv("run", *arguments, *self.arguments),
                cwd=self.uploader.cwd, env={**self.uploader.variables()},
                stdout=printed, stderr=subprocess.STDOUT,
            )  # fmt: skip
            found: list[str] = []
            while process.poll() is None:
                known = {group: [*values] for group, values in self.secrets.items()}
                found += processes_with(known, process.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
        return process.returncode, said.read_bytes(), found


@pytest.fixture
def job(
    uploader: Any, hub: Any, install: Callable[..., None], tmp_path_factory: Any
) -> Iterator[Job]:
    install("canary-watch", MODULES, POINTS)
    yield Job(uploader, hub, tmp_path_factory.mktemp("seen"))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(failure, id=f"{n}-{failure}", marks=[pytest.mark.slow] * (n not in QUICK))
        for n, failure in enumerate(FAILURES)
    ],
)
def test_secrets_stay_where_they_belong(job: Job, fine_tune: Path, failure: Failure) -> None:
    from loopback_hub import Fault
    from uploader_oci.loopback import is_available, loopback_registry

    if failure.registry and not is_available():
        pytest.skip("docker-registry is not on the PATH")
    makes = "gguf" if "gguf" in failure.breaks else "lora"
    job.log_in(failure.identity, {"gguf": "me/tiny-GGUF", "lora": "me/tiny-LoRA"}[makes])
    if failure.signing:
        job.sign(failure.signing)
    if failure.breaks:
        job.uploader.environment["CANARY_BREAKS"] = failure.breaks
    if failure.route:
        status = random.Random(str(failure)).choice((400, 401, 403))
        quoted = job.bring_identity() if "oauth" in failure.route else "{token}"
        said = {"X-Error-Message": f"{quoted} may not do this"}
        job.hub.faults.add(Fault("refuse", failure.route, status=status, times=99, headers=said))
    quants = ["--gguf-quants", "Q8_0"] if makes == "gguf" else []
    output = job.uploader.cwd / "release"
    with contextlib.ExitStack() as stack:
        if failure.registry:
            full = 20_000 if failure.registry == "full" else None
            server = stack.enter_context(loopback_registry(auth="basic", largest_file=full))
            job.push(server, failure.registry)
        code, printed, processes = job.run(
            fine_tune, "--plugins", makes, *quants, "--to", "hf:me/tiny", "--yes",
            "--hf-tag", "v1", "--output", output, "--debug",
        )  # fmt: skip
    text = printed.decode("utf-8", "replace")
    assert code not in (0, 1), text
    known = {secret for group in job.secrets.values() for secret in group}
    # It failed by what was to fail, and there were workers to look at.
    asked = [line for line in job.hub.requests if re.search(failure.route, line)]
    assert asked or not failure.route, text
    assert bool(failure.breaks) == bool(saying('"broke"', job.seen)), text
    assert saying("workers.child", job.seen), text
    if (output / "upload_manifest.json").exists():
        assert [*output.rglob("witness-artifact.json")], text
    assert processes == []
    assert steps_with(job.secrets, job.seen) == []
    assert found_in(printed, known) == []
    # Release, records, logs, the client's caches and what the Hub keeps.
    assert files_with(known, job.uploader.cwd) == []
    assert found_in("\n".join(job.hub.requests).encode(), known) == []
