"""The demo, and the picture of a run that the README shows."""

from __future__ import annotations

from pathlib import Path

import nox

from nox_sessions.environment import PACKAGES, install


@nox.session
def demo(session: nox.Session) -> None:
    """Train a tiny model, fine-tune it, release it in every format, and ask each the question."""
    install(session, *PACKAGES)
    session.run("uploader", "demo", *session.posargs)


@nox.session
def picture(session: nox.Session) -> None:
    """Draw the picture of a run in the README anew: ``nox -s picture -- /home/me/harbour``.

    The folder is where it runs, as the picture shows it; it must not exist, and is removed.
    """
    install(session, *PACKAGES)
    session.install("pexpect", "pyte")
    demo = Path(session.create_tmp()) / "demo"
    session.run("uploader", "demo", "--small", "--dir", str(demo))
    session.run("python", "docs/picture.py", str(demo), "docs/images/run.svg", *session.posargs)
