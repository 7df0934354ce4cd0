"""What ``uploader doctor`` should know of llama.cpp: which one is here, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator

from uploader_core.plugin import Diagnosis, UploaderError
from uploader_gguf.llama_cpp import library, toolchain


def diagnose() -> Iterator[Diagnosis]:
    """Find the conversion code and the library; neither is loaded."""
    try:
        chain = toolchain.find()
        known = chain.architectures()
        yield Diagnosis(
            name="conversion",
            level="ok",
            what=f"{chain.version}: {len(known['text'])} architectures, "
            f"{len(known['mmproj'])} with images or sound",
        )
    except UploaderError as error:
        yield Diagnosis(name="conversion", level="fail", what=error.what, fix=error.next)
    try:
        library.locate()
        yield Diagnosis(name="llama.cpp", level="ok", what=library.version())
    except UploaderError as error:
        yield Diagnosis(name="llama.cpp", level="fail", what=error.what, fix=error.next)
