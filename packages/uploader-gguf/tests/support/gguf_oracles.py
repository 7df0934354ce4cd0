"""llama.cpp's own tools, as the tests compare with them."""

from __future__ import annotations

import ctypes
import json
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uploader_core.plugin import Artifact, OutputFolder, ReleaseInfo, StepContext
from uploader_gguf import step
from uploader_gguf.format import gguf_file
from uploader_gguf.format.gguf_file import Header, TensorInfo, read_header
from uploader_gguf.format.quants import QUANTS, TensorType
from uploader_gguf.llama_cpp import toolchain
from uploader_gguf.settings import GgufSettings

# The only difference that a folder's own name can make.
FOLDER_KEYS = {"general.name"}

_SCRIPT = """
import json, runpy, sys
root, jobs = sys.argv[1], json.loads(sys.argv[2])
sys.path[:0] = [root, root + "/gguf-py"]
from conversion.base import TextModel
recognise = TextModel.get_vocab_base_pre
for arguments, known in jobs:
    # The script refuses a tokenizer that it has not seen; this is the one function users edit.
    TextModel.get_vocab_base_pre = (lambda *_: known) if known else recognise
    sys.argv = [root + "/convert_hf_to_gguf.py", *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Job:
    """One run of ``convert_hf_to_gguf.py``."""

    folder: Path
    target: Path
    kind: str
    flags: tuple[str, ...] = ()


def context(
    folder: Path,
    place: Path,
    *,
    adapter: Path | None = None,
    release: ReleaseInfo | None = None,
    **settings: Any,
) -> StepContext:
    """Return what core would hand to the step.

    Chat prompts are compared where a test asks for it: a fifth of a second for each conversion.
    """
    return StepContext(
        step="gguf:gguf",
        inputs=(
            Artifact(
                kind="checkpoint",
                path=folder,
                metadata={
                    "base": str(folder),
                    "adapters": [[str(adapter), 1.0]] if adapter else [],
                },
            ),
        ),
        settings=GgufSettings(**{"template_check": False, **settings}),
        release=release or ReleaseInfo(name=folder.name, source="checkpoint"),
        output=OutputFolder(place / "gguf", place / "scratch", place / "units"),
        work=place / "work",
        produces="gguf",
        version="uploader-gguf test",
    )


def convert(folder: Path, place: Path, quants: tuple[str, ...], **settings: Any) -> dict[str, Path]:
    """Run the step and return the files by kind."""
    artifact = step.convert(context(folder, place, quants=quants, **settings))
    names = artifact.metadata["quants"]
    assert isinstance(names, dict)
    return {str(kind): artifact.file(name) for name, kind in names.items()}


def run_script(jobs: list[Job]) -> None:
    """Run the unmodified ``convert_hf_to_gguf.py`` on folders, in one process."""
    given = [
        (
            [
                *(str(job.folder), "--outfile", str(job.target)),
                *("--outtype", job.kind.lower(), *job.flags),
            ],
            _known(job.folder / "tokenizer.json"),
        )
        for job in jobs
    ]
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(toolchain.find().root), json.dumps(given)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _known(path: Path) -> str:
    text = path.read_text("utf-8") if path.is_file() else ""
    return "gpt-2" if "ByteLevel" in text else "bert-bge" if "BertPreTokenizer" in text else ""


def llama_quantize(
    half: Path,
    target: Path,
    kind: str,
    *,
    importance: dict[str, np.ndarray] | None = None,
    **parameters: Any,
) -> Path:
    """Run llama.cpp's ``llama_model_quantize`` on an F16 file."""
    from cyllama.llama import llama_cpp

    chosen = llama_cpp.LlamaModelQuantizeParams()
    chosen.ftype = QUANTS[kind].ftype
    chosen.nthread = 2
    for name, value in parameters.items():
        setattr(chosen, name, value)
    kept = _set_importance(chosen, importance) if importance else None
    llama_cpp.model_quantize(str(half), str(target), chosen)
    del kept
    return target


class _Entry(ctypes.Structure):
    """``struct llama_model_imatrix_data`` of llama.h."""

    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t))


def _set_importance(parameters: Any, importance: dict[str, np.ndarray]) -> Any:
    """Give the C structure inside the Python object its importance matrix.

    cyllama has the field but no way to set it. The structure begins with ``nthread`` and
    ``ftype``, which are found in the object's memory by their values; the pointer stands 24 bytes
    after them in ``struct llama_model_quantize_params``.
    """
    arrays = {name: np.ascontiguousarray(v, np.float32) for name, v in importance.items()}
    entries = (_Entry * (len(arrays) + 1))(
        *(_Entry(name.encode(), a.ctypes.data, a.size) for name, a in arrays.items())
    )
    parameters.nthread = 0x01020304
    mark = struct.pack("<ii", 0x01020304, parameters.ftype)
    start = ctypes.string_at(id(parameters), 64).index(mark)
    parameters.nthread = 2
    ctypes.c_void_p.from_address(id(parameters) + start + 24).value = ctypes.addressof(entries)
    return entries, arrays


def same(ours: Path, theirs: Path, ignore: str = "\0", tolerate: float = 0.0) -> int:
    """Compare two files: keys with their values and every tensor's type, shape and bytes.

    Args:
        ours: A file of the step.
        theirs: One of llama.cpp's tools.
        ignore: Beginning of keys that may differ.
        tolerate: Share of a tensor's bytes that may differ.

    Returns:
        The number of tensors that were compared.
    """
    a, b = read_header(ours), read_header(theirs)
    keys = {k for k in a.keys.keys() | b.keys.keys() if not k.startswith(ignore)} - FOLDER_KEYS
    assert {k: (a.keys.get(k), b.keys.get(k)) for k in keys if a.keys.get(k) != b.keys.get(k)} == {}
    assert {t.name: t for t in a.tensors} == {t.name: t for t in b.tensors}
    ours_data, theirs_data = tensor_bytes(ours, a), tensor_bytes(theirs, b)
    shares = {n: _share(ours_data[n], theirs_data[n]) for n in ours_data}
    assert {name: share for name, share in shares.items() if share > tolerate} == {}
    return len(shares)


def _share(a: bytes, b: bytes) -> float:
    return float(np.mean(np.frombuffer(a, np.uint8) != np.frombuffer(b, np.uint8)))


def tensor_bytes(path: Path, header: Header) -> dict[str, bytes]:
    data = path.read_bytes()
    return {
        tensor.name: data[offset : offset + tensor.nbytes]
        for tensor, offset in zip(header.tensors, header.offsets, strict=True)
    }


def save_imatrix(path: Path, importance: dict[str, np.ndarray], count: float = 4.0) -> Path:
    """Write the GGUF format of ``llama-imatrix``."""
    text = struct.pack("<I", 8)
    keys = {
        "general.type": text + gguf_file.string("imatrix"),
        "imatrix.datasets": struct.pack("<IIQ", 9, 8, 1) + gguf_file.string("/home/me/calib.txt"),
        "imatrix.chunk_count": gguf_file.uint32(7),
        "imatrix.chunk_size": gguf_file.uint32(512),
    }
    tensors, data = [], b""
    for name, values in importance.items():
        for suffix, part in ((".in_sum2", values * count), (".counts", np.float32([count]))):
            raw = part.astype(np.float32).tobytes()
            shape = (1, part.size)
            tensors.append(TensorInfo(name=name + suffix, shape=shape, kind=TensorType.F32))
            data += raw + bytes(gguf_file.padding(len(raw)))
    path.write_bytes(gguf_file.header(keys, tensors) + data)
    return path
