"""``uploader plugins``: what is installed, from metadata; nothing is imported to list it."""

from __future__ import annotations

import json

import click

from uploader_core.cli.options import make_registry
from uploader_core.errors import UploaderError
from uploader_core.registry import ARTIFACTS, SCHEMES, Registry

_COLUMNS = ("id", "distribution")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def plugins() -> None:
    """List and examine installed plugins."""


@plugins.command("list")
@click.option("--check", is_flag=True, help="Also import each plugin and report broken ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
def list_(check: bool, as_json: bool) -> int:
    """List the plugins, with the formats they make and the destinations they serve."""
    registry = make_registry()
    rows = [_row(registry, plugin_id, check=check) for plugin_id in registry.ids()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return 0
    widths = [max((len(str(row[key])) for row in rows), default=0) for key in _COLUMNS]
    for row in rows:
        first, second = (f"{row[key]:<{n}}" for key, n in zip(_COLUMNS, widths, strict=True))
        click.echo(f"{first}  {second}  {row['offers']}")
        if row["state"] not in ("installed", "ok"):
            click.secho(f"  {row['state']}", fg="red")
            for label in ("owner", "next"):
                if row.get(label):
                    click.echo(f"    {label}: {row[label]}")
    return 0


@plugins.command()
@click.argument("plugin_id", metavar="ID")
def info(plugin_id: str) -> int:
    """Show everything about one plugin: it is imported for this."""
    registry = make_registry()
    row = _row(registry, plugin_id, check=False) if registry.claims(plugin_id) else None
    plugin = registry.load(plugin_id)
    assert row is not None
    click.echo(f"{plugin_id}  {row['distribution']}  {row['summary']}")
    click.echo(f"  module  {plugin.entry.module}")
    for spec in plugin.specs:
        click.echo(f"  {type(spec).__name__:<12}  {spec.name}: {spec.summary}")
        consumes = getattr(spec, "consumes", None)
        if consumes:
            click.echo(f"    {' + '.join(consumes)} -> {spec.produces}")  # type: ignore[attr-defined]
        if spec.settings is not None:
            from uploader_core.settings import fields_of

            for field in fields_of(plugin_id, spec.settings):
                click.echo(f"    {field.option}  {field.help} (default: {field.default})")
    return 0


def _row(registry: Registry, plugin_id: str, *, check: bool) -> dict[str, object]:
    claims = registry.claims(plugin_id)
    kinds = registry.advertised(plugin_id, ARTIFACTS)
    schemes = registry.advertised(plugin_id, SCHEMES)
    row: dict[str, object] = {
        "id": plugin_id,
        "distribution": " and ".join(entry.owner for entry in claims),
        "summary": claims[0].summary,
        "kinds": list(kinds),
        "schemes": list(schemes),
        "offers": ", ".join([*kinds, *(f"{scheme}:" for scheme in schemes)]),
        "state": "installed",
    }
    if len({e.distribution for e in claims}) > 1:
        row["state"] = f"broken: plugin id {plugin_id!r} is claimed twice"
        row["next"] = f"pip uninstall {claims[-1].distribution}"
    elif plugin_id in registry.disabled:
        row["state"] = "disabled"
    elif check:
        try:
            registry.load(plugin_id)
            row["state"] = "ok"
        except UploaderError as error:
            row |= {"state": f"broken: {error.what}", "owner": error.owner, "next": error.next}
    return row
