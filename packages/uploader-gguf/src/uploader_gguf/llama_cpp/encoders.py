"""Choose who quantises: the fast kernels, where they give llama.cpp's bytes, or llama.cpp's own.

The fast ones are asked first for a few rows whose bytes llama.cpp makes as well. Where these differ
(a llama.cpp that was compiled to round otherwise), its own are used.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import uploader_kernels
from uploader_core.plugin import IntegrityError
from uploader_gguf.format.quants import TensorType
from uploader_gguf.llama_cpp import kernels, library
from uploader_gguf.llama_cpp.kernels import Rows

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoders:
    """Stores rows as types; safe to use from several threads.

    Attributes:
        fast: The library with fast kernels, None to use llama.cpp's own for everything.
        trusted: Types that the fast kernels make with llama.cpp's bytes.
        distrusted: Names of types that they make otherwise, so that llama.cpp's own do.
        reasons: Why llama.cpp's own are used, a line each; empty where the user wants them.
    """

    fast: uploader_kernels.Library | None = None
    trusted: frozenset[TensorType] = frozenset()
    distrusted: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def record(self) -> str:
        """Who made the bytes, for the manifest."""
        if self.fast is None:
            return library.version()
        who = f"uploader-kernels {uploader_kernels.version()}, {self.fast.level}"
        if self.distrusted:
            who += f"; {library.version()} for {', '.join(self.distrusted)}"
        return who

    def encode(
        self, rows: Rows, kind: TensorType, importance: npt.NDArray[np.float32] | None = None
    ) -> Bytes:
        """Store finite rows as a type; see :func:`uploader_gguf.llama_cpp.kernels.encode`.

        Raises:
            IntegrityError: A value became infinite: the type cannot hold it.
        """
        if self.fast is None or kind not in self.trusted:
            return kernels.encode(rows, kind, importance)
        rows = np.ascontiguousarray(rows)
        out, strange = uploader_kernels.encode(self.fast, rows, int(kind), importance)
        for row in {int(block) // (rows.shape[1] // kind.block) for block in strange}:
            out[row] = kernels.encode(rows[row : row + 1], kind, importance)[0]
        return out

    def halve(self, rows: Rows) -> Rows:
        """Return values as F16 holds them.

        Raises:
            IntegrityError: F16 cannot hold one.
        """
        if self.fast is None:
            self.require_finite(rows)
            return kernels.widen(kernels.encode(rows, TensorType.F16), rows.shape[1])
        halved, finite = uploader_kernels.round_half(self.fast, np.ascontiguousarray(rows))
        if not finite:
            self.require_finite(rows)
            raise kernels.not_finite(TensorType.F16)
        return halved

    def require_finite(self, rows: Rows) -> None:
        """Refuse NaN and infinities.

        Raises:
            IntegrityError: There is one.
        """
        if self.fast is None:
            finite = bool(np.isfinite(rows).all())
        else:
            finite = uploader_kernels.all_finite(self.fast, np.ascontiguousarray(rows))
        if not finite:
            raise IntegrityError(
                "a value is NaN or infinite",
                owner="the model's weights",
                next="look for NaN or infinite values in the adapter and in the base",
            )


def choose(wanted: str, kinds: Collection[TensorType]) -> Encoders:
    """Return who stores the types of a run.

    Args:
        wanted: ``auto``, or ``reference`` for llama.cpp's own kernels.
        kinds: All types that will be stored.
    """
    kernels.prepare(set(kinds))
    if wanted == "reference":
        return Encoders()
    try:
        fast = uploader_kernels.load()
    except uploader_kernels.KernelsError as error:
        return Encoders(reasons=(str(error),))
    known = {kind for kind in kinds if int(kind) in uploader_kernels.TYPES}
    trusted = frozenset(kind for kind in known if _same_bytes(fast, kind))
    return Encoders(
        fast=fast,
        trusted=trusted,
        distrusted=tuple(kind.name for kind in sorted(known - trusted)),
        reasons=tuple(
            f"{kind.name}: the fast kernel gives other bytes here than {library.version()}"
            for kind in sorted(known - trusted)
        ),
    )


def _same_bytes(fast: uploader_kernels.Library, kind: TensorType) -> bool:
    """Compare a few rows: of weights' size, with outliers, and tiny ones."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((12, 512), dtype=np.float32)
    rows *= np.repeat(np.array([0.02, 1.0, 1e-6], dtype=np.float32), 4)[:, None]
    rows[::4, ::37] *= 20
    weights = random.random(512, dtype=np.float32)
    for importance in (None, weights):
        ours, strange = uploader_kernels.encode(fast, rows, int(kind), importance)
        if len(strange) or not np.array_equal(ours, kernels.encode(rows, kind, importance)):
            return False
    return True
