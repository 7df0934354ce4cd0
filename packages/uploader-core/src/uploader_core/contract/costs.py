"""What a step costs: what it occupies, and what an estimate says of it before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a step occupies while it runs.

    Attributes:
        lane: Steps of one lane wait for each other. ``cpu`` has ``--jobs`` places, ``gpu`` and
            ``network`` one each, ``light`` any number.
        gpu_memory: Bytes of GPU memory that must be free before the step starts, whatever the
            model; what depends on the model is in :class:`Estimate`. The run waits for them where
            NVIDIA's library reports how much is free.
    """

    lane: Literal["cpu", "gpu", "network", "light"] = "cpu"
    gpu_memory: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Lever:
    """A choice of the user that makes a step smaller, shown when a disk is too small.

    Attributes:
        option: What to type (``--gguf-quants Q4_K_M``).
        saves: Bytes of disk that it saves at the tightest moment.
    """

    option: str
    saves: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a step's work that can be done by itself, on another machine as well.

    Attributes:
        name: Tells it from the others of the step; of a file that it makes, that file's name.
        size: Bytes that it writes; pieces of about the same size take about the same time.
    """

    name: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Cost of a step, known before it runs, from headers alone.

    Attributes:
        bytes_written: Bytes that stay in the release folder.
        bytes_scratch: Bytes that exist only while the step runs.
        bytes_peak: Most bytes that the step has in the release folder at once; None when that is
            ``bytes_written`` and ``bytes_scratch`` together.
        elsewhere: Bytes that the step leaves in other folders: (folder, bytes).
        bytes_sent: Bytes that go over the network.
        peak_memory: Bytes of private memory above an idle interpreter.
        gpu_memory: Bytes of GPU memory that must be free before it starts.
        seconds: Wall time, or None when nothing is known.
        exact: True when ``bytes_written`` is to the byte.
        files: Names and sizes of single files, where they are known (``model-Q8_0.gguf``).
        levers: What the user could choose to need less disk.
        lane: The lane where settings or the model decide it; None for that of the spec. See
            :class:`Resources`.
        pieces: How the work splits; fewer than two where it does not. Where several workers are to
            be had, ``run`` is called for some pieces at a time, with their names in
            ``context.pieces``, and makes only their files, or parts of a file with
            :meth:`~uploader_core.contract.output.OutputFolder.create_part`. Last it is called
            without pieces, as where nothing is divided, and finds what is made already with
            :meth:`~uploader_core.contract.output.OutputFolder.done` and
            :meth:`~uploader_core.contract.output.OutputFolder.part`. The pieces of steps that one
            call makes belong together in their order.
    """

    bytes_written: int = 0
    bytes_scratch: int = 0
    bytes_peak: int | None = None
    elsewhere: tuple[tuple[str, int], ...] = ()
    bytes_sent: int = 0
    peak_memory: int = 0
    gpu_memory: int = 0
    seconds: float | None = None
    exact: bool = False
    files: tuple[tuple[str, int], ...] = ()
    levers: tuple[Lever, ...] = ()
    lane: Literal["cpu", "gpu", "network", "light"] | None = None
    pieces: tuple[Piece, ...] = ()

    @property
    def tightest(self) -> int:
        """Most bytes in the release folder at once."""
        if self.bytes_peak is not None:
            return max(self.bytes_peak, self.bytes_written)
        return self.bytes_written + self.bytes_scratch
