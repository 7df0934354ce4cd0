"""llama.cpp's own tools, as the tests compare with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import FolderWeights
from uploader_core.plugin import Artifact, OutputFolder, ReleaseInfo, StepContext
from uploader_gguf import step, toolchain
from uploader_gguf.gguf_file import Header, read_header
from uploader_gguf.quants import QUANTS
from uploader_gguf.settings import GgufSettings

# The only difference that a folder's own name can make.
FOLDER_KEYS = {"general.name"}

_SCRIPT = """
import json, runpy, sys
known = json.loads(sys.argv.pop())
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/gguf-py"]
sys.argv[0:2] = [sys.argv[1] + "/convert_hf_to_gguf.py"]
if known:
    # The script refuses a tokenizer that it has not seen; this is the one line that users edit.
    from conversion.base import TextModel
    TextModel.get_vocab_base_pre = lambda self, tokenizer: known
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def context(folder: Path, place: Path, **settings: Any) -> StepContext:
    """Return what core would hand to the step for a full model folder."""
    return StepContext(
        step="gguf:gguf",
        inputs=(Artifact(kind="checkpoint", path=folder),),
        settings=GgufSettings(**settings),
        release=ReleaseInfo(name=folder.name, source="checkpoint"),
        output=OutputFolder(place / "gguf", place / "scratch", place / "units"),
        work=place / "work",
        produces="gguf",
        version="uploader-gguf test",
    )


def convert(folder: Path, place: Path, quants: tuple[str, ...], **settings: Any) -> dict[str, Path]:
    """Run the step and return the files by kind."""
    original = step.open_weights
    step.open_weights = lambda artifact: FolderWeights(artifact.path)
    try:
        artifact = step.convert(context(folder, place, quants=quants, **settings))
    finally:
        step.open_weights = original
    names = artifact.metadata["quants"]
    assert isinstance(names, dict)
    return {str(kind): artifact.file(name) for name, kind in names.items()}


def llama_cpp_script(folder: Path, target: Path, kind: str) -> Path:
    """Run the unmodified ``convert_hf_to_gguf.py`` on a folder."""
    known = "" if (folder / "tokenizer.model").exists() else "gpt-2"
    root = str(toolchain.find().root)
    arguments = [str(folder), "--outfile", str(target), "--outtype", kind.lower()]
    subprocess.run(
        [sys.executable, "-c", _SCRIPT, root, *arguments, json.dumps(known)],
        check=True,
        capture_output=True,
    )
    return target


def llama_quantize(half: Path, target: Path, kind: str) -> Path:
    """Run llama.cpp's ``llama_model_quantize`` on an F16 file."""
    from cyllama.llama import llama_cpp

    parameters = llama_cpp.LlamaModelQuantizeParams()
    parameters.ftype = QUANTS[kind].ftype
    parameters.nthread = 2
    llama_cpp.model_quantize(str(half), str(target), parameters)
    return target


def same(ours: Path, theirs: Path) -> None:
    """Compare two files: keys with their values and every tensor's type, shape and bytes."""
    a, b = read_header(ours), read_header(theirs)
    keys = (a.keys.keys() | b.keys.keys()) - FOLDER_KEYS
    assert {k: (a.keys.get(k), b.keys.get(k)) for k in keys if a.keys.get(k) != b.keys.get(k)} == {}
    assert {t.name: t for t in a.tensors} == {t.name: t for t in b.tensors}
    ours_data, theirs_data = tensor_bytes(ours, a), tensor_bytes(theirs, b)
    assert [name for name in ours_data if ours_data[name] != theirs_data[name]] == []


def tensor_bytes(path: Path, header: Header) -> dict[str, bytes]:
    data = path.read_bytes()
    return {
        tensor.name: data[offset : offset + tensor.nbytes]
        for tensor, offset in zip(header.tensors, header.offsets, strict=True)
    }
