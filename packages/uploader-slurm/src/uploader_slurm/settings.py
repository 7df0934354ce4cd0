"""Settings of the plugin ``slurm``: a field is ``--slurm-FIELD``, or a key of ``[slurm]``."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_core.plugin import Size, UsageError, setting

# What decides how a job is found again, where it prints, and that it sees no secret.
_OURS = frozenset(
    (
        *("array", "chdir", "clusters", "error", "export", "export-file", "get-user-env", "input"),
        *("job-name", "open-mode", "output", "parsable", "requeue", "uid", "wait", "wrap"),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SlurmSettings:
    """Settings of the executor ``slurm``."""

    partition: str = setting(
        "", help="partition, or several with commas; empty for the default one",
        changes_result=False,
    )  # fmt: skip
    account: str = setting("", help="account that pays for the jobs", changes_result=False)
    qos: str = setting("", help="quality of service", changes_result=False)
    constraint: str = setting(
        "", help="features that a node has to have (intel&ib)", changes_result=False
    )
    gpu_constraints: tuple[str, ...] = setting(
        (),
        help="SIZE=FEATURE or SIZE=gpu:TYPE: nodes whose GPUs have that much memory "
        "(80GiB=a100-80); SIZE= for all nodes",
        changes_result=False,
    )
    options: tuple[str, ...] = setting(
        (), help="NAME or NAME=VALUE: more options of sbatch (reservation=lab)",
        changes_result=False,
    )  # fmt: skip
    setup: tuple[str, ...] = setting(
        (), help="lines of bash before the step (source /etc/profile.d/modules.sh)",
        changes_result=False,
    )  # fmt: skip
    cpus: int = setting(
        1, help="processors for each job, where a step does not ask for more", changes_result=False
    )
    memory: Size = setting(
        Size("1GiB"),
        help="memory besides what a step is expected to need, for Python and its libraries",
        changes_result=False,
    )
    time_factor: float = setting(
        1.0, help="times the wall time that is asked for, for slow nodes", changes_result=False
    )
    local_scratch: bool = setting(
        False,
        help="ask for scratch space on the node (--tmp), where a release lies on its own disk",
        changes_result=False,
    )
    places: int = setting(
        100, help="jobs in the queue at once; your limits there may be lower",
        changes_result=False,
    )  # fmt: skip
    interval: float = setting(
        10.0, help="seconds between two questions to the controller", changes_result=False
    )


def more_options(settings: SlurmSettings) -> dict[str, str | bool]:
    """Return the options of sbatch that the user adds.

    Raises:
        UsageError: One of them is decided by the executor.
    """
    found: dict[str, str | bool] = {}
    for text in settings.options:
        name, is_valued, value = text.strip().lstrip("-").partition("=")
        if name in _OURS or not name:
            raise UsageError(
                f"--slurm-options {text}: {name or 'an option without a name'} is decided by the "
                "executor",
                safe="nothing was submitted",
                next="leave it out",
            )
        found[name] = value if is_valued else True
    return found


def gpu_rule(settings: SlurmSettings, memory: int) -> tuple[str, str] | None:
    """Return which nodes have GPUs with enough memory.

    Args:
        settings: Of the executor.
        memory: Bytes that a GPU has to have, 0 for any.

    Returns:
        A feature that the node has to have and a type of GPU, "" where none is asked for; None
        where no rule says which nodes have enough.

    Raises:
        UsageError: A rule cannot be read.
    """
    rules = sorted(map(_rule, settings.gpu_constraints))
    enough = [rule for rule in rules if rule[0] >= memory]
    if not enough:
        return None if memory else ("", "")
    _, where = enough[0]
    if not memory:
        return "", ""
    is_type = where.startswith("gpu:")
    return ("", where.removeprefix("gpu:")) if is_type else (where, "")


def _rule(text: str) -> tuple[int, str]:
    size, is_rule, where = text.partition("=")
    try:
        if not is_rule:
            raise ValueError("it has no =")
        return int(Size(size)), where.strip()
    except ValueError as error:
        raise UsageError(
            f"--slurm-gpu-constraints {text}: {error}",
            safe="nothing was submitted",
            next="write SIZE=FEATURE, such as 80GiB=a100-80; `sinfo -o '%f %G'` lists them",
        ) from error
