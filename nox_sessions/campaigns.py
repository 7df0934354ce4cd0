"""Long runs of a behaviour that ``tests`` has a short part of."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

from nox_sessions.environment import (
    ONE_THREAD,
    PACKAGES,
    ROOT,
    TEST_TOOLS,
    builders_of,
    install,
    outside,
    torch_options,
)

SLURM_PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")


@nox.session
def reproduce(session: nox.Session) -> None:
    """Make every format once more, with another Python, elsewhere, as somebody else; minutes.

    ``UPLOADER_OTHER_PYTHON`` may name the other interpreter; otherwise it is one of the PATH, or
    the same one where there is no other.
    """
    packages = ("core", "kernels", "lora", "merged", "gguf", "compressed", "provenance")
    install(session, *packages, "kit", "hf", "loopback-hub")
    session.install(*TEST_TOOLS, *torch_options())
    mine = session.run("python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])",
                       silent=True)  # fmt: skip
    others = [f"python3.{minor}" for minor in range(10, 15) if f"3.{minor}" != str(mine).strip()]
    named = os.environ.get("UPLOADER_OTHER_PYTHON")
    other = named or next(filter(is_interpreter, others), "python")
    folder = Path(session.create_tmp()) / "other"
    session.run(other, "-m", "venv", "--clear", str(folder), external=True)
    python = str(next(folder.glob("[bS]*/python*")))
    pip = (python, "-m", "pip", "install", "-q")
    session.run(*pip, "torch", *builders_of(packages), *torch_options(), external=True)
    # Not editable: what a user has, who has no checkout.
    folders = [str(ROOT / "packages" / f"uploader-{name}") for name in packages]
    session.run(*pip, "--no-build-isolation", *folders, "bitsandbytes>=0.50",
                "compressed-tensors>=0.19", *torch_options(), external=True)  # fmt: skip
    session.run("pytest", "tests/behaviour/test_reproduced_elsewhere.py",
                "tests/behaviour/test_reproduce.py", "-rP", "-m", "slow or not slow",
                *session.posargs, env={"UPLOADER_OTHER_PYTHON": python})  # fmt: skip


def is_interpreter(name: str) -> bool:
    """Return whether a name of the PATH runs; that of a version manager may lead nowhere."""
    found = shutil.which(name)
    return found is not None and subprocess.run([found, "-V"], capture_output=True).returncode == 0


@nox.session
def signatures(session: nox.Session) -> None:
    """Sign a hundred releases of four kinds, and have OpenSSF's own verifier judge them; minutes.

    ``UPLOADER_SIGNATURES`` may name another number.
    """
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf", "compressed", "oci",
            "loopback-hub", "hf", "provenance")  # fmt: skip
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests/behaviour/signatures", "-m", "slow or not slow",
                *session.posargs, env=ONE_THREAD | outside(session))  # fmt: skip


@nox.session
def hostile(session: nox.Session) -> None:
    """Give the command every input that was made to do harm; minutes."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests/behaviour/test_hostile_world.py", "-m", "slow or not slow",
                *session.posargs, env={**ONE_THREAD, "UPLOADER_TEST_TIMES": "1"})  # fmt: skip


@nox.session
def slurm(session: nox.Session) -> None:
    """Release through a Slurm that is started on this machine from Debian's packages; minutes."""
    if not shutil.which("slurmctld") and not shutil.which("apt-get"):
        session.skip("no Slurm on the PATH, and no apt-get to fetch it")
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf", "hf", "slurm",
            "loopback-hub")  # fmt: skip
    session.install(*TEST_TOOLS, *torch_options())
    path = os.environ["PATH"]
    if not shutil.which("slurmctld"):
        tools = ROOT / ".nox" / "slurm-programs"
        session.run_install("python", "tools/debian_tools.py", str(tools), *SLURM_PACKAGES)
        path = os.pathsep.join((session.bin, str(tools / "bin"), path))
    suites = ("packages/uploader-slurm/tests", "tests/behaviour/test_slurm.py")
    session.run("pytest", *suites, "-m", "slow or not slow", *session.posargs,
                env=ONE_THREAD | {"PATH": path})  # fmt: skip


@nox.session
def ci_workflow(session: nox.Session) -> None:
    """Run the pipelines of `uploader ci init` line by line, and the fidelity gate."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options(), "sigstore>=4,<5")
    session.run("pytest", "tests/behaviour/test_ci_workflow.py",
                "tests/behaviour/test_fidelity_gate.py", "tests/behaviour/test_hub_identity.py",
                "-m", "slow or not slow",
                *session.posargs)  # fmt: skip


@nox.session
def canary(session: nox.Session) -> None:
    """Look for secrets of a job of a CI everywhere, through 37 forced failures; minutes."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests/behaviour/test_hub_canary.py", "-m", "slow or not slow",
                *session.posargs)  # fmt: skip


@nox.session
def sound_folders(session: nox.Session) -> None:
    """Release what nothing is wrong with, from twenty trainers' folders, in every format."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run(
        "pytest",
        "tests/behaviour/test_sound_folders.py",
        "-m",
        "slow or not slow",
        *session.posargs,
    )
