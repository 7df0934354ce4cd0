"""Plugins of one file: checked as they are, and made a distribution when they have grown up."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from uploader_core.cli.plugin_file import advertised, installed_meanwhile, plugin_id
from uploader_core.contract.settings import Setting, fields_of
from uploader_core.contract.specs import ConvertSpec, DocumentSpec, SaveSpec, Spec, UploadSpec
from uploader_core.disk.safe_write import write_bytes
from uploader_core.plugins.registry import Registry
from uploader_kit.scaffold import Blueprint, new_folder, template, values_of

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README_one_file.md",
    "CHANGELOG.md": "CHANGELOG.md",
    ".gitignore": "gitignore",
    ".github/workflows/ci.yml": "ci.yml",
    ".github/workflows/release.yml": "release.yml",
    "src/{package}/__init__.py": "init.py",
}
_CLASSES: dict[type[Spec], str] = {
    SaveSpec: "SaveConformance",
    ConvertSpec: "ConvertConformance",
    DocumentSpec: "DocumentConformance",
}
_TESTS = '''"""uploader's conformance kit: what every plugin must do."""

from __future__ import annotations

from uploader_kit import {classes}
'''
_SERVER = """
# The upload itself is tried against a server that you start: uploader_kit.UploadConformance.
"""


@contextlib.contextmanager
def subject_of(
    subject: str, make_registry: Callable[[], Registry]
) -> Iterator[tuple[str, Registry]]:
    """Give what ``plugins check`` looks at, and the installed plugins; a file is one meanwhile.

    Args:
        subject: An id, a folder, or a plugin of one file.
        make_registry: Reads what is installed.
    """
    file = Path(subject)
    if file.suffix != ".py":
        yield subject, make_registry()
        return
    with installed_meanwhile([file], make_registry) as registry:
        yield plugin_id(file), registry


def write_from(file: Path, parent: Path, make_registry: Callable[[], Registry]) -> Path:
    """Write a complete distribution for a plugin of one file and return its folder.

    Args:
        file: The plugin; it stays as it is.
        parent: Where the folder goes.
        make_registry: Reads what is installed.

    Raises:
        UsageError: A file that cannot be a plugin, or the folder exists.
        PluginBrokenError: The file cannot be imported, or registers something invalid.
    """
    blueprint = Blueprint(id=plugin_id(file))
    with installed_meanwhile([file], make_registry) as registry:
        specs = registry.load(blueprint.id).specs
        options = _options(blueprint.id, specs)
    folder = new_folder(blueprint, parent)
    values = values_of(blueprint)
    values |= {
        "summary": next((spec.summary for spec in specs), blueprint.id).replace('"', "'"),
        "advertised": "".join(
            f'[project.entry-points."{group}"]\n"{name}" = "{values["package"]}.plugin"\n\n'
            for group, name in advertised(blueprint.id, specs)
        ).removesuffix("\n"),
        "usage": _usage(blueprint.id, specs),
        "options": _option_table(options),
    }
    for name, source in _FILES.items():
        text = template(source).substitute(values)
        write_bytes(folder / name.format(package=values["package"]), text.encode("utf-8"))
    package = folder / "src" / values["package"]
    source = _renamed(file.read_text("utf-8"), file.stem, f"{values['package']}.plugin")
    write_bytes(package / "plugin.py", source.encode("utf-8"))
    write_bytes(package / "py.typed", b"")
    tests = _tests(blueprint.id, values["class"], specs)
    write_bytes(folder / "tests" / "test_conformance.py", tests.encode("utf-8"))
    return folder


def _renamed(source: str, old: str, new: str) -> str:
    """Return a source in which the functions of its module are called by another name."""
    return re.sub(rf"""(["']){re.escape(old)}:(\w+)\1""", rf"\1{new}:\2\1", source)


def _options(name: str, specs: Sequence[Spec]) -> list[Setting]:
    found: dict[str, Setting] = {}
    for spec in specs:
        if spec.settings is not None:
            found |= {field.option: field for field in fields_of(name, spec.settings)}
    return list(found.values())


def _option_table(options: Sequence[Setting]) -> str:
    if not options:
        return "It has none."
    rows = [f"| `{o.option}` | `{o.default}` | {o.help} |" for o in options]
    return "\n".join(["| option | default | |", "| --- | --- | --- |", *rows])


def _usage(name: str, specs: Sequence[Spec]) -> str:
    scheme = next((spec.scheme for spec in specs if isinstance(spec, UploadSpec)), None)
    if scheme is not None:
        return f"--to {scheme}:PLACE"
    return f"--plugins {name}" if any(isinstance(s, (SaveSpec, ConvertSpec)) for s in specs) else ""


def _tests(name: str, words: str, specs: Sequence[Spec]) -> str:
    """Return tests with a class of the kit for each spec that it can try by itself."""
    tried = [(spec, _CLASSES[type(spec)]) for spec in specs if type(spec) in _CLASSES]
    classes = sorted({cls for _, cls in tried}) or ["PluginConformance"]
    text = _TESTS.format(classes=", ".join(classes))
    for spec, cls in tried:
        part = "".join(word.capitalize() for word in re.split(r"[.-]", spec.name))
        text += f'\n\nclass Test{part}({cls}):\n    plugin = "{name}"\n    spec = "{spec.name}"\n'
    if not tried:
        text += f'\n\nclass Test{words}(PluginConformance):\n    plugin = "{name}"\n'
    return text + (_SERVER if any(isinstance(spec, UploadSpec) for spec in specs) else "")
