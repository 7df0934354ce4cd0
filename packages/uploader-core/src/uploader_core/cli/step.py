"""``uploader step``: one step by itself, as the jobs of an executor do it."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def step() -> None:
    """Do one step; what the jobs of executors call."""


@step.command("exec")
@click.argument("folder", type=click.Path(path_type=Path))
def exec_(folder: Path) -> int:
    """Do what the job in FOLDER says, unless it is done, and write down what came of it.

    `uploader run --executor NAME` writes such folders below .uploader/jobs of a release. An engine
    of your own can call this as often as it likes, on any machine that sees the release and has
    the same packages: what is done is not done again.
    """
    from uploader_core.jobs.step_exec import exec_step

    return exec_step(folder.absolute())
