"""``uploader plugins``: what is installed, and what may be loaded of it.

Nothing is imported into this process, so these commands work whatever is wrong with a plugin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from uploader_core.cli.commands import OpenGroup
from uploader_core.cli.plugin_market import install, search
from uploader_core.doctor.inspection import Inspection, inspect, inspect_all
from uploader_core.plugins.entry_points import ARTIFACTS, EXECUTORS, READERS, SCHEMES
from uploader_core.plugins.registry import Registry
from uploader_core.user_config.disabled import disable as remember_disabled
from uploader_core.user_config.disabled import enable as forget_disabled
from uploader_core.user_config.disabled import make_registry

_COLUMNS = ("id", "distribution")


class PluginsGroup(OpenGroup):
    """Those who write plugins get more commands from a distribution for them."""

    place = "plugins"


@click.group(cls=PluginsGroup, context_settings={"help_option_names": ["-h", "--help"]})
def plugins() -> None:
    """List, examine, find and install plugins."""


@plugins.command("list")
@click.option("--check", is_flag=True, help="Also import each plugin and report broken ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
def list_(check: bool, as_json: bool) -> int:
    """List the plugins, with the formats they make and the destinations they serve."""
    registry = make_registry()
    rows = [_row(registry, plugin_id) for plugin_id in registry.ids()]
    if check:
        sound = [row["id"] for row in rows if row["state"] == "installed"]
        found = inspect_all(registry.claims(plugin_id)[0] for plugin_id in sound)
        for row in rows:
            if row["id"] in found:
                row |= _state(found[row["id"]])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return 0
    widths = [max((len(str(row[key])) for row in rows), default=0) for key in _COLUMNS]
    for row in rows:
        first, second = (f"{row[key]:<{n}}" for key, n in zip(_COLUMNS, widths, strict=True))
        time = f"  ({row['import_ms']:.0f} ms)" if "import_ms" in row else ""
        click.echo(f"{first}  {second}  {row['offers']}{time}")
        _show_state(row)
    return 0


@plugins.command()
@click.argument("plugin_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
def info(plugin_id: str, as_json: bool) -> int:
    """Show everything about one plugin; it is imported for this, in a process of its own."""
    registry = make_registry()
    if not registry.claims(plugin_id):
        registry.load(plugin_id)  # says what is installed and what is close
    row = _row(registry, plugin_id)
    found = inspect(registry.claims(plugin_id)[0]) if row["state"] == "installed" else None
    if found is not None:
        row |= _state(found)
        row |= {"api": found.api, "hooks": found.hooks, "specs": found.specs}
    if as_json:
        click.echo(json.dumps(row, indent=2))
        return 0
    click.echo(f"{plugin_id}  {row['distribution']}  {row['summary']}")
    for label in ("module", "kinds", "schemes"):
        value = row[label]
        if value:
            click.echo(f"  {label:<8} {value if isinstance(value, str) else ', '.join(value)}")
    _show_state(row)
    if found is not None and found.error is None:
        click.echo(f"  {'hooks':<8} {', '.join(found.hooks)}")
        click.echo(f"  {'api':<8} {found.api}")
        click.echo(
            f"  {'import':<8} {found.milliseconds:.0f} ms, {len(found.modules)} modules of its own"
        )
        for spec in found.specs:
            _show_spec(spec)
    return 0


@plugins.command("disable")
@click.argument("plugin_id", metavar="ID")
def disable_(plugin_id: str) -> int:
    """Keep a plugin installed but never load it."""
    click.echo(f"{plugin_id} is disabled, remembered in {remember_disabled(plugin_id)}")
    click.echo(f"undo: uploader plugins enable {plugin_id}")
    return 0


@plugins.command("enable")
@click.argument("plugin_id", metavar="ID")
def enable_(plugin_id: str) -> int:
    """Undo `plugins disable`."""
    forget_disabled(plugin_id)
    registry = make_registry()
    if plugin_id in registry.disabled:
        click.echo(f"{plugin_id} is still disabled: {registry.how_to_enable(plugin_id)}")
    else:
        click.echo(f"{plugin_id} is enabled")
    return 0


plugins.add_command(search)
plugins.add_command(install)


def _row(registry: Registry, plugin_id: str) -> dict[str, Any]:
    """Describe a plugin from metadata alone."""
    claims = registry.claims(plugin_id)
    kinds = registry.advertised(plugin_id, ARTIFACTS)
    schemes = registry.advertised(plugin_id, SCHEMES)
    executors = registry.advertised(plugin_id, EXECUTORS)
    runs = [f"--executor {name}" for name in executors]
    reads = ["sources"] if registry.advertised(plugin_id, READERS) else []
    row: dict[str, Any] = {
        "id": plugin_id,
        "distribution": " and ".join(entry.owner for entry in claims),
        "summary": claims[0].summary,
        "module": claims[0].module,
        "kinds": list(kinds),
        "schemes": list(schemes),
        "executors": list(executors),
        "offers": ", ".join([*kinds, *(f"{scheme}:" for scheme in schemes), *reads, *runs]),
        "state": "installed",
    }
    if len({entry.distribution for entry in claims}) > 1:
        row["state"] = f"broken: plugin id {plugin_id!r} is claimed twice"
        row["next"] = f"pip uninstall {claims[-1].distribution}"
    elif plugin_id in registry.disabled:
        why = registry.disabled[plugin_id]
        row |= {"state": f"disabled by {why}", "next": registry.how_to_enable(plugin_id)}
    return row


def _state(found: Inspection) -> dict[str, Any]:
    if found.error is not None:
        error = found.error
        return {"state": f"broken: {error.what}", "owner": error.owner, "next": error.next}
    return {"state": "ok", "import_ms": round(found.milliseconds, 1)}


def _show_state(row: Mapping[str, Any]) -> None:
    if row["state"] not in ("installed", "ok"):
        click.secho(f"  {row['state']}", fg="red")
        for label in ("owner", "next"):
            if row.get(label):
                click.echo(f"    {label}: {row[label]}")


def _show_spec(spec: Mapping[str, Any]) -> None:
    click.echo(f"  {spec['type']:<12}  {spec['name']}: {spec['summary']}")
    if spec["consumes"]:
        click.echo(f"    {' + '.join(spec['consumes'])} -> {spec['produces']}")
    if spec["scheme"]:
        can = f"  ({', '.join(spec['capabilities'])})" if spec["capabilities"] else ""
        click.echo(f"    --to {spec['scheme']}:...{can}")
    for setting in spec["settings"]:
        click.echo(f"    {setting['option']}  {setting['help']} (default: {setting['default']})")
