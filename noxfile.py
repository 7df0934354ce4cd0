# /// script
# dependencies = ["nox>=2024.10"]
# ///
"""Everything that one does with the repository: ``nox -l`` lists the sessions.

``UPLOADER_TORCH_INDEX`` may name an index to take torch from, such as one of CPU builds.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
# In the order of their dependencies.
PACKAGES = ("core", "lora", "merged", "gguf", "hf")
TEST_TOOLS = (
    "cyllama>=0.2.18",  # llama.cpp's own quantiser, the reference of gguf's tests
    "hatchling",
    "hypothesis",
    "peft",
    "pytest",
    "pytest-cov",
    "safetensors",
    "transformers",
)


def install(session: nox.Session, *packages: str, extras: str = "") -> None:
    """Install torch as constrained, then packages of the checkout with what they need."""
    index = os.environ.get("UPLOADER_TORCH_INDEX")
    more = ["--extra-index-url", index] if index else []
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    session.install("torch", *constraints, *more)
    # Side by side in one call, so that pip takes the siblings from here and not from the index.
    targets = []
    for name in packages:
        extra = extras if name == "core" else ""
        targets += ["--editable", f"{ROOT / 'packages' / f'uploader-{name}'}{extra}"]
    session.install(*targets, *constraints, *more)


@nox.session
def demo(session: nox.Session) -> None:
    """Train a tiny model, fine-tune it, release it in every format, and ask each the question."""
    install(session, *PACKAGES, extras="[demo]")
    session.run("uploader", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests of all packages, and those across packages, with coverage."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, "--constraint", str(ROOT / "constraints.txt"))
    session.run("coverage", "erase")
    failed = []
    # A process for each: test folders are no packages, and each has a conftest of its own.
    for folder in [*(f"packages/uploader-{name}/tests" for name in PACKAGES), "tests"]:
        try:
            session.run(
                "coverage", "run", "-m", "pytest", folder, *session.posargs,
                env={"COVERAGE_FILE": str(ROOT / ".coverage"), "TOKENIZERS_PARALLELISM": "false"},
            )  # fmt: skip
        except nox.command.CommandFailed:
            failed.append(folder)
    session.run("coverage", "combine", silent=True)
    if failed:
        session.error(f"failing: {', '.join(failed)}")
    session.run("coverage", "report")


@nox.session
@nox.parametrize("name", PACKAGES)
def tests_of(session: nox.Session, name: str) -> None:
    """Run the tests of one package, with only what it needs installed."""
    needed = {"lora": ("core", "lora"), "merged": ("core", "lora", "merged"),
              "gguf": ("core", "lora", "merged", "gguf"), "hf": ("core", "hf")}  # fmt: skip
    install(session, *needed.get(name, ("core",)))
    session.install(*TEST_TOOLS, "--constraint", str(ROOT / "constraints.txt"))
    session.run("pytest", f"packages/uploader-{name}/tests", *session.posargs)


@nox.session
def tests_across(session: nox.Session) -> None:
    """Run the tests across packages."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, "--constraint", str(ROOT / "constraints.txt"))
    session.run("pytest", "tests", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, import rules and formatting."""
    session.install("ruff>=0.12")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of every package, strictly, against the libraries that they call."""
    # With everything installed: what mypy reports depends on whether it sees torch's own types.
    install(session, *PACKAGES, extras="[demo]")
    session.install("mypy>=1.15", "tomli", "types-requests")
    for name in PACKAGES:
        session.run("mypy", f"packages/uploader-{name}/src")


@nox.session
def build(session: nox.Session) -> None:
    """Build wheels and sdists of all packages and check them."""
    session.install("build", "twine")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for name in PACKAGES:
        session.run("python", "-m", "build", "--outdir", str(dist), f"packages/uploader-{name}")
    files = sorted(str(path) for path in dist.iterdir())
    session.run("twine", "check", "--strict", *files)


@nox.session
def install_from_wheels(session: nox.Session) -> None:
    """Install built wheels as a user would, and make a GGUF with them."""
    index = os.environ.get("UPLOADER_TORCH_INDEX")
    more = ["--extra-index-url", index] if index else []
    session.install("torch", "--constraint", str(ROOT / "constraints.txt"), *more)
    session.install("--find-links", str(ROOT / "dist"), "uploader-core", "uploader-gguf")
    fine_tune = Path(session.create_tmp()) / "fine-tune"
    shutil.rmtree(fine_tune, ignore_errors=True)
    session.install("peft")
    session.run("python", "tests/make_fine_tune.py", str(fine_tune))
    session.run("uploader", "plugins", "list")
    session.run("uploader", "run", str(fine_tune / "run" / "final_model"), "--plugins", "gguf")
