"""Find the compiled kernels, and choose those that the processor can run."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

FOLDER = "uploader_kernels_native"
INTERFACE = 6
LEVELS = ("plain", "avx2", "avx512")
"""Sets of instructions, as the library counts them."""

LEVEL = "UPLOADER_KERNELS_LEVEL"
"""Variable that asks for a lower set than the processor has."""


class KernelsError(Exception):
    """The kernels cannot be used; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """The compiled kernels, open.

    Attributes:
        path: The file.
        level: Which instructions they use, one of :data:`LEVELS`.
        functions: Its functions, with their signatures.
    """

    path: Path
    level: str
    functions: ctypes.CDLL

    @property
    def number(self) -> int:
        """The level, as the library's functions take it."""
        return LEVELS.index(self.level)


def version() -> str:
    """Return the version of this distribution."""
    return importlib.metadata.version("uploader-kernels")


def load() -> Library:
    """Open the library.

    Raises:
        KernelsError: It is not installed, cannot be opened, has another interface, or the
            environment asks for instructions that the processor does not have.
    """
    return _load(_locate(), os.environ.get(LEVEL) or None)


def load_if_there() -> Library | None:
    """Return what :func:`load` does; None where it fails."""
    try:
        return load()
    except KernelsError:
        return None


def missing() -> str | None:
    """Return why :func:`load` fails and what to do; None where it does not."""
    try:
        load()
    except KernelsError as error:
        return str(error)
    return None


def _locate() -> Path:
    spec = importlib.util.find_spec(FOLDER)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("uploader_kernels.*")):
            return path
    raise KernelsError(
        "uploader-kernels was installed without its library: there is no wheel for this platform,"
        " and no C compiler was found; install gcc or clang, then"
        " pip install --force-reinstall --no-binary uploader-kernels uploader-kernels"
    )


@functools.cache
def _load(path: Path, wanted: str | None) -> Library:
    try:
        functions = ctypes.CDLL(str(path))
        functions.uploader_kernels_interface.restype = ctypes.c_int
        interface = functions.uploader_kernels_interface()
    except (OSError, AttributeError) as error:
        raise KernelsError(
            f"{path.name} cannot be loaded: {error}; pip install --force-reinstall uploader-kernels"
        ) from error
    if interface != INTERFACE:
        raise KernelsError(
            f"{path.name} has interface {interface}, and {INTERFACE} is needed;"
            " pip install --force-reinstall uploader-kernels"
        )
    best = functions.uploader_kernels_level()
    level = LEVELS[best] if wanted is None else wanted
    if level not in LEVELS:
        raise KernelsError(f"{LEVEL}={level} is none of {', '.join(LEVELS)}")
    if LEVELS.index(level) > best:
        raise KernelsError(
            f"{LEVEL}={level}: this processor has no {level}, at most {LEVELS[best]}"
        )
    _declare(functions)
    return Library(path=path, level=level, functions=functions)


def _declare(functions: ctypes.CDLL) -> None:
    """State the C signatures (``native/library.c``), which ctypes cannot know."""
    pointer, number, count = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    functions.uploader_kernels_encode.argtypes = [
        number, number, pointer, pointer, count, count, pointer, pointer,
    ]  # fmt: skip
    functions.uploader_kernels_encode.restype = count
    functions.uploader_kernels_finite.argtypes = [number, pointer, count]
    functions.uploader_kernels_finite.restype = number
    functions.uploader_kernels_round_half.argtypes = [number, pointer, pointer, count]
    functions.uploader_kernels_round_half.restype = number
    functions.uploader_kernels_add_scaled.argtypes = [
        number, number, pointer, pointer, ctypes.c_float, number, pointer, count,
    ]  # fmt: skip
    functions.uploader_kernels_add_scaled.restype = number
    functions.uploader_kernels_add_product.argtypes = [
        number, number, pointer, pointer, pointer, count, count, count, ctypes.c_float, number,
        pointer, pointer,
    ]  # fmt: skip
    functions.uploader_kernels_add_product.restype = number
    functions.uploader_kernels_compress.argtypes = [
        number, number, pointer, count, count, count, number, number, number, ctypes.c_float,
        pointer, pointer,
    ]  # fmt: skip
    functions.uploader_kernels_compress.restype = number
    functions.uploader_kernels_small.argtypes = [
        number, number, pointer, count, count, pointer, number, pointer,
    ]  # fmt: skip
    functions.uploader_kernels_small.restype = None
    functions.uploader_kernels_affine.argtypes = [
        number, number, pointer, count, count, number, pointer, pointer, pointer,
    ]  # fmt: skip
    functions.uploader_kernels_affine.restype = number
