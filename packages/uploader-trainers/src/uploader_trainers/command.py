"""``uploader trainers``."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def trainers() -> None:
    """Wrappers and runs of training scripts."""


@trainers.command()
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path, file_okay=False))
def new(folder: Path) -> int:
    """Write the wrappers of a trainer into the folder NAME.

    src/upload_to_hf.py, upload_model.sh and upload_model.ps1 hand everything to uploader and also
    understand the options of the script that trainers used to have.
    """
    from uploader_trainers.scaffold import write_wrappers

    for path in write_wrappers(folder):
        click.echo(f"  {path}")
    click.echo(f"next: {folder / 'upload_model.sh'} PATH_TO/final_model --to hf:YOU/YOUR-MODEL")
    return 0
