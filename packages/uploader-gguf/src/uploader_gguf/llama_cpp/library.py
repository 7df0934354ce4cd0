"""The shared library with ggml's kernels and llama.cpp, found and opened through ctypes.

The ``xllamacpp`` wheels carry all of it in one file that exports the C functions. This module is
the only one that knows where; everything else asks :func:`load`. The Python side of xllamacpp is
not imported.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path

import importlib_metadata

from uploader_core.plugin import PluginError

PACKAGE = "xllamacpp"
_SUFFIXES = (".so", ".dylib", ".pyd", ".dll")


def locate() -> Path:
    """Return the library's path without opening it.

    Raises:
        PluginError: The package is not installed, or has no library in it.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).iterdir()):
            if path.name.startswith(PACKAGE) and path.suffix in _SUFFIXES:
                return path
    raise PluginError(
        "the library with llama.cpp's quantisers is not installed",
        owner=f"the package {PACKAGE}",
        next=f"pip install {PACKAGE}",
    )


def version() -> str:
    """Return distribution and version, for records (``xllamacpp 2026.10.11549``)."""
    return f"{PACKAGE} {importlib_metadata.version(PACKAGE)}"


@functools.cache
def load() -> ctypes.CDLL:
    """Open the library.

    Raises:
        PluginError: It cannot be opened, or does not export what is needed.
    """
    path = locate()
    try:
        library = ctypes.CDLL(str(path))
        _declare(library)
    except (OSError, AttributeError) as error:
        raise PluginError(
            f"{path.name} cannot be used: {error}",
            owner=version(),
            next=f"pip install --force-reinstall {PACKAGE}",
        ) from error
    return library


def _declare(library: ctypes.CDLL) -> None:
    """State the C signatures, which ctypes cannot know (ggml.h)."""
    floats, anything, count = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
    library.ggml_quantize_init.argtypes = [ctypes.c_int]
    library.ggml_quantize_init.restype = None
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        floats,
        anything,
        count,
        count,
        count,
        floats,
    ]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_row_size.argtypes = [ctypes.c_int, count]
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_validate_row_data.argtypes = [ctypes.c_int, anything, ctypes.c_size_t]
    library.ggml_validate_row_data.restype = ctypes.c_bool
    library.ggml_fp16_to_fp32_row.argtypes = [anything, floats, count]
    library.ggml_fp16_to_fp32_row.restype = None
