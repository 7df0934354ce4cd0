"""Choose a mixture for a plan, in a process of its own.

It is asked with JSON on standard input, see :mod:`uploader_gguf.target_size.ahead`, and the last
line on standard output is the answer. Nothing is written but copies of small files in a temporary
folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uploader_core.plugin import Artifact, RefusedError, ReleaseInfo, Size, UploaderError
from uploader_gguf.importance import imatrix
from uploader_gguf.llama_cpp import toolchain
from uploader_gguf.llama_cpp.converter import plan
from uploader_gguf.llama_cpp.converter_folder import prepare_folder
from uploader_gguf.llama_cpp.weights import open_weights
from uploader_gguf.settings import GgufSettings
from uploader_gguf.target_size.pick import Problem
from uploader_gguf.tokenizer import vocabulary
from uploader_gguf.writing.release_files import file_limit


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Choose, and return what a plan says of it.

    Args:
        request: ``checkpoint``, ``release`` and ``settings`` of the step, as JSON has them.

    Returns:
        ``bytes``, and ``bits``, ``summary``, ``stock`` and ``largest`` where the types are chosen;
        ``refused`` and ``next`` where the model cannot be so small.
    """
    settings = _settings(request["settings"])
    wish = settings.wish()
    assert wish is not None
    given = request["checkpoint"]
    path = Path(given["path"])
    weights = open_weights(Artifact(kind="checkpoint", path=path, metadata=given["metadata"]))
    told = request["release"]
    release = ReleaseInfo(**{**told, "leave_behind": tuple(told["leave_behind"])})
    base = given["metadata"].get("base")
    base = Path(base) if isinstance(base, str) else None
    with tempfile.TemporaryDirectory() as work:
        conversion = plan(
            toolchain.find(settings.llama_cpp),
            weights,
            prepare_folder(weights, release, Path(work, "c"), base, settings.quantized_by),
            kinds=set(),
            pre_tokenizer=vocabulary.Resolver(settings.pre_tokenizer, base),
            mtp=settings.mtp,
        )
        importance = None if settings.imatrix is None else imatrix.load(settings.imatrix)
        limit = file_limit(settings.split_size)
        problem = Problem(conversion, importance, settings.overrides(), limit, settings.kernels)
        try:
            problem.check(wish)
        except RefusedError as error:
            return {"refused": error.what, "next": error.next}
        if settings.calibration is not None:
            return {"bytes": wish.budget(problem.parameters)}
        picked = problem.pick(wish, lambda *_: None)
    stock = None
    if picked.stock is not None and picked.stock[1] > 0:
        stock = (picked.stock[0], picked.error / picked.stock[1])
    return {
        "bytes": picked.nbytes,
        "bits": 8 * picked.nbytes / picked.parameters,
        "summary": picked.summary,
        "stock": stock,
        "largest": picked.largest,
    }


def _settings(given: dict[str, Any]) -> GgufSettings:
    kinds: dict[str, Callable[[Any], Any]] = {"imatrix": Path, "llama_cpp": Path}
    kinds["split_size"] = Size
    values: dict[str, Any] = {}
    for name, value in given.items():
        values[name] = tuple(value) if isinstance(value, list) else value
        if value is not None and name in kinds:
            values[name] = kinds[name](value)
    return GgufSettings(**values)


def main() -> None:
    """Answer one request."""
    try:
        found = answer(json.loads(sys.stdin.read()))
    except UploaderError as error:
        sys.exit(str(error.what))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
