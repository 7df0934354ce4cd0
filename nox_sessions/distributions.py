"""Wheels and sdists, built, checked and installed, and how a release of one is prepared."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import nox

from nox_sessions.environment import DIST, PACKAGES, ROOT, install, torch_options


@nox.session
def build(session: nox.Session) -> None:
    """Build wheels and sdists of all packages and check them."""
    session.install("build", "twine")
    shutil.rmtree(DIST, ignore_errors=True)
    for name in PACKAGES:
        build_and_check(session, name)


def build_and_check(session: nox.Session, name: str) -> None:
    """Build the wheel and the sdist of one distribution into ``dist/`` and check them."""
    session.run("python", "-m", "build", "--outdir", str(DIST), f"packages/uploader-{name}")
    files = sorted(DIST.glob(f"uploader_{name.replace('-', '_')}-*"))
    session.run("twine", "check", "--strict", *(str(path) for path in files))
    for path in files:
        check_contents(session, path)


def check_contents(session: nox.Session, path: Path) -> None:
    """Stop when a distribution lacks a file that belongs in it, or has one that does not."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            names = wheel.namelist()
        package = next(name for name in names if name.endswith("/__init__.py")).partition("/")[0]
        wanted = [f"{package}/py.typed", f"{package}/__init__.py", "licenses/LICENSE"]
        foreign = r"^(tests|src)/|\.pyc$|(^|/)\."  # templates may hold folders of these names
    else:
        with tarfile.open(path) as sdist:
            names = sdist.getnames()
        wanted = ["LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "py.typed"]
        # hatchling itself adds .gitignore.
        foreign = r"\.pyc$|/\.(?!gitignore$)"
    missing = [want for want in wanted if not any(name.endswith(want) for name in names)]
    surplus = [name for name in names if re.search(foreign, name)]
    if missing or surplus:
        session.error(f"{path.name}: missing {missing}, should not be there {surplus}")
    session.log(f"{path.name}: {len(names)} files, as they should be")


@nox.session
def kernel_wheels(session: nox.Session) -> None:
    """Build wheels of the kernels for all platforms into ``dist/``, by zig, and try them.

    The one for this machine is compared with llama.cpp, and so is ARM where there is qemu-aarch64.
    """
    install(session, "core", "kit", "kernels")
    session.install("hatchling", "numpy", "pytest", "xllamacpp", "ziglang", *torch_options())
    package = ROOT / "packages" / "uploader-kernels"
    targets = re.findall(r'(?m)^    "([\w.-]+)": "\w+",$', (package / "hatch_build.py").read_text())
    with session.chdir(package):
        for target in targets:
            session.run("python", "-m", "hatchling", "build", "-t", "wheel", "-d", str(DIST),
                        env={"UPLOADER_KERNELS_TARGET": target})  # fmt: skip
    for wheel in sorted(DIST.glob("uploader_kernels-*-py3-none-*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            (name,) = (n for n in packed.namelist() if n.startswith("uploader_kernels_native/"))
            if b"uploader_kernels_encode" not in packed.read(name):
                session.error(f"{wheel.name}: {name} does not export its functions")
            if wheel.name.endswith("manylinux_2_17_x86_64.whl"):
                packed.extractall(session.create_tmp())  # noqa: S202, it was built above
    tests = package / "tests"
    level = ("python", "-c", "import uploader_kernels as k; print(k.load().level)")
    unpacked = {"PYTHONPATH": session.create_tmp()}
    if session.run(*level, silent=True) != session.run(*level, silent=True, env=unpacked):
        session.error("the wheel does not see what this processor can")
    session.run("pytest", str(tests / "test_parity.py"), *session.posargs, env=unpacked)
    session.run("pytest", str(tests / "test_wheel.py"), str(tests / "test_arm.py"),
                "-m", "slow or not slow", *session.posargs)  # fmt: skip


@nox.session
def install_from_wheels(session: nox.Session) -> None:
    """Install built wheels into an empty environment, as a user would, and make a GGUF there."""
    work = Path(session.create_tmp())
    shutil.rmtree(work, ignore_errors=True)
    session.run("python", "-m", "venv", str(work / "empty"))
    folder = work / "empty" / ("Scripts" if os.name == "nt" else "bin")
    python, uploader = str(folder / "python"), str(folder / "uploader")
    session.run(
        python, "-m", "pip", "install", "--find-links", str(DIST), *torch_options(),
        "uploader-core", "uploader-gguf", external=True,
    )  # fmt: skip
    session.run(python, "-m", "pip", "check", external=True)
    installed = session.run(python, "-m", "pip", "list", silent=True, external=True)
    ours = sorted(set(re.findall(r"uploader-\w+", str(installed))))
    if ours != ["uploader-core", "uploader-gguf", "uploader-lora", "uploader-merged"]:
        session.error(f"not exactly what a GGUF needs: {ours}")
    # The fine-tune comes from the session's own environment: a trainer is nothing that gguf needs.
    session.install("torch", *torch_options())
    session.install("peft", "transformers", *torch_options())
    session.run("python", "tests/support/make_fine_tune.py", str(work / "fine-tune"))
    final = work / "fine-tune" / "run" / "final_model"
    session.run(uploader, "plugins", "list", external=True)
    session.run(uploader, "run", str(final), "--plugins", "gguf", "--output", str(work / "release"),
                external=True)  # fmt: skip
    session.run(uploader, "verify", str(work / "release"), external=True)


@nox.session
def release(session: nox.Session) -> None:
    """Prepare a release of one distribution: ``nox -s release -- gguf 0.2.0``.

    The changelog is made of the fragments, the version is set, wheel and sdist are built and
    checked. What is left is to look at it, to commit and to push the tag.
    """
    name, version = (*session.posargs, "", "")[:2]
    if name not in PACKAGES or not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        session.error(f"nox -s release -- NAME VERSION; names: {', '.join(PACKAGES)}")
    session.install("build", "towncrier>=24.8", "twine")
    folder = ROOT / "packages" / f"uploader-{name}"
    news(session, name, "--yes", "--version", version)
    project = folder / "pyproject.toml"
    text, count = re.subn(
        r'(?m)^version = ".+"$', f'version = "{version}"', project.read_text("utf-8"), count=1
    )
    if count != 1:
        session.error(f"{project} has no version")
    project.write_text(text, "utf-8")
    build_and_check(session, name)
    session.log(f"now: git commit -a, git tag uploader-{name}-v{version}, git push --tags")


@nox.session
def changelog(session: nox.Session) -> None:
    """Show what the next changelog of every distribution says."""
    session.install("towncrier>=24.8")
    for name in PACKAGES:
        news(session, name, "--draft", "--version", "next")


def news(session: nox.Session, name: str, *options: str) -> None:
    """Run towncrier on one distribution."""
    (ROOT / "packages" / f"uploader-{name}" / "changelog.d").mkdir(exist_ok=True)
    session.run(
        "towncrier", "build", "--config", str(ROOT / "towncrier.toml"),
        "--dir", str(ROOT / "packages" / f"uploader-{name}"), "--name", f"uploader-{name}",
        *options,
    )  # fmt: skip
