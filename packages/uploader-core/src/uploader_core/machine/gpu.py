"""How much GPU memory is free, by NVIDIA's own library, and waiting for enough of it.

``nvidia-ml-py`` (the extra ``uploader-core[gpu]``) asks the driver; neither torch nor CUDA is
started, so a run that only looks takes no memory of the GPU itself.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from uploader_core.errors import CancelledError, TemporaryError
from uploader_core.human_text import size_text

WAIT = "UPLOADER_GPU_WAIT"
_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU.

    Attributes:
        index: As the driver counts.
        name: Of the product.
        total: Bytes of memory.
        free: Bytes that are free now.
        holders: Processes with memory on it: (process id, bytes); bytes are 0 where the driver
            does not say.
    """

    index: int
    name: str
    total: int
    free: int
    holders: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the driver said.

    Attributes:
        gpus: Those that this process may use.
        driver: Its version, "" when there is none.
        why: Why nothing is known of GPUs, "" when something is.
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    why: str = ""


def look() -> Report:
    """Ask the driver. Anything that fails is said in ``why``; nothing is raised."""
    try:
        import pynvml
    except ImportError:
        return Report(why="nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Report(why=f"no driver of NVIDIA answers ({error})")
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        found = tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        return Report(why=f"NVIDIA's driver does not report it: {error}")
    finally:
        pynvml.nvmlShutdown()
    return Report(gpus=visible(found, os.environ.get("CUDA_VISIBLE_DEVICES")), driver=driver)


def _gpu(pynvml: Any, index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:  # not told in WSL and in some containers
        running = []
    return Gpu(
        index=index,
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        total=int(memory.total),
        free=int(memory.free),
        holders=tuple((int(p.pid), int(p.usedGpuMemory or 0)) for p in running),
    )


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def visible(gpus: Sequence[Gpu], variable: str | None) -> tuple[Gpu, ...]:
    """Leave out what ``CUDA_VISIBLE_DEVICES`` hides.

    Args:
        gpus: All, in the driver's order.
        variable: Its value, None when it is not set. Names that are no numbers (``GPU-...``,
            ``MIG-...``) are not told apart here, and hide nothing.
    """
    if variable is None:
        return tuple(gpus)
    parts = [part.strip() for part in variable.split(",") if part.strip()]
    if not all(part.lstrip("-").isdigit() for part in parts):
        return tuple(gpus)
    found = []
    for part in parts:  # what stands behind a number that does not exist is hidden too
        if int(part) not in {gpu.index for gpu in gpus}:
            break
        found.append(next(gpu for gpu in gpus if gpu.index == int(part)))
    return tuple(found)


def roomiest(gpus: Sequence[Gpu]) -> Gpu | None:
    """Return the GPU with the most free memory, the first of equals; None when there is none."""
    return max(gpus, key=lambda gpu: (gpu.free, -gpu.index), default=None)


def release_own() -> None:
    """Give back what this process holds of a GPU and does not use any more.

    Only where torch is loaded already, as in a notebook that trained the model: its allocator
    keeps the memory of tensors that are gone, and no other process can have it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not getattr(torch, "cuda", None) or not torch.cuda.is_initialized():
        return
    gc.collect()
    torch.cuda.empty_cache()


def wait_for(
    needed: int,
    tell: Callable[[str], None],
    *,
    ask: Callable[[], Report] = look,
    limit: float | None = None,
    pause: float = 1.0,
    stopped: Callable[[], bool] = lambda: False,
) -> Gpu | None:
    """Return when a GPU has enough free memory.

    Args:
        needed: Bytes.
        tell: Told what is waited for, whenever that changes.
        ask: Reports the state.
        limit: Seconds; ``UPLOADER_GPU_WAIT`` or five minutes when None.
        pause: Seconds until the driver is asked again.
        stopped: Whether the user stopped the run.

    Returns:
        The GPU, or None where nothing is known of GPUs: the step finds out itself.

    Raises:
        TemporaryError: It did not become free in time, or no GPU is as large as that.
        CancelledError: The user stopped the run.
    """
    limit = seconds_to_wait() if limit is None else limit
    end = time.monotonic() + limit
    said = ""
    release_own()
    while True:
        left = end - time.monotonic()  # before it is asked: this process may have stood still
        report = ask()
        gpu = roomiest(report.gpus)
        if gpu is None or gpu.free >= needed:
            return gpu
        largest = max(g.total for g in report.gpus)
        if largest < needed or left <= 0:
            raise TemporaryError(
                f"this step needs {size_text(needed)} of GPU memory, and {describe(gpu)}",
                owner=_owners(gpu),
                safe="the step was not started; finished steps are kept",
                next="choose a GPU that is larger, or leave the step out"
                if largest < needed
                else f"end what holds it, or wait longer with {WAIT}=SECONDS; then run it again",
            )
        what = f"waiting for {size_text(needed)} of GPU memory: {describe(gpu)}"
        if what != said:
            tell(what)
            said = what
        if stopped():
            raise CancelledError("the run was stopped")
        time.sleep(min(pause, left))


def describe(gpu: Gpu) -> str:
    """Say how much of a GPU is free."""
    return f"{gpu.name} has {size_text(gpu.free)} of {size_text(gpu.total)} free"


def seconds_to_wait() -> float:
    """Return how long a step waits for GPU memory, ``UPLOADER_GPU_WAIT``."""
    try:
        return max(0.0, float(os.environ.get(WAIT, "")))
    except ValueError:
        return _SECONDS


def _owners(gpu: Gpu) -> str:
    if not gpu.holders:
        return f"whatever runs on GPU {gpu.index}"
    held = [f"process {pid}" + (f" ({size_text(n)})" if n else "") for pid, n in gpu.holders]
    return f"on GPU {gpu.index}: {', '.join(held)}"
