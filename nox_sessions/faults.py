"""Kills, full disks, and bad lines to servers."""

from __future__ import annotations

import nox

from nox_sessions.environment import (
    ONE_THREAD,
    PACKAGES,
    TEST_TOOLS,
    install,
    outside,
    torch_options,
)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill at random moments and at system calls, fill disks, damage inputs; half an hour.

    ``-- test_kill.py`` and so on for one of them; ``tests`` has a short part of each.
    """
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    names = session.posargs or [""]
    session.run(
        "pytest", *(f"tests/faults/{name}" for name in names), "-m", "slow or not slow", "-s"
    )


@nox.session
def batch_kills(session: nox.Session) -> None:
    """Kill a batch of five fine-tunes at twenty random moments; ``tests`` has a short part."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests/faults/test_batch_kills.py", "-m", "slow or not slow", "-s",
                *session.posargs, env=ONE_THREAD)  # fmt: skip


@nox.session
def faults_hub(session: nox.Session) -> None:
    """Publish through 125 seeded schedules of faults."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "packages/uploader-hf/tests/publishing/test_schedules.py",
                "-m", "slow or not slow", *session.posargs)  # fmt: skip


@nox.session
def faults_oci(session: nox.Session) -> None:
    """Push through a hundred seeded schedules of faults, to Debian's docker-registry."""
    install(session, "core", "kit", "oci")
    session.install("cryptography>=42", "pytest")
    session.run("pytest", "packages/uploader-oci/tests/publishing/test_schedules.py",
                "-m", "slow or not slow", *session.posargs, env=outside(session))  # fmt: skip


@nox.session
def faults_fsspec(session: nox.Session) -> None:
    """Fetch from and send to moto's S3 server over a hundred seeded bad lines; minutes."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "packages/uploader-fsspec/tests", "tests/behaviour/test_bucket.py",
                "-m", "slow or not slow", *session.posargs, env=ONE_THREAD)  # fmt: skip
