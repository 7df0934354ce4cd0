"""Debian's ``docker-registry`` on 127.0.0.1, for tests, with a configuration of ours.

``apt-get install docker-registry`` brings the program; its service, which listens on all
interfaces, is not needed and not started by this.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uploader_core.plugin import PluginError
from uploader_oci.loopback_tokens import TokenServer, make_key

PROGRAM = "docker-registry"
HOW_TO_GET = f"{PROGRAM} is not on the PATH: apt-get install {PROGRAM}"
USERNAME, PASSWORD = "me", "right-password-1"

# bcrypt of PASSWORD, which is all that the registry reads; Python has none to compute it.
_HTPASSWD = f"{USERNAME}:$2b$04$uploaderuploaderuploa.8zeCXhfd89VCF6Kow/gysn1U2NQFOS2\n"
_BOTH = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
_READY = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
_LIMIT = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopbackRegistry:
    """A registry that runs.

    Attributes:
        host: ``127.0.0.1:PORT``.
        root: Folder with everything that it stores.
        tokens: Its server of tokens, where it has one.
        process: The program.
        environment: Variables with the right login; empty where none is asked for.
    """

    host: str
    root: Path
    tokens: TokenServer | None
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}"

    @property
    def certificate(self) -> Path:
        """File with the certificate of a registry that speaks https."""
        return self.root / "https.pem"

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return (self.root / "log").read_text("utf-8", "replace")

    def sessions(self, repository: str = "**") -> int:
        """Return how many uploads are begun and neither finished nor given up.

        Args:
            repository: Where; all repositories by default.
        """
        return len(
            [*self.root.glob(f"data/docker/registry/v2/repositories/{repository}/_uploads/*/data")]
        )

    def blob_file(self, digest: str) -> Path:
        """Return the file in which it stores a blob."""
        hexdigest = digest.removeprefix("sha256:")
        blobs = self.root / "data/docker/registry/v2/blobs/sha256"
        return blobs / hexdigest[:2] / hexdigest / "data"

    @property
    def basic_login(self) -> str:
        """``Authorization`` with the right password; "" where none is asked for."""
        return f"Basic {_BOTH}" if self.environment else ""

    def docker_config(self, folder: Path) -> Path:
        """Write a ``config.json`` with the right login and return its folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": _BOTH}}}))
        return folder


def is_available() -> bool:
    """Tell whether the program is on this machine."""
    return shutil.which(PROGRAM) is not None


@contextlib.contextmanager
def loopback_registry(
    *, auth: str = "none", largest_file: int | None = None, encrypted: bool = False
) -> Iterator[LoopbackRegistry]:
    """Start a registry with nothing in it, and end it with the block.

    Args:
        auth: ``none``, ``basic`` for a htpasswd file, or ``token`` for a server of tokens.
        largest_file: Bytes of the largest file that it can write, as on a full disk.
        encrypted: Whether it speaks https, as ``localhost`` with a certificate of its own; see
            :attr:`LoopbackRegistry.certificate`.

    Raises:
        PluginError: The program is not there, or does not start.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise PluginError(HOW_TO_GET, owner="uploader_oci.loopback", next=HOW_TO_GET)
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uploader-oci-")))
        tokens = (
            stack.enter_context(TokenServer(root, USERNAME, PASSWORD).running())
            if auth == "token"
            else None
        )
        (root / "config.json").write_text(
            json.dumps(_config(root, auth, tokens, encrypted=encrypted))
        )
        command = [program, "serve", str(root / "config.json")]
        if largest_file is not None:
            command = ["prlimit", f"--fsize={largest_file}", *command]
        log = stack.enter_context((root / "log").open("wb"))
        keep = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=keep, cwd=root)
        stack.callback(process.wait)
        stack.callback(process.kill)
        environment = {
            "UPLOADER_OCI_USERNAME": USERNAME,
            "UPLOADER_OCI_PASSWORD": PASSWORD,
        }
        yield LoopbackRegistry(
            host=f"127.0.0.1:{_port(process, root / 'log')}",
            root=root,
            tokens=tokens,
            process=process,
            environment={} if auth == "none" else environment,
        )


def _config(
    root: Path, auth: str, tokens: TokenServer | None, *, encrypted: bool
) -> dict[str, object]:
    """Return the registry's configuration; YAML is a superset of JSON."""
    # Port 0: the system chooses one, and the log names it.
    http = {"addr": "127.0.0.1:0", "secret": "one for all restarts"}
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(root / "data")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": http,
    }
    if encrypted:
        make_key(root / "https.pem", "localhost")
        files = {"certificate": str(root / "https.pem"), "key": str(root / "https.key")}
        config["http"] = {**http, "tls": files}
    if auth == "basic":
        (root / "htpasswd").write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "loopback", "path": str(root / "htpasswd")}}
    if tokens is not None:
        config["auth"] = {
            "token": {
                "realm": f"{tokens.url}/token",
                "service": tokens.service,
                "issuer": tokens.issuer,
                "rootcertbundle": str(tokens.certificate),
            }
        }
    return config


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until the registry says on which port it listens.

    Raises:
        PluginError: It ended, or said nothing in time.
    """
    until = time.monotonic() + _LIMIT
    while process.poll() is None and time.monotonic() < until:
        found = _READY.search(log.read_text("utf-8", "replace"))
        if found:
            return int(found[1])
        time.sleep(0.02)
    tail = log.read_text("utf-8", "replace")[-500:]
    raise PluginError(
        f"{PROGRAM} did not start: {tail}",
        owner="uploader_oci.loopback",
        next=f"try {PROGRAM} serve CONFIG in a terminal",
    )
