"""The command ``uploader verify-signature``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from uploader_core import api
from uploader_core.api import IntegrityError, count_text, visible


@click.command("verify-signature")
@click.argument("where", metavar="FOLDER_OR_DEST")
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="FILE",
    help="Public key in PEM that has to have signed it.",
)  # fmt: skip
@click.option(
    "--certificates", "roots", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
    help="Certificates in PEM, one of which has to vouch for whoever signed it.",
)  # fmt: skip
@click.option("--identity", default="", metavar="WHO", help="Job of a CI that has to have signed.")
@click.option("--issuer", default="", metavar="URL", help="Whose word the identity is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--debug", is_flag=True, hidden=True)
def verify_signature(
    where: str,
    key: Path | None,
    roots: tuple[Path, ...],
    identity: str,
    issuer: str,
    as_json: bool,
    debug: bool,
) -> int:
    """Check the model.sig of a release: who signed it, and that everything is what was signed.

    A folder is read, the release folder, one of its artifacts or a downloaded copy; a destination,
    such as hf:user/model, is asked what it has, and no weights are downloaded for it.
    """
    from uploader_provenance.signing.place import check_destination, check_folder
    from uploader_provenance.signing.verify import Trust

    trust = Trust(key=key, roots=roots, identity=identity, issuer=issuer)
    folder = api.from_home(where)
    if folder.is_dir():
        found = check_folder(folder, trust)
    else:
        found = check_destination(api.verify(where), trust, where)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    for problem in found.problems if not as_json else ():
        click.echo(f"  {visible(problem.path)} {problem.what}")
    if found.problems:
        raise IntegrityError(
            f"{count_text(len(found.problems), 'file')} not as {found.by} signed",
            owner=found.where,
            safe="nothing was changed",
            next="do not use it; get it again from where it was published",
        )
    if not as_json:
        click.echo(f"{count_text(found.files, 'file')}, signed by {visible(found.by)}")
        click.echo(f"  {found.where}")
    return 0
