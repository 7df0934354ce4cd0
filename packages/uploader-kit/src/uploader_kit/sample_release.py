"""A small release to send, and the manifest that lists it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from uploader_core.artifact import Json, UploadFile
from uploader_core.disk.safe_write import hash_file, write_json
from uploader_core.manifest_file import NAME, SCHEMA
from uploader_kit.trial import Trial


def with_manifest(trial: Trial, files: tuple[UploadFile, ...]) -> Trial:
    """Return the upload of some files and the manifest that lists them."""
    return replace(trial, files=(*files, _manifest(trial.root / "manifest", files)))


def _manifest(folder: Path, files: tuple[UploadFile, ...]) -> UploadFile:
    """Write the manifest of a release, as a run sends it."""
    path = folder / str(len(files)) / NAME
    listed: list[Json] = [
        {"path": f.name, "size": f.size, "sha256": f.sha256, "role": f.role, "kind": f.kind}
        for f in files
    ]
    made: list[Json] = [{"kind": kind} for kind in sorted({f.kind for f in files})]
    digest = write_json(path, {"schema": SCHEMA, "files": listed, "artifacts": made})
    return UploadFile(
        name=NAME,
        path=path,
        size=path.stat().st_size,
        sha256=digest,
        role="document",
        kind="document",
    )


def make_release(folder: Path, size: int) -> tuple[UploadFile, ...]:
    """Write what a small release holds.

    Args:
        folder: Where to put it.
        size: Bytes of the weights.
    """
    rng = random.Random(5)  # noqa: S311 - bytes to send, not keys
    contents = {
        "model.safetensors": (rng.randbytes(size), "weights"),
        "config.json": (b'{"model_type": "llama"}\n', "config"),
        "lora/adapter_config.json": (b"{}\n", "config"),
        "README.md": ("# Größe 模型\n".encode(), "document"),
    }
    files = []
    for name, (content, role) in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        length, digest = hash_file(path)
        kind = "lora" if name.startswith("lora/") else "merged-16bit"
        files.append(
            UploadFile(name=name, path=path, size=length, sha256=digest, role=role, kind=kind)
        )
    return tuple(files)


def documents_first(trial: Trial) -> Trial:
    """Put the documents first, where whoever sends in the order of the list sends them."""
    files = sorted(trial.files, key=lambda file: file.role != "document")
    return replace(trial, files=tuple(files))


def without_last(files: tuple[UploadFile, ...]) -> tuple[UploadFile, ...]:
    """Leave the last file out that is no document, as a later release might."""
    last = [file for file in files if file.role != "document"][-1]
    return tuple(file for file in files if file is not last)
