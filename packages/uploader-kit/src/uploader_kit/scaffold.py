"""A new plugin's distribution from the template here, green before the first edit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import uploader_core
import uploader_kit
from uploader_core.builtin.local_source.plugin import SOURCE_KINDS
from uploader_core.disk.safe_write import write_bytes
from uploader_core.errors import UsageError
from uploader_kit.inputs import CHECKPOINT

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_KIND = re.compile(r"[a-z0-9][a-z0-9.-]*")
_COMMON = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    ".gitignore": "gitignore",
    ".github/workflows/ci.yml": "ci.yml",
    ".github/workflows/release.yml": "release.yml",
    "src/{package}/__init__.py": "init.py",
    "src/{package}/settings.py": "settings.py",
}


_ADVERTISED_KIND = (
    "# The kinds that it makes, so that others find it without importing it.\n"
    '[project.entry-points."uploader_core.artifacts"]\n"$produces" = "$package.plugin"\n\n'
    "# It takes part where a user names no --plugins; without this group, only when it is named.\n"
    '[project.entry-points."uploader_core.defaults"]\n$id = "$package.plugin"\n'
)
_PACK = {
    "advertised": _ADVERTISED_KIND,
    "usage": "--plugins $id",
    "setting": "compress",
    "setting_upper": "COMPRESS",
    "setting_type": "bool",
    "setting_help": "make the archive smaller",
    "default": "false",
    "python_default": "False",
    "toml_default": "false",
    "developing": "    # make it anew after an edit, whatever is there already:\n"
    "    uploader run ./final_model --plugins $id --redo $id:$id\n",
}
_FLAVOUR_VALUES: Mapping[str, Mapping[str, str]] = {
    "convert": {
        **_PACK,
        "summary": "$produces from $consumes",
        "function": "convert",
        "conformance": "ConvertConformance",
    },
    "checkpoint": {
        **_PACK,
        "summary": "$produces from $consumes",
        "dependencies": '\n    "uploader-core>=$core,<$next_core",\n'
        '    "uploader-merged>=$core,<$next_core",  # opens a checkpoint, base and adapter too\n'
        '    "safetensors>=0.4.3",\n',
        "setting": "file_size",
        "setting_upper": "FILE_SIZE",
        "setting_type": "int",
        "setting_help": "bytes of a file of weights, at most",
        "default": "2000000000",
        "python_default": "2_000_000_000",
        "toml_default": "2000000000",
        "conformance": "ConvertConformance",
    },
    "save": {
        **_PACK,
        "summary": "$produces from $consumes",
        "function": "save",
        "conformance": "SaveConformance",
    },
    "upload": {
        "summary": "releases to $scheme:",
        "advertised": "# What stands before the colon of `--to`.\n"
        '[project.entry-points."uploader_core.schemes"]\n$scheme = "$package.plugin"\n',
        "usage": "--to $scheme:FOLDER",
        "developing": "    # bring it there again after an edit:\n"
        "    uploader run ./final_model --to $scheme:FOLDER --redo $id:upload\n",
        "setting": "folder",
        "setting_upper": "FOLDER",
        "setting_type": "str",
        "setting_help": "folder below the target",
        "default": "",
        "python_default": '""',
        "toml_default": '""',
    },
    "document": {
        "summary": "a section about $id",
        "advertised": "# Loaded in every run, because it describes what others make.\n"
        '[project.entry-points."uploader_core.documents"]\n$id = "$package.plugin"\n',
        "usage": "--plugins lora",
        "developing": "    # write it anew after an edit:\n"
        "    uploader run ./final_model --plugins lora --redo $id:$id\n",
        "setting": "introduction",
        "setting_upper": "INTRODUCTION",
        "setting_type": "str",
        "setting_help": "first line of the section",
        "default": "What is in it:",
        "python_default": '"What is in it:"',
        "toml_default": '"What is in it:"',
        "conformance": "DocumentConformance",
    },
}
_FLAVOUR_FILES: Mapping[str, Mapping[str, str]] = {
    "convert": {
        "src/{package}/plugin.py": "plugin_convert.py",
        "src/{package}/convert.py": "convert.py",
        "tests/test_conformance.py": "test_make.py",
    },
    "checkpoint": {
        "src/{package}/plugin.py": "plugin_checkpoint.py",
        "src/{package}/convert.py": "convert_checkpoint.py",
        "src/{package}/preflight.py": "preflight_checkpoint.py",
        "tests/test_conformance.py": "test_make.py",
    },
    "save": {
        "src/{package}/plugin.py": "plugin_save.py",
        "src/{package}/save.py": "convert.py",
        "tests/test_conformance.py": "test_make.py",
    },
    "upload": {
        "src/{package}/plugin.py": "plugin_upload.py",
        "src/{package}/upload.py": "upload.py",
        "tests/test_conformance.py": "test_upload.py",
    },
    "document": {
        "src/{package}/plugin.py": "plugin_document.py",
        "src/{package}/document.py": "document.py",
        "tests/test_conformance.py": "test_make.py",
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Blueprint:
    """What a new plugin shall be.

    Attributes:
        id: Plugin id, which users type.
        consumes: Kind that it turns into ``produces``.
        produces: Kind that it makes; the id when None.
        scheme: Makes it a destination of this scheme.
        document: Makes it a section of the documents.
        name: Name of the distribution; ``uploader-<id>`` when None.
    """

    id: str
    consumes: str = "merged-16bit"
    produces: str | None = None
    scheme: str | None = None
    document: bool = False
    name: str | None = None

    @property
    def distribution(self) -> str:
        return self.name or f"uploader-{self.id}"


def write_plugin(blueprint: Blueprint, parent: Path) -> Path:
    """Write a complete distribution into ``parent/<its name>`` and return that folder.

    Raises:
        UsageError: A name that cannot be one, a contradiction, or the folder exists.
    """
    _check(blueprint)
    folder = new_folder(blueprint, parent)
    flavour = _flavour(blueprint)
    values = {**values_of(blueprint), **_FLAVOUR_VALUES[flavour]}
    values["sentence"] = values["summary"][0].upper() + values["summary"][1:].rstrip(":")
    values["setting_dashed"] = values["setting"].replace("_", "-")
    values["shown_default"] = f"`{values['default']}`" if values["default"] else "none"
    values = {key: Template(value).substitute(values) for key, value in values.items()}
    for name, source in {**_COMMON, **_FLAVOUR_FILES[flavour]}.items():
        text = template(source).substitute(values)
        write_bytes(folder / name.format(package=values["package"]), text.encode("utf-8"))
    write_bytes(folder / "src" / values["package"] / "py.typed", b"")
    return folder


def new_folder(blueprint: Blueprint, parent: Path) -> Path:
    """Return the folder of a new distribution, which does not exist yet.

    Raises:
        UsageError: It does.
    """
    folder = parent / blueprint.distribution
    if folder.exists():
        raise UsageError(
            f"{folder} exists", safe="nothing was written", next="choose another name or place"
        )
    return folder


def _check(blueprint: Blueprint) -> None:
    if not _NAME.fullmatch(blueprint.id):
        raise UsageError(
            f"{blueprint.id!r} is no plugin id: lower-case letters, digits and dashes",
            next="uploader plugins new "
            + (re.sub(r"[^a-z0-9]+", "-", blueprint.id.lower()) or "x"),
        )
    if blueprint.scheme is not None and not re.fullmatch(r"[a-z][a-z0-9]+", blueprint.scheme):
        raise UsageError(f"{blueprint.scheme!r} is no scheme: lower-case letters and digits")
    if not _NAME.fullmatch(blueprint.distribution):
        raise UsageError(
            f"{blueprint.distribution!r} is no name of a distribution: lower-case letters, digits "
            "and dashes"
        )
    for kind in (blueprint.consumes, blueprint.produces or blueprint.id):
        if not _KIND.fullmatch(kind):
            raise UsageError(f"{kind!r} is no artifact kind: lower-case letters, digits, dot, dash")
    if blueprint.produces == blueprint.consumes:
        raise UsageError("a format cannot be made from itself", next="give --produces another kind")
    if blueprint.scheme is not None and blueprint.document:
        raise UsageError("a plugin from the template is a destination or a document, not both")


def _flavour(blueprint: Blueprint) -> str:
    if blueprint.scheme is not None:
        return "upload"
    if blueprint.document:
        return "document"
    if blueprint.consumes == CHECKPOINT:
        return "checkpoint"
    return "save" if blueprint.consumes in SOURCE_KINDS else "convert"


def values_of(blueprint: Blueprint) -> dict[str, str]:
    """Return what templates say of a plugin, whatever it does."""
    major = int(uploader_core.__version__.split(".")[0])
    minor = uploader_core.__version__.split(".")[1]
    words = "".join(part.capitalize() for part in blueprint.id.split("-"))
    return {
        "id": blueprint.id,
        "distribution": blueprint.distribution,
        "package": blueprint.distribution.replace("-", "_"),
        "class": words,
        "core": f"{major}.{minor}",
        "next_core": str(major + 1),
        "dependencies": f'"uploader-core>={major}.{minor},<{major + 1}"',
        "consumes": blueprint.consumes,
        "produces": blueprint.produces or blueprint.id,
        "scheme": blueprint.scheme or "",
        "heading": blueprint.id.replace("-", " ").capitalize(),
        "variable": f"UPLOADER_{blueprint.id}_".upper().replace("-", "_") + "$setting_upper",
    }


def template(name: str) -> Template:
    """Return a file of the template."""
    file = resources.files(uploader_kit) / "template" / f"{name}.tmpl"
    return Template(file.read_text("utf-8"))
