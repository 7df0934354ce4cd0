"""What ``uploader doctor`` should know of torch: which build it is, and for which GPU."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from uploader_core.plugin import Diagnosis
from uploader_merged.cross_check.engines import missing_packages


def diagnose() -> Iterator[Diagnosis]:
    """Look at files; torch is not imported, which takes seconds."""
    yield torch_line(_version_file())
    engines = ["streaming", *(e for e in ("peft", "unsloth") if not missing_packages(e))]
    yield Diagnosis(name="engines", level="ok", what=", ".join(engines))


def _version_file() -> str | None:
    spec = importlib.util.find_spec("torch")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "version.py")
        if path.is_file():
            return path.read_text("utf-8")
    return None


def torch_line(text: str | None) -> Diagnosis:
    """Read which build of torch is installed.

    Args:
        text: torch's own ``version.py``, None when there is none.
    """
    if text is None:
        return Diagnosis(
            name="torch",
            level="fail",
            what="not installed",
            fix="pip install torch, for your GPU: https://pytorch.org/get-started",
        )
    version = re.search(r"__version__ = '([^']+)'", text)
    cuda = re.search(r"(?m)^cuda\b[^=]*= '([^']+)'", text)
    hip = re.search(r"(?m)^hip\b[^=]*= '([^']+)'", text)
    what = version[1] if version else "of an unknown version"
    build = f"CUDA {cuda[1]}" if cuda else f"ROCm {hip[1]}" if hip else "for the processor alone"
    return Diagnosis(name="torch", level="ok", what=f"{what}, {build}")
