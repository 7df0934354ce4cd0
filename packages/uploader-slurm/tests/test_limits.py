"""What sinfo says, read; lines as clusters print them."""

from __future__ import annotations

import math

import pytest

from uploader_core.plugin import JobResources, UsageError
from uploader_slurm.limits import Nodes, ask, at_most, read_nodes, refusals
from uploader_slurm.settings import SlurmSettings

# partition, up, time limit, processors, memory, disk, GRES, features
CLUSTER = """\
cpu*|up|2-00:00:00|64|257000|0|(null)|intel
gpu|up|12:00:00|32|515000|800000|gpu:a100:4(S:0-1),nic:1|intel,a100-80
gpu|up|12:00:00|32|515000|800000|gpu:v100:2,gpu:2|intel
old|down|infinite|8|16000|0|gpu|(null)
"""


@pytest.fixture
def nodes() -> list[Nodes]:
    return read_nodes(CLUSTER)


def test_nodes_are_read_as_they_are_printed(nodes: list[Nodes]) -> None:
    assert [node.partition for node in nodes] == ["cpu", "gpu", "gpu", "old"]
    assert [node.default for node in nodes] == [True, False, False, False]
    assert [node.minutes for node in nodes] == [2880, 720, 720, math.inf]
    assert [node.gpus for node in nodes] == [{}, {"a100": 4}, {"v100": 2, "": 2}, {"": 1}]
    assert nodes[1].features == {"intel", "a100-80"}


@pytest.mark.parametrize(
    ("partition", "settings", "resources", "said"),
    [
        ("", {}, JobResources(gpus=1), "1 GPU, and partition cpu has nodes of at most 0: "
                                       "--slurm-partition gpu can"),
        ("gpu", {}, JobResources(gpus=5), "nodes of at most 4"),
        ("old", {}, JobResources(), "a partition that is up"),
        ("gpu", {"gpu_constraints": ("80GB=gpu:h100",)}, JobResources(gpus=1, gpu_memory=10**10),
         "1 GPU of type h100"),
        ("gpu", {"constraint": "a100-80"}, JobResources(gpus=1, seconds=10**5),
         "1-03:47:00 of wall time, and partition gpu has at most 0-12:00:00"),
    ],
)  # fmt: skip
def test_refusal_names_what_is_needed_what_there_is_and_who_can(
    nodes: list[Nodes],
    partition: str,
    settings: dict[str, object],
    resources: JobResources,
    said: str,
) -> None:
    asked = ask(SlurmSettings(**settings), resources)  # type: ignore[arg-type]
    (refusal,) = refusals(asked, partition, nodes)
    assert said in refusal


def test_one_node_has_to_have_all_of_it(nodes: list[Nodes]) -> None:
    settings = SlurmSettings(constraint="a100-80", gpu_constraints=("32GB=gpu:v100",))
    asked = ask(settings, JobResources(gpus=1, gpu_memory=10**10))
    (refusal,) = refusals(asked, "gpu", nodes)
    assert "no node with all of" in refusal


def test_the_smallest_gpu_that_suffices_is_asked_for() -> None:
    settings = SlurmSettings(gpu_constraints=("80GB=gpu:a100", "24GB=rtx", "1TB="))
    small = ask(settings, JobResources(gpus=1, gpu_memory=20 * 10**9))
    large = ask(settings, JobResources(gpus=1, gpu_memory=60 * 10**9))
    huge = ask(settings, JobResources(gpus=1, gpu_memory=90 * 10**9))
    assert (small.features, small.gpu_type) == ("rtx", "")
    assert (large.features, large.gpu_type) == ("", "a100")
    assert (huge.features, huge.gpu_type) == ("", "")


def test_a_rule_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(UsageError, match="80GB a100"):
        ask(SlurmSettings(gpu_constraints=("80GB a100",)), JobResources(gpus=1))


def test_needs_are_said_in_the_words_of_sbatch() -> None:
    settings = SlurmSettings(time_factor=1.5, local_scratch=True, cpus=4)
    asked = ask(settings, JobResources(memory=1 << 30, scratch=1, seconds=61))
    assert (asked.cpus, asked.memory, asked.scratch, asked.minutes) == (4, 2048, 1, 2)
    unknown = ask(SlurmSettings(), JobResources())
    assert (unknown.memory, unknown.scratch, unknown.minutes) == (None, 0, None)


def test_more_time_is_asked_for_up_to_the_limit(nodes: list[Nodes]) -> None:
    asked = ask(SlurmSettings(), JobResources(seconds=10**6))
    assert at_most(asked, nodes[1].minutes).minutes == 720
    assert at_most(asked, math.inf) == asked
