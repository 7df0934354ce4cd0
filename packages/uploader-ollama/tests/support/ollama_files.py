"""Small GGUF files with a vocabulary of a few words, and releases made of them."""

from __future__ import annotations

import hashlib
import logging
import random
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uploader_core.plugin import Artifact, OutputFolder, ReleaseInfo, StepContext, UploadFile
from uploader_gguf.format.gguf_file import TensorInfo, header, string
from uploader_gguf.format.quants import QUANTS, TensorType

TOKENS = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eom_id|>", "hello")
OWN = "{% for m in messages %}<<{{ m.role }}>>{{ m.content }}<|im_end|>\n{% endfor %}"
"""A chat template that is near no family's."""
RELEASE = ReleaseInfo(name="tiny", source="adapter")


def gguf(path: Path, kind: str = "Q8_0", *, size: int = 4096, **keys: Any) -> Path:
    """Write a GGUF file.

    Args:
        path: Where.
        kind: ``general.file_type``.
        size: Bytes of its tensor, about.
        keys: With ``__`` for dots, besides or instead of a small Llama's; None for none.
    """
    said: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.file_type": QUANTS[kind].ftype,
        "general.quantization_version": 2,
        "llama.block_count": 1,
        "llama.context_length": 128,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.tokens": list(TOKENS),
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.eot_token_id": 4,
        "tokenizer.chat_template": OWN,
        **{key.replace("__", "."): value for key, value in keys.items()},
    }
    tensor = TensorInfo(name="output.weight", shape=(1, max(size // 4, 1)), kind=TensorType.F32)
    packed = {key: _packed(value) for key, value in said.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(kind)
    path.write_bytes(header(packed, [tensor]) + rng.randbytes(tensor.nbytes))
    return path


def upload_file(path: Path, *, role: str = "weights", kind: str = "gguf") -> UploadFile:
    """Return a file as a run lists it."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return UploadFile(
        name=path.name, path=path, size=len(content), sha256=digest, role=role, kind=kind
    )


def release(folder: Path, *kinds: str, size: int = 4096, **keys: Any) -> tuple[UploadFile, ...]:
    """Write a file for each kind, and a card."""
    files = [gguf(folder / f"tiny-{kind}.gguf", kind, size=size, **keys) for kind in kinds]
    (folder / "README.md").write_text("# Größe\n", "utf-8")
    documents = (upload_file(folder / "README.md", role="document", kind="document"),)
    return (*map(upload_file, files), *documents)


def artifact_of(files: Sequence[UploadFile], kind: str = "gguf") -> Artifact:
    """Return what the GGUF step says of its files."""
    names = {f.name: f.name.split("-")[-1].removesuffix(".gguf") for f in files}
    quants = {n: k for n, k in names.items() if n.startswith("tiny-") and n.endswith(".gguf")}
    return Artifact(kind=kind, path=files[0].path.parent, metadata={"quants": quants})


def step(
    target: str,
    files: Sequence[UploadFile],
    settings: Any,
    work: Path,
    *,
    inputs: Sequence[Artifact] | None = None,
    secrets: Mapping[str, str] | None = None,
    on_progress: Callable[..., None] = lambda *_: None,
) -> StepContext:
    """Return what core gives an upload."""
    work.mkdir(parents=True, exist_ok=True)
    return StepContext(
        step="ollama:create",
        inputs=tuple(inputs) if inputs is not None else (artifact_of(files),),
        settings=settings,
        release=RELEASE,
        output=OutputFolder(work / "none", work),
        work=work,
        state=work,
        target=target,
        destination=f"ollama:{target}",
        targets=(target,),
        files=tuple(files),
        secrets=dict(secrets or {}),
        log=logging.getLogger("uploader.step"),
        on_progress=on_progress,
    )


def _packed(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + string(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    items = [_packed(item) for item in value]
    kind = items[0][:4]
    return (
        struct.pack("<I", 9) + kind + struct.pack("<Q", len(items)) + b"".join(i[4:] for i in items)
    )
