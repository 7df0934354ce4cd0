"""Options that come from plugins: ``--gguf-quants`` exists when gguf takes part in the request.

A first look at the arguments finds ``--plugins`` and ``--to``; those plugins are loaded and their
settings become options. A broken plugin contributes none; the planner then says what is wrong.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from uploader_core.cli.plugin_file import installed_meanwhile
from uploader_core.contract.settings import Setting, fields_of
from uploader_core.contract.specs import ExecutorSpec
from uploader_core.errors import UploaderError
from uploader_core.planning.participants import taking_part
from uploader_core.planning.request import Request
from uploader_core.plugins.entry_points import EXECUTORS
from uploader_core.plugins.registry import Registry
from uploader_core.user_config.disabled import make_registry, split
from uploader_core.user_config.files import read_tables
from uploader_core.user_config.targets import find_target

_PARAMS = "uploader_core.params"
_REGISTRY = "uploader_core.plugins.registry"
_MARK = "__uploader__"


Decorator = Callable[[Any], Any]

SHOWING_OPTIONS: tuple[Decorator, ...] = (
    click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output."),
    click.option("--quiet", is_flag=True, help="Errors and the result only."),
)
"""How commands that make releases talk to who calls them."""


def plugin_choice_options(what: str) -> tuple[Decorator, ...]:
    """Return the options that say which plugins there are and how they are set.

    Args:
        what: For which a plugin file counts (``run``).
    """
    return (
        click.option(
            "--plugin-file",
            "plugin_files",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"A plugin that is one Python file, for this {what} only; may be repeated.",
        ),
        click.option("--without", multiple=True, metavar="NAMES", help="Plugins to leave out."),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Settings file (default: ./uploader.toml).",
        ),
    )


def with_options(options: Sequence[Decorator]) -> Decorator:
    """Return what gives a function options, in their order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class PluginOptionsCommand(click.Command):
    """A command that takes the options of the plugins that its arguments name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        files = [Path(name) for name in values_of(args, "--plugin-file")]
        without, config = (
            values_of(args, "--without"),
            next(iter(values_of(args, "--config")), None),
        )
        registry = ctx.with_resource(
            installed_meanwhile(files, lambda: make_registry(without, config))
        )
        ctx.meta[_REGISTRY] = registry
        ctx.meta[_PARAMS] = [_option(f) for f in _settings_for(registry, args)]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = _belongs_to(registry, error.option_name)
            if hint is not None:
                raise click.UsageError(hint, ctx) from None
            raise

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        *own, help_option = super().get_params(ctx)
        return [*own, *ctx.meta.get(_PARAMS, ()), help_option]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        dynamic = ctx.meta.get(_PARAMS, ())
        own = [
            p for p in self.get_params(ctx) if p not in dynamic and p.param_type_name != "argument"
        ]
        with formatter.section("Options"):
            formatter.write_dl([r for p in own if (r := p.get_help_record(ctx)) is not None])
        plugins: dict[str, list[tuple[str, str]]] = {}
        for param in dynamic:
            record = param.get_help_record(ctx)
            if record is not None:
                plugins.setdefault(str(param.name).split(_MARK)[0], []).append(record)
        for plugin, records in plugins.items():
            with formatter.section(f"Options of {plugin.replace('_', '-')}"):
                formatter.write_dl(records)
        if ctx.meta.get(_REGISTRY) is not None:
            formatter.write_paragraph()
            formatter.write_text(
                "Name formats with --plugins to see their options. Installed: "
                + ", ".join(ctx.meta[_REGISTRY].ids())
            )


def registry_of(ctx: click.Context) -> Registry:
    """Return the registry that the command's first look made."""
    registry: Registry = ctx.meta[_REGISTRY]
    return registry


def take_plugin_options(params: dict[str, Any]) -> dict[str, dict[str, object]]:
    """Remove plugin options from click's parameters and return them by plugin and field."""
    found: dict[str, dict[str, object]] = {}
    for name in [n for n in params if _MARK in n]:
        plugin, _, field = name.partition(_MARK)
        value = params.pop(name)
        if value not in (None, ()):
            found.setdefault(plugin.replace("_", "-"), {})[field] = value
    return found


def values_of(args: Sequence[str], option: str) -> list[str]:
    """Find an option's values in raw arguments: ``--x a``, ``--x=a``, repeated."""
    found = []
    for n, arg in enumerate(args):
        if arg == option and n + 1 < len(args):
            found.append(args[n + 1])
        elif arg.startswith(option + "="):
            found.append(arg.partition("=")[2])
    return found


def _destinations(args: Sequence[str]) -> Iterator[str]:
    """Yield what ``--to`` means; a target that is none is refused when the request is planned."""
    given = values_of(args, "--to")
    named = any(destination.startswith("@") for destination in given)
    files = values_of(args, "--config")
    tables = read_tables(Path(files[-1]) if files else None) if named else {}
    for destination in given:
        with contextlib.suppress(UploaderError):
            yield find_target(destination, tables).to


def _settings_for(registry: Registry, args: Sequence[str]) -> list[Setting]:
    request = Request(
        source="",
        plugins=tuple(split(values_of(args, "--plugins"))),
        destinations=tuple(_destinations(args)),
        measure="--measure" in args,
    )
    found: dict[str, Setting] = {}
    executors = (registry.providers(EXECUTORS, name) for name in values_of(args, "--executor"))
    for plugin_id in (*taking_part(request, registry), *itertools.chain(*executors)):
        with contextlib.suppress(UploaderError):
            for spec in registry.load(plugin_id).specs:
                if spec.settings is not None:
                    for setting in fields_of(plugin_id, spec.settings):
                        found[setting.option] = setting
    return list(found.values())


def _option(setting: Setting) -> click.Option:
    help_text = setting.help
    if setting.choices is not None and len(setting.choices) <= 8:
        help_text += f" [{'|'.join(setting.choices)}]"
    default = setting.default
    if setting.many:
        default = ",".join(str(v) for v in default)
    if default not in (None, "", False):
        help_text += f" (default: {default})"
    name = f"{setting.plugin.replace('-', '_')}{_MARK}{setting.name}"
    if setting.item is bool:
        off = setting.option.replace(f"--{setting.plugin}-", f"--no-{setting.plugin}-")
        return click.Option([name, f"{setting.option}/{off}"], default=None, help=help_text)
    return click.Option(
        [name, setting.option],
        multiple=setting.many,
        default=None,
        metavar="LIST" if setting.many else setting.item.__name__.upper(),
        help=help_text,
    )


def _belongs_to(registry: Registry, option: str) -> str | None:
    for plugin_id in registry.ids():
        if option.removeprefix("--no-").removeprefix("--").startswith(f"{plugin_id}-"):
            try:
                # Specs may share settings.
                known = {
                    f.option: s
                    for s in registry.load(plugin_id).specs
                    if s.settings is not None
                    for f in fields_of(plugin_id, s.settings)
                }
            except UploaderError:
                return None
            if isinstance(known.get(option), ExecutorSpec):
                return f"{option} belongs to an executor: add --executor {known[option].name}"
            if option in known:
                return f"{option} belongs to {plugin_id}: add {plugin_id} to --plugins"
            return f"{plugin_id} has no option {option}; it has {', '.join(known) or 'none'}"
    return None
