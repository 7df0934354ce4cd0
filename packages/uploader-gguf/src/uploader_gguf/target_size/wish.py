"""What ``--gguf-target-size`` asks for: bytes of a file, or bits for each weight. Light."""

from __future__ import annotations

import re
from dataclasses import dataclass

from uploader_core.plugin import Size, UsageError

_BITS = re.compile(r"(\d+(?:\.\d+)?)\s*bpw", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetSize:
    """A wish for a size.

    Attributes:
        label: The wish in one word, which ends the name of the file (``4.5bpw``, ``4GiB``).
        bits: Bits for each weight, of the whole file; None where bytes were asked for.
        size: Bytes of the file; None where bits were asked for.
    """

    label: str
    bits: float | None
    size: int | None

    def budget(self, parameters: int) -> int:
        """Return the bytes that a file may have, header and padding included.

        Args:
            parameters: Weights of the model.
        """
        if self.size is not None:
            return self.size
        assert self.bits is not None
        return int(self.bits * parameters / 8)


def parse(text: str) -> TargetSize:
    """Read the option.

    Raises:
        UsageError: Neither a size nor bits per weight.
    """
    bits, number = _BITS.fullmatch(text.strip()), _NUMBER.fullmatch(text.strip())
    try:
        if bits is not None and float(bits[1]) > 0:
            return TargetSize(label=f"{float(bits[1]):g}bpw", bits=float(bits[1]), size=None)
        size = Size(text)
        if size > 0 and number is not None:
            label = f"{float(number[1]):.12g}{number[2] or 'B'}"
            return TargetSize(label=label, bits=None, size=int(size))
    except ValueError:
        pass
    raise UsageError(
        f"--gguf-target-size {text!r} is neither a size nor bits per weight",
        owner="option --gguf-target-size",
        next="write a size such as 4.0GiB, or bits per weight such as 4.5bpw",
    )
