"""``uploader verify``: is everything what the manifest says?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from uploader_core.errors import IntegrityError, UsageError
from uploader_core.text import size_text


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Names and sizes only, no digests.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--debug", is_flag=True, hidden=True)
def verify(path: Path, quick: bool, as_json: bool, debug: bool) -> int:
    """Compare the folder PATH with its upload_manifest.json. Nothing is changed."""
    from uploader_core.verify import verify_folder

    if not path.is_dir():
        raise UsageError(f"there is no folder {path}", next="give a release folder")
    result = verify_folder(path, full=not quick)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "files": result.files,
                    "bytes": result.size,
                    "problems": [{"path": p.path, "what": p.what} for p in result.problems],
                },
                indent=2,
            )
        )
    for problem in result.problems if not as_json else ():
        click.echo(f"  {problem.path} {problem.what}")
    if result.problems:
        raise IntegrityError(
            f"{len(result.problems)} of {result.files} files are not what the manifest says",
            owner=str(path),
            safe="nothing was changed",
            next="run the same `uploader run` again: it sets bad files aside and makes them anew",
        )
    if not as_json:
        how = "names and sizes" if quick else "every digest"
        click.echo(f"{result.files} files, {size_text(result.size)}: {how} as recorded")
    return 0
