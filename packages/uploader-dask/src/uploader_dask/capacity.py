"""What the workers of a cluster have, what a job asks of them, and what none of them has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uploader_core.plugin import JobResources
from uploader_dask.settings import DaskSettings

_GB = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A worker of the cluster.

    Attributes:
        address: ``tcp://host:port``.
        threads: Tasks at once.
        memory: Bytes that it was started with as its limit; None for no limit.
        resources: Abstract resources that it was started with, by name.
    """

    address: str
    threads: int
    memory: int | None
    resources: Mapping[str, float]


def workers_of(identity: Mapping[str, Any]) -> tuple[Worker, ...]:
    """Return the workers that a scheduler knows.

    Args:
        identity: What the scheduler says of itself.
    """
    return tuple(
        Worker(
            address=address,
            threads=said["nthreads"],
            memory=said["memory_limit"] or None,
            resources=said["resources"] or {},
        )
        for address, said in identity["workers"].items()
    )


def ask(
    settings: DaskSettings, resources: JobResources, workers: Iterable[Worker]
) -> dict[str, float]:
    """Return the abstract resources that a job asks for.

    Memory is asked for where a worker declares it: where none does, a task that asks for it would
    wait for ever.

    Args:
        settings: With the names of the resources.
        resources: What the job needs.
        workers: Of the cluster.
    """
    asked: dict[str, float] = {}
    if resources.memory and any(settings.ram in worker.resources for worker in workers):
        asked[settings.ram] = _in_gb(resources.memory)
    if resources.gpus:
        asked[settings.gpu] = resources.gpus
        if resources.gpu_memory:
            asked[settings.vram] = _in_gb(resources.gpu_memory)
    return asked


def refusals(
    settings: DaskSettings, resources: JobResources, workers: Sequence[Worker]
) -> Iterator[str]:
    """Say why no worker can ever run a job; nothing where one can, or none is there yet.

    Args:
        settings: With the names of the resources.
        resources: What the job needs.
        workers: Of the cluster.
    """
    if not workers:
        return
    asked = ask(settings, resources, workers)
    said = False
    for name, amount in asked.items():
        best = max(workers, key=lambda worker: worker.resources.get(name, 0.0))
        most = best.resources.get(name, 0.0)
        if most < amount:
            said = True
            which = f"the most that a worker has is {most:g} ({best.address})"
            if not most:
                which = f"none of {len(workers)} workers has any"
            yield (
                f"it needs {name}={amount:g}, and {which}: start one with "
                f'dask worker --resources "{name}={amount:g}"'
            )
    if settings.ram not in asked and all(worker.memory is not None for worker in workers):
        largest = max(workers, key=lambda worker: worker.memory or 0)
        if resources.memory > (largest.memory or 0):
            said = True
            yield (
                f"it needs {_in_gb(resources.memory):,g} GB of memory, and the largest limit of a "
                f"worker is {_in_gb(largest.memory or 0):,g} GB ({largest.address}): start one "
                "with dask worker --memory-limit"
            )
    most_threads = max(worker.threads for worker in workers)
    if resources.cpus > most_threads:
        said = True
        yield (
            f"it needs {resources.cpus} processors, and the most threads that a worker has are "
            f"{most_threads}: start one with dask worker --nthreads {resources.cpus}"
        )
    if not said and not any(_has(worker, asked) for worker in workers):
        together = ",".join(f"{name}={amount:g}" for name, amount in asked.items())
        yield f"no worker has all of {together}: start one with dask worker --resources"


def _has(worker: Worker, asked: Mapping[str, float]) -> bool:
    return all(worker.resources.get(name, 0.0) >= amount for name, amount in asked.items())


def _in_gb(size: int) -> float:
    return round(size / _GB, 3)
