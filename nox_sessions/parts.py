"""A part of the tests: one package, or what is across packages."""

from __future__ import annotations

import nox

from nox_sessions.environment import PACKAGES, TEST_TOOLS, install, torch_options


@nox.session
@nox.parametrize("name", PACKAGES)
def tests_of(session: nox.Session, name: str) -> None:
    """Run the tests of one package, with only what it needs installed."""
    needed = {"merged": ("kernels", "lora"), "gguf": ("kernels", "lora", "merged"),
              "compressed": ("kernels", "lora", "merged"),
              "mlx": ("kernels", "lora", "merged"),
              "ollama": ("kernels", "lora", "merged", "gguf", "oci"),
              "hf": ("loopback-hub",), "loopback-hub": ("hf",), "demo": PACKAGES[1:-1],
              "trainers": PACKAGES[1:]}  # fmt: skip
    install(session, *dict.fromkeys(("core", "kit", *needed.get(name, ()), name)))
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", f"packages/uploader-{name}/tests", *session.posargs)


@nox.session
def tests_across(session: nox.Session) -> None:
    """Run the tests across packages."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests", *session.posargs)
