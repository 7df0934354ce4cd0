"""``uploader plugins search`` and ``uploader plugins install``."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence

import click
from packaging.utils import canonicalize_name

import uploader_core
from uploader_core.cli.plugin_index import FIRST_PARTY, Listed, read_indexes
from uploader_core.errors import (
    CancelledError,
    PluginError,
    PluginNotInstalledError,
    RefusedError,
    UsageError,
)
from uploader_core.human_text import did_you_mean
from uploader_core.plugins.entry_points import missing_requirements
from uploader_core.user_config.disabled import index_places
from uploader_core.user_config.files import read_tables

_index_option = click.option(
    "--index",
    "places",
    multiple=True,
    metavar="URL_OR_FILE",
    help="Index file to look into, instead of the first-party one and those of [plugins] index "
    "in uploader.toml; may be repeated.",
)


@click.command()
@click.argument("word", metavar="[WORD]", required=False)
@_index_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
def search(word: str | None, places: tuple[str, ...], as_json: bool) -> int:
    """List the plugins of an index, or those that mention WORD; nothing is installed."""
    listed = _listed(places)
    found = [plugin for plugin in listed if word is None or plugin.mentions(word)]
    if as_json:
        click.echo(json.dumps([_row(plugin) for plugin in found], indent=2))
        return 0
    for plugin in found:
        _show(plugin)
    if not found:
        close = did_you_mean(word or "", (plugin.name for plugin in listed), most=3)
        click.echo(f"no plugin of {len(listed)} mentions {word!r} {close}".rstrip())
    return 0


@click.command()
@click.argument("name", metavar="NAME")
@_index_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def install(name: str, places: tuple[str, ...], yes: bool) -> int:
    """Install the plugin that an index calls NAME, with pip of this environment.

    The command is shown before it runs. Of the index, nothing but the name of a distribution with a
    range of versions is part of it.
    """
    plugin = _one(name, _listed(places))
    wanted = _wanted(plugin)
    if not missing_requirements((wanted,)):
        click.echo(f"{wanted} is installed already")
        return 0
    if not plugin.runs_with(uploader_core.__version__):
        raise RefusedError(
            f"{plugin.name} works with uploader-core {plugin.core}; "
            f"{uploader_core.__version__} is installed",
            owner=plugin.index,
            safe="nothing was installed",
            next=f'pip install "uploader-core{plugin.core}"',
        )
    if importlib.util.find_spec("pip") is None:
        raise UsageError(
            "this environment has no pip",
            owner=sys.executable,
            safe="nothing was installed",
            next=f'install it with what made the environment: uv pip install "{wanted}"',
        )
    command = [sys.executable, "-m", "pip", "install", wanted]
    click.echo(f'{plugin.summary}\n{" ".join(command[:-1])} "{wanted}"')
    if not yes and sys.stdin.isatty() and not click.confirm("Go ahead?", default=True):
        raise CancelledError("not started", safe="nothing was installed")
    # Whatever lies in the working folder is no part of pip.
    code = subprocess.run(command, env={**os.environ, "PYTHONSAFEPATH": "1"}).returncode
    if code:
        raise PluginError(
            f"pip ended with exit code {code}; what it said stands above",
            owner=wanted,
            next=f'python -m pip install "{wanted}"',
        )
    click.echo(f"what it can do: uploader plugins info {plugin.name}")
    return 0


def _listed(places: Sequence[str]) -> tuple[Listed, ...]:
    return read_indexes(places or (FIRST_PARTY, *index_places(read_tables())))


def _one(name: str, listed: Sequence[Listed]) -> Listed:
    """Return the one plugin of a name.

    Raises:
        PluginNotInstalledError: No index lists it.
        UsageError: Two list it, as different distributions.
    """
    found = [plugin for plugin in listed if name in (plugin.name, plugin.requirement.name)]
    if not found:
        known = {n for plugin in listed for n in (plugin.name, plugin.requirement.name)}
        raise PluginNotInstalledError(
            f"no index lists a plugin {name!r}",
            owner=", ".join(dict.fromkeys(plugin.index for plugin in listed)),
            safe="nothing was installed",
            next=did_you_mean(name, sorted(known), most=3) or "uploader plugins search",
        )
    distributions = {canonicalize_name(plugin.requirement.name) for plugin in found}
    if len(distributions) > 1:
        raise UsageError(
            f"{name!r} is {' and '.join(sorted(distributions))}",
            owner=", ".join(dict.fromkeys(plugin.index for plugin in found)),
            safe="nothing was installed",
            next=f"name the distribution: uploader plugins install {found[0].requirement.name}",
        )
    return found[0]


def _wanted(plugin: Listed) -> str:
    """Return what pip is given: a name and a range, the lower end first."""
    requirement = plugin.requirement
    return requirement.name + ",".join(sorted(map(str, requirement.specifier), reverse=True))


def _row(plugin: Listed) -> dict[str, object]:
    installed = not missing_requirements((_wanted(plugin),))
    return {**dataclasses.asdict(plugin), "installed": installed}


def _show(plugin: Listed) -> None:
    facts = ["installed"] if not missing_requirements((_wanted(plugin),)) else []
    if plugin.tier:
        facts.append(plugin.tier)
    if not plugin.runs_with(uploader_core.__version__):
        facts.append(f"needs uploader-core {plugin.core}")
    click.secho(plugin.name, bold=True, nl=False)
    click.echo(f"  {_wanted(plugin)}" + (f"  ({', '.join(facts)})" if facts else ""))
    click.echo(f"  {plugin.summary}")
    made = ", ".join([*plugin.kinds, *(f"{scheme}:" for scheme in plugin.schemes)])
    if made:
        click.echo(f"  {made}" + (f" from {', '.join(plugin.consumes)}" if plugin.consumes else ""))
    for address in (plugin.homepage, plugin.report):
        if address:
            click.echo(f"  {address}")
    if plugin.index != FIRST_PARTY:
        click.echo(f"  listed in {plugin.index}")
