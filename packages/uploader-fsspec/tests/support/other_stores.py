"""Servers of Azure's and Google's storage on this machine, where they are installed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BUCKET = "lab"
_AZURE = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;BlobEndpoint={url};AccountKey="
# The account of Azurite, which its documentation gives to everybody.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_OTHER_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkr"


@dataclass(frozen=True, kw_only=True)
class OtherStore:
    """A server that runs.

    Attributes:
        protocol: ``gs``.
        environment: Variables with which its clients find it.
        wrong_login: The same with a login that it does not accept, empty where it has none.
    """

    protocol: str
    environment: Mapping[str, str]
    wrong_login: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[OtherStore]:
    """Serve blobs as Azure does; skips where Azurite or adlfs is missing."""
    _needs("adlfs")
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("no azurite-blob on the PATH: npm install azurite")
    port = _free_port()
    command = [program, "--silent", "--skipApiVersionCheck", "--location", str(folder),
               "--blobHost", "127.0.0.1", "--blobPort", str(port)]  # fmt: skip
    told = _AZURE.format(url=f"http://127.0.0.1:{port}/devstoreaccount1")
    with _running(command, port):
        yield OtherStore(
            protocol="abfs",
            environment={"AZURE_STORAGE_CONNECTION_STRING": told + _KEY},
            wrong_login={"AZURE_STORAGE_CONNECTION_STRING": f"{told}{_OTHER_KEY}KysrKysrKys="},
        )


@contextlib.contextmanager
def google(folder: Path) -> Iterator[OtherStore]:
    """Serve objects as Google does; skips where its emulator or gcsfs is missing."""
    del folder  # it keeps them in memory
    _needs("gcsfs", "gcp_storage_emulator")
    port = _free_port()
    program = Path(sys.executable).with_name("gcp-storage-emulator")
    command = [str(program), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with _running(command, port):
        yield OtherStore(
            protocol="gs",
            environment={
                "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
                "FSSPEC_GS_TOKEN": "anon",
                # It would ask by gRPC, which the emulator does not speak, for a minute each time.
                "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            },
        )


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < end, f"{command[0]} does not answer"
        yield
    finally:
        process.terminate()
        process.wait()


def _needs(*modules: str) -> None:
    # Not imported: gcsfs reads its variables when it is.
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
