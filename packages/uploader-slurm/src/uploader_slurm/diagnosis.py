"""What ``uploader doctor`` should know: whether there is a Slurm here, and which partitions."""

from __future__ import annotations

import os
from collections.abc import Iterator

from uploader_core.plugin import Diagnosis, UploaderError
from uploader_slurm.commands import Commands
from uploader_slurm.limits import all_nodes

_NAME = "Slurm"


def diagnose(*, online: bool) -> Iterator[Diagnosis]:
    """Ask for the version, and the controller for its partitions where it may be asked."""
    commands = Commands(os.environ)
    try:
        commands.require()
        version = commands.run("sbatch", "--version").strip()
        partitions = _partitions(commands) if online else "its controller was not asked"
    except UploaderError as error:
        # Most machines are no login nodes, and nothing is wrong with them.
        yield Diagnosis(name=_NAME, level="ok", what=f"{error.what}; --executor slurm needs it")
        return
    yield Diagnosis(name=_NAME, level="ok", what=f"{version}: {partitions}")


def _partitions(commands: Commands) -> str:
    nodes = all_nodes(commands)
    names = {node.partition: " (default)" if node.default else "" for node in nodes}
    return "partitions " + ", ".join(f"{name}{mark}" for name, mark in sorted(names.items()))
