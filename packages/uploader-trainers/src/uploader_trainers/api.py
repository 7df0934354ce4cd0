"""``plan`` and ``run`` for scripts and notebooks."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from uploader_core import api
from uploader_core.api import Registry, Request, Settings, UsageError
from uploader_trainers.live import save
from uploader_trainers.notebook import display
from uploader_trainers.results import Preview, Release

Names = str | Iterable[str]


def plan(
    source: Any,
    *,
    to: Names = (),
    plugins: Names = (),
    output: str | Path | None = None,
    name: str | None = None,
    base: str | None = None,
    leave_behind: Names = (),
    tokenizer: Any = None,
    save_to: str | Path | None = None,
    **settings: object,
) -> Preview:
    """Show what :func:`run` would do with the same arguments.

    Args:
        source: Folder, name on the Hub, live model of peft or transformers, or trainer. What is
            live is saved first.
        to: Destinations, ``scheme:rest``.
        plugins: Formats; those that uploader makes by default when empty.
        output: Release folder.
        name: Name of the released model.
        base: Base model, when the adapter names none or another place.
        leave_behind: Files next to the model that look like a part of it and that the release is
            right without.
        tokenizer: Saved with a live model.
        save_to: Where a live model is saved; ``final_model`` in the trainer's or the working
            folder when None.
        settings: Of plugins, named as their options: ``gguf_quants=["Q8_0"]``,
            ``hf_public=True``.

    Raises:
        UploaderError: The request cannot be planned at all.
    """
    reference = save(source, tokenizer=tokenizer, folder=_path(save_to))
    registry, chosen = _configure(settings)
    request = _request(reference, to, plugins, output, name, base, leave_behind)
    return Preview(api.plan(request, settings=chosen, registry=registry))


def run(
    source: Any,
    *,
    to: Names = (),
    plugins: Names = (),
    output: str | Path | None = None,
    name: str | None = None,
    base: str | None = None,
    leave_behind: Names = (),
    tokenizer: Any = None,
    save_to: str | Path | None = None,
    jobs: int = 1,
    quiet: bool = False,
    **settings: object,
) -> Release:
    """Make a release and send it; the same call again goes on where the last one stopped.

    Args:
        source: As for :func:`plan`, like everything that is not described here.
        to: Destinations.
        plugins: Formats.
        output: Release folder.
        name: Name of the released model.
        base: Base model.
        leave_behind: Files that shall not be missed.
        tokenizer: Saved with a live model.
        save_to: Where a live model is saved.
        jobs: Heavy steps side by side.
        quiet: Show no progress.
        settings: Of plugins.

    Returns:
        The release, done and verified.

    Raises:
        UploaderError: Refused, or a step failed; ``next`` of the error says what to do.
        KeyboardInterrupt: Stopped; what was finished is kept for the next call.
    """
    reference = save(source, tokenizer=tokenizer, folder=_path(save_to))
    registry, chosen = _configure(settings)
    request = _request(reference, to, plugins, output, name, base, leave_behind)
    with display(quiet=quiet) as screen:
        report = api.run(
            request,
            settings=chosen,
            registry=registry,
            on_event=screen,
            confirm=screen.begin,
            jobs=jobs,
        )
    error = report.error()
    if error is not None:
        raise error
    return Release(report, registry)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else api.from_home(path)


def _names(names: Names) -> tuple[str, ...]:
    return tuple(names.split(",")) if isinstance(names, str) else tuple(names)


def _request(
    reference: str,
    to: Names,
    plugins: Names,
    output: str | Path | None,
    name: str | None,
    base: str | None,
    leave_behind: Names,
) -> Request:
    return Request(
        source=reference,
        plugins=_names(plugins),
        destinations=(to,) if isinstance(to, str) else tuple(to),
        output=_path(output),
        name=name,
        base=base,
        leave_behind=_names(leave_behind),
        command=f"uploader_trainers.run in {Path(sys.argv[0]).name or 'python'}",
    )


def _configure(settings: Mapping[str, object]) -> tuple[Registry, Settings]:
    registry = api.make_registry()
    options: dict[str, dict[str, object]] = {}
    for keyword, value in settings.items():
        plugin, field = _owner(keyword, registry)
        options.setdefault(plugin, {})[field] = value
    return registry, options


def _owner(keyword: str, registry: Registry) -> tuple[str, str]:
    """Find plugin and field of ``gguf_quants``.

    Raises:
        UsageError: No plugin has such a setting.
    """
    known: list[str] = []
    for plugin_id in registry.ids():
        prefix = plugin_id.replace("-", "_") + "_"
        if not keyword.startswith(prefix):
            continue
        for spec in registry.load(plugin_id).specs:
            if spec.settings is not None:
                known += [prefix + f.name for f in api.fields_of(plugin_id, spec.settings)]
        if keyword in known:
            return plugin_id, keyword.removeprefix(prefix)
    near = difflib.get_close_matches(keyword, sorted(set(known)), n=2)
    raise UsageError(
        f"there is no setting {keyword!r}",
        next=f"did you mean {' or '.join(near)}?" if near else "uploader run --help",
    )
