"""``uploader verify``: is everything what the manifest says, here or where it was sent?"""

from __future__ import annotations

import json

import click

from uploader_core.errors import IntegrityError
from uploader_core.human_text import count_text, size_text, visible


@click.command()
@click.argument("where", metavar="FOLDER_OR_DEST")
@click.option("--quick", is_flag=True, help="Names and sizes only, no contents.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--debug", is_flag=True, hidden=True)
def verify(where: str, quick: bool, as_json: bool, debug: bool) -> int:
    """Compare a release with its upload_manifest.json. Nothing is changed.

    A folder is read; a destination, such as hf:user/model or hf:user/model@v1, is asked what it
    has, and no weights are downloaded for it.
    """
    from uploader_core.manifest_file import NAME
    from uploader_core.user_config import files
    from uploader_core.user_config.disabled import make_registry
    from uploader_core.verify import verify as verify_release

    result = verify_release(where, make_registry(), files.load(), full=not quick)
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    for problem in result.problems if not as_json else ():
        click.echo(f"  {visible(problem.path)} {problem.what}")
    if result.problems:
        raise IntegrityError(
            f"{len(result.problems)} of {result.files} files are not what the manifest says",
            owner=result.where,
            safe="nothing was changed",
            next="run the same `uploader run` again with --checksum: what differs is set aside in "
            ".uploader/quarantine, made again and sent again",
        )
    if not as_json:
        how = "names and sizes" if quick else "every digest"
        click.echo(
            f"{count_text(result.files, 'file')}, {size_text(result.size)}: {how} as recorded"
        )
        click.echo(f"  {result.where}")
        beside = [name for name in result.documents if name != NAME]
        if beside:
            names = visible(", ".join(beside))
            click.echo(f"  {names} about all of it, not looked into by this command")
    return 0
