"""What a cluster can give: partitions, their limits and their nodes, as sinfo shows them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from uploader_core.plugin import JobResources
from uploader_slurm.commands import Commands
from uploader_slurm.settings import SlurmSettings, gpu_rule

_FORMAT = "%P|%a|%l|%c|%m|%d|%G|%f"
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A job's needs in the words of sbatch.

    Attributes:
        cpus: Processors of the node.
        memory: MiB, None where nothing is asked for.
        scratch: MiB of the node's own disk.
        minutes: Wall time, None for the partition's default.
        gpus: Number of them.
        gpu_type: Type that they have to have, "" for any.
        features: What the node has to have, joined by ``&``.
    """

    cpus: int
    memory: int | None
    scratch: int
    minutes: int | None
    gpus: int
    gpu_type: str
    features: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Nodes:
    """Nodes of a partition that are all alike.

    Attributes:
        partition: Its name.
        default: Whether jobs go there that name none.
        up: Whether it takes jobs.
        minutes: Longest wall time; infinite for any.
        cpus: Of each node.
        memory: Of each node, in MiB.
        scratch: Disk of each node, in MiB.
        gpus: Of each node, by type; "" for one without.
        features: Of each node.
    """

    partition: str
    default: bool
    up: bool
    minutes: float
    cpus: int
    memory: int
    scratch: int
    gpus: dict[str, int]
    features: frozenset[str]


def ask(settings: SlurmSettings, resources: JobResources) -> Asked:
    """Say a job's needs in the words of sbatch.

    Args:
        settings: Of the executor.
        resources: What the job needs.
    """
    feature, gpu_type = (gpu_rule(settings, resources.gpu_memory) if resources.gpus else None) or (
        "",
        "",
    )
    memory = None
    if resources.memory:
        memory = math.ceil((resources.memory + settings.memory) / _MIB)
    minutes = None
    if resources.seconds is not None:
        minutes = max(1, math.ceil(resources.seconds * settings.time_factor / 60))
    return Asked(
        cpus=max(1, resources.cpus, settings.cpus),
        memory=memory,
        scratch=math.ceil(resources.scratch / _MIB) if settings.local_scratch else 0,
        minutes=minutes,
        gpus=resources.gpus,
        gpu_type=gpu_type,
        features="&".join(filter(None, [settings.constraint, feature])),
    )


def all_nodes(commands: Commands) -> list[Nodes]:
    """Return the nodes of the cluster, once for each partition that they are in.

    Raises:
        UploaderError: The controller did not answer.
    """
    return read_nodes(commands.run("sinfo", "--noheader", "--exact", f"--format={_FORMAT}"))


def read_nodes(text: str) -> list[Nodes]:
    """Read what sinfo prints, a line for nodes that are alike."""
    return [_nodes(line) for line in text.splitlines() if line.count("|") >= 7]


def refusals(asked: Asked, partitions: str, nodes: Sequence[Nodes]) -> Iterator[str]:
    """Say why no node of some partitions can ever run a job.

    Args:
        asked: What the job needs.
        partitions: Names with commas; "" for the default partition.
        nodes: Of the whole cluster.
    """
    names = [name.strip() for name in partitions.split(",") if name.strip()]
    known = sorted({each.partition for each in nodes})
    unknown = [name for name in names if name not in known]
    if unknown:
        yield (
            f"the cluster has no partition {', '.join(unknown)}: --slurm-partition takes "
            f"{', '.join(known)}"
        )
        return
    chosen = [each for each in nodes if (each.partition in names if names else each.default)]
    if not chosen:
        yield f"the cluster has no default partition: add --slurm-partition {' or '.join(known)}"
        return
    if any(not [*_misses(asked, [each])] for each in chosen):
        return
    others = sorted({e.partition for e in nodes if not [*_misses(asked, [e])]})
    advice = f"--slurm-partition {others[0]} can" if others else "no other partition can either"
    where = f"partition {', '.join(sorted({each.partition for each in chosen}))}"
    found = [*_misses(asked, chosen)]
    for needs, has in found:
        yield f"it needs {needs}, and {where} has {has}: {advice}"
    if not found:
        yield f"{where} has no node with all of {_summary(asked)}: {advice}"


def longest(partitions: str, nodes: Iterable[Nodes]) -> float:
    """Return the longest wall time in minutes that one of some partitions allows."""
    names = [name.strip() for name in partitions.split(",") if name.strip()]
    allowed = [e.minutes for e in nodes if (e.partition in names if names else e.default)]
    return max(allowed, default=math.inf)


def at_most(asked: Asked, minutes: float) -> Asked:
    """Return needs that ask for no more wall time than something."""
    if asked.minutes is None or asked.minutes <= minutes:
        return asked
    return replace(asked, minutes=max(1, math.floor(minutes)))


def _misses(asked: Asked, nodes: Sequence[Nodes]) -> Iterator[tuple[str, str]]:
    """Yield what none of some nodes has: what is needed, and the most that there is."""
    if not any(each.up for each in nodes):
        yield "a partition that is up", "none that takes jobs"
    minutes = max(each.minutes for each in nodes)
    if asked.minutes is not None and asked.minutes > minutes:
        yield f"{_time(asked.minutes)} of wall time", f"at most {_time(minutes)}"
    cpus = max(each.cpus for each in nodes)
    if asked.cpus > cpus:
        yield f"{asked.cpus} processors", f"nodes of at most {cpus}"
    memory = max(each.memory for each in nodes)
    if asked.memory is not None and asked.memory > memory:
        yield f"{asked.memory} MiB of memory", f"nodes of at most {memory} MiB"
    scratch = max(each.scratch for each in nodes)
    if asked.scratch > scratch:
        yield f"{asked.scratch} MiB of local scratch space", f"nodes of at most {scratch} MiB"
    gpus = max(_gpus(each, asked.gpu_type) for each in nodes)
    if asked.gpus > gpus:
        kind = f" of type {asked.gpu_type}" if asked.gpu_type else ""
        yield f"{asked.gpus} GPU{kind}", f"nodes of at most {gpus}"
    # What is more than a list of features only Slurm can read.
    wanted = asked.features.split("&") if re.fullmatch(r"[\w.&-]+", asked.features) else []
    missing = [f for f in wanted if not any(f in each.features for each in nodes)]
    if missing:
        there = sorted({feature for each in nodes for feature in each.features})
        yield f"the feature {', '.join(missing)}", ", ".join(there) or "no features"
    elif len(nodes) == 1 and not {*wanted} <= nodes[0].features:
        yield f"the features {asked.features}", ", ".join(sorted(nodes[0].features))


def _summary(asked: Asked) -> str:
    memory = f"{asked.memory} MiB of memory" if asked.memory else ""
    gpus = f"{asked.gpus} GPU" if asked.gpus else ""
    time = f"{_time(asked.minutes)} of wall time" if asked.minutes else ""
    cpus = f"{asked.cpus} processors"
    return ", ".join(filter(None, [cpus, memory, gpus, time, asked.features]))


def _gpus(nodes: Nodes, kind: str) -> int:
    return nodes.gpus.get(kind, 0) if kind else sum(nodes.gpus.values())


def _nodes(line: str) -> Nodes:
    partition, up, limit, cpus, memory, disk, gres, features = line.split("|", 7)
    return Nodes(
        partition=partition.removesuffix("*"),
        default=partition.endswith("*"),
        up=up == "up",
        minutes=_minutes(limit),
        cpus=_number(cpus),
        memory=_number(memory),
        scratch=_number(disk),
        gpus=_gres(gres),
        features=frozenset(re.findall(r"[^,\s]+", features)) - {"(null)"},
    )


def _gres(text: str) -> dict[str, int]:
    """Read ``gpu:a100:4(S:0-1),gpu:2,nic:1``."""
    found: dict[str, int] = {}
    for kind, count in re.findall(r"(?:^|,)gpu(?::([^:,()]+))??(?::(\d+))?(?=[(,]|$)", text):
        found[kind] = found.get(kind, 0) + int(count or 1)
    return found


def _minutes(limit: str) -> float:
    """Read ``infinite``, ``2-12:00:00``, ``1:00:00``, ``30:00``."""
    days, _, clock = limit.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in (*parts, days or "0")):
        return math.inf
    hours, minutes, seconds = ["0"] * (3 - len(parts)) + parts
    return int(days or 0) * 1440 + int(hours) * 60 + int(minutes) + int(seconds) / 60


def _time(minutes: float) -> str:
    if math.isinf(minutes):
        return "any time"
    days, rest = divmod(round(minutes), 1440)
    return f"{days}-{rest // 60:02}:{rest % 60:02}:00"


def _number(text: str) -> int:
    return int(re.match(r"\d*", text)[0] or 0)  # type: ignore[index]
