"""Plugins of one file, for a first try: ``--plugin-file my_format.py``.

For as long as the command runs, the file is a distribution on the import path of this process and
of those that it starts: a folder of its own that holds a copy of the file and metadata like that of
any installed plugin. So nothing else has to know of such plugins, nothing beside the file can be
imported by accident, and what runs is what its version says, even if the file is edited meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import uploader_core
from uploader_core.contract.specs import (
    DocumentSpec,
    ExecutorSpec,
    MakeSpec,
    ReaderSpec,
    SourceSpec,
    Spec,
    UploadSpec,
)
from uploader_core.errors import PluginBrokenError, UsageError
from uploader_core.plugins.entry_points import (
    ARTIFACTS,
    DEFAULTS,
    DOCUMENTS,
    EXECUTORS,
    MEASURES,
    PLUGINS,
    READERS,
    SCHEMES,
    SOURCES,
)
from uploader_core.plugins.registry import Registry

_STEM = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_DIGITS = 12
"""Of the file's digest, in its version."""


def plugin_id(file: Path) -> str:
    """Return the id of a plugin of one file: ``my-format`` for ``my_format.py``.

    Raises:
        UsageError: There is no such file, or no module can be called so.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file}", safe="nothing was started")
    if file.suffix != ".py" or not _STEM.fullmatch(file.stem):
        better = re.sub(r"[^a-z0-9]+", "_", file.stem.lower()).strip("_")
        raise UsageError(
            f"{file.name} cannot be a plugin: lower-case letters, digits and _ make its id",
            safe="nothing was started",
            next=f"rename it, for example to {better or 'my_format'}.py",
        )
    return file.stem.replace("_", "-")


@contextlib.contextmanager
def installed_meanwhile(
    files: Sequence[Path], make_registry: Callable[[], Registry]
) -> Iterator[Registry]:
    """Let files be installed plugins until the context ends.

    Args:
        files: Each a module with hooks.
        make_registry: Reads what is installed, and what of it must not be loaded.

    Yields:
        The installed plugins, the files among them.

    Raises:
        UsageError: A file that cannot be a plugin, or whose name is taken.
        PluginBrokenError: It cannot be imported, or registers something invalid.
    """
    with contextlib.ExitStack() as stack:
        registry = make_registry()
        for file in files:
            name = plugin_id(file)
            _check_free(file, name, registry)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="uploader-file-")))
            _write(file, folder, [(PLUGINS, name)])
            stack.enter_context(_importable(folder, file.stem))
            registry = make_registry()
            if name in registry.disabled:
                continue
            try:
                specs = registry.load(name).specs
            except PluginBrokenError as error:
                raise error.replace(
                    safe="nothing was started", next=f"mend {file}; --debug shows the traceback"
                ) from error
            _write(file, folder, [(PLUGINS, name), *advertised(name, specs)])
            registry = make_registry()
        yield registry


def _check_free(file: Path, name: str, registry: Registry) -> None:
    """Refuse a file that would hide something, or be hidden.

    Raises:
        UsageError: An installed plugin has its id, or another module its name.
    """
    claims = registry.claims(name)
    if claims:
        raise UsageError(
            f"{file.name} would be the plugin {name!r}, and there is one already",
            owner=claims[0].owner,
            safe="nothing was started",
            next="rename the file, or leave --plugin-file out",
        )
    # Workers look into the working folder first.
    here = Path(f"{file.stem}.py")
    found = importlib.util.find_spec(file.stem)
    origin = (found.origin or "a folder") if found is not None else here if here.exists() else None
    if origin is not None and not _is_same(file, Path(origin)):
        raise UsageError(
            f"{file.name} cannot be imported: there is another module {file.stem!r}",
            owner=str(origin),
            safe="nothing was started",
            next="rename the file",
        )


def _is_same(file: Path, other: Path) -> bool:
    return other.exists() and file.samefile(other)


@contextlib.contextmanager
def _importable(folder: Path, module: str) -> Iterator[None]:
    """Put a folder on the import path of this process and of those that it starts."""
    before = os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(module, None)
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _write(file: Path, folder: Path, points: Iterable[tuple[str, str]]) -> None:
    """Write a copy of a file, and the metadata of a distribution that holds it.

    Args:
        file: The plugin.
        folder: Where both go.
        points: Groups and names of its entry points.
    """
    copy = folder / file.name
    if not copy.exists():
        copy.write_bytes(file.read_bytes())
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()[:_DIGITS]
    major, minor = uploader_core.__version__.split(".")[:2]
    info = folder / f"{file.stem}_py-0.dist-info"  # as its name is looked up
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {file.name}\nVersion: sha256:{digest}\n"
        f"Summary: {file.name}, a plugin of one file\n"
        f"Requires-Dist: uploader-core>={major}.{minor},<{int(major) + 1}\n",
        "utf-8",
    )
    lines = [f"[{group}]\n{name} = {file.stem}\n" for group, name in points]
    (info / "entry_points.txt").write_text("".join(lines), "utf-8")


def advertised(name: str, specs: Sequence[Spec]) -> Iterator[tuple[str, str]]:
    """Yield what a distribution would advertise of such specs: group and name.

    Args:
        name: Plugin id.
        specs: What the plugin registers.
    """
    made = [spec for spec in specs if isinstance(spec, MakeSpec)]
    schemes = [spec.scheme for spec in specs if isinstance(spec, UploadSpec)]
    documents = [spec for spec in specs if isinstance(spec, DocumentSpec)]
    yield from dict.fromkeys((ARTIFACTS, spec.produces) for spec in made)
    yield from dict.fromkeys((SCHEMES, scheme) for scheme in schemes)
    yield from ((EXECUTORS, spec.name) for spec in specs if isinstance(spec, ExecutorSpec))
    # A section belongs to whoever makes the kind; a plugin of sections alone is loaded always.
    alone = not made and not schemes
    for group, is_in in (
        (DEFAULTS, any(spec.default for spec in made)),
        (SOURCES, any(isinstance(spec, SourceSpec) for spec in specs)),
        (READERS, any(isinstance(spec, ReaderSpec) for spec in specs)),
        (MEASURES, any(spec.measures for spec in documents)),
        (DOCUMENTS, any(not d.measures and (d.output is not None or alone) for d in documents)),
    ):
        if is_in:
            yield group, name
