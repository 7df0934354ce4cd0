"""Measurements: time, memory and disk."""

from __future__ import annotations

from pathlib import Path

import nox

from nox_sessions.environment import PACKAGES, ROOT, TEST_TOOLS, install, outside, torch_options


@nox.session
def bench(session: nox.Session) -> None:
    """Run a benchmark: ``nox -s bench -- merge_speed --shape 0.5b``; without a name, all, tiny."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    name, *options = session.posargs or [""]
    scripts = sorted((ROOT / "benchmarks").glob(f"{name or '*'}.py"))
    if not scripts:
        session.error(f"there is no benchmarks/{name}.py")
    tools = outside(session)
    for script in scripts:
        session.run(
            "python", str(script), "--work", str(Path(session.create_tmp()) / script.stem),
            *(options or ("--shape", "tiny", "--rounds", "1")),
            env=tools,
        )  # fmt: skip


@nox.session
def memory_limit(session: nox.Session) -> None:
    """Merge and quantise a 3B model where no process may have more than 2 GB; 15 GB of disk."""
    install(session, *PACKAGES)
    session.install("psutil", "tokenizers")
    session.run("python", "benchmarks/memory_limit.py", "--work", session.create_tmp(),
                *session.posargs)  # fmt: skip


@nox.session
def peak_disk(session: nox.Session) -> None:
    """Compare the disk that plans predict with what runs take, over all kinds of request."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests/behaviour/test_peak_disk.py", "-s", "-m", "slow or not slow",
                *session.posargs)  # fmt: skip
