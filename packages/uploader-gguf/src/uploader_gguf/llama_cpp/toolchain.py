"""Where llama.cpp's conversion code is, and what it knows, without importing it.

The wheel carries it as ``uploader_gguf_llama_cpp`` (see ``hatch_build.py``); ``--gguf-llama-cpp``
names a checkout of the user's own instead. :func:`activate` puts it first on ``sys.path``, which
happens in a worker process only, so no other ``gguf`` or ``conversion`` of the machine is touched.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import PluginError, UsageError, from_home

FOLDER = "uploader_gguf_llama_cpp"
_MARK = Path("conversion", "__init__.py")
_TABLES = {"TEXT_MODEL_MAP": "text", "MMPROJ_MODEL_MAP": "mmproj"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolchain:
    """One tree of llama.cpp's conversion code.

    Attributes:
        root: Folder with ``conversion`` and ``gguf-py``.
        version: For records: distribution and version it came from, or the user's folder.
        bundled: Whether the version says all of it.
    """

    root: Path
    version: str
    bundled: bool = False

    def architectures(self) -> dict[str, frozenset[str]]:
        """Return the registered Hugging Face architectures, keyed ``text`` and ``mmproj``.

        They are read from the two tables in ``conversion/__init__.py`` as syntax, because
        importing that module imports torch and transformers.

        Raises:
            PluginError: The tables are not there: a llama.cpp of another generation.
        """
        tree = ast.parse((self.root / _MARK).read_text("utf-8"))
        found: dict[str, frozenset[str]] = {}
        for node in tree.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                kind = _TABLES.get(node.target.id)
                if kind and node.value is not None:
                    found[kind] = frozenset(ast.literal_eval(node.value))
        if set(found) != set(_TABLES.values()):
            raise PluginError(
                f"{self.root / _MARK} does not have the tables of architectures",
                owner=self.version,
                next="use a llama.cpp of 2026, or leave --gguf-llama-cpp away",
            )
        return found

    def has_projector(self, config: Mapping[str, Any]) -> bool:
        """Return whether a model has an encoder of images or sound that can be converted."""
        vision = config.get("vision_config")
        inner = (vision.get("architectures") if isinstance(vision, dict) else None) or [None]
        own = config.get("architectures") or [None]
        return (inner[0] or own[0]) in self.architectures()["mmproj"]

    def activate(self) -> None:
        """Put the tree first on ``sys.path`` and make sure that its own ``gguf`` is what loads.

        Raises:
            PluginError: Another ``gguf`` or ``conversion`` was imported before.
        """
        for path in (self.root, self.root / "gguf-py"):
            if str(path) not in sys.path[:2]:
                sys.path.insert(0, str(path))
        for name in ("gguf", "conversion"):
            module = sys.modules.get(name)
            origin = getattr(module, "__file__", None)
            if origin is not None and not Path(origin).is_relative_to(self.root):
                raise PluginError(
                    f"{name} was already imported from {origin}",
                    owner="another plugin in the same process",
                    next="run the gguf step in a worker process (isolation='process')",
                )


def architecture_of(config: Mapping[str, Any]) -> str | None:
    """Return the name that llama.cpp's converter goes by (``get_model_architecture``)."""
    own = config.get("architectures") or [None]
    text = config.get("text_config")
    inner = (text.get("architectures") if isinstance(text, dict) else None) or [None]
    if own[0] is None and "ssm_cfg" in config:
        return str(config["ssm_cfg"].get("layer", "Mamba")) + "ForCausalLM"
    name = inner[0] or own[0]
    return None if name is None else str(name)


def find(own: Path | None = None) -> Toolchain:
    """Return the bundled tree, or the user's own checkout.

    Args:
        own: ``--gguf-llama-cpp``.

    Raises:
        UsageError: ``own`` is not a llama.cpp.
        PluginError: The installed uploader-gguf has no tree.
    """
    if own is not None:
        own = from_home(own).resolve()
        if not (own / _MARK).is_file() or not (own / "gguf-py" / "gguf").is_dir():
            raise UsageError(
                f"{own} is not a llama.cpp: no {_MARK.as_posix()} and gguf-py/gguf in it",
                owner="option --gguf-llama-cpp",
                next="name the folder of a llama.cpp checkout",
            )
        return Toolchain(root=own, version=f"llama.cpp at {own}")
    spec = importlib.util.find_spec(FOLDER)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        root = Path(place)
        if (root / _MARK).is_file():
            origin = json.loads((root / "origin.json").read_text("utf-8"))
            return Toolchain(
                root=root, version=f"{origin['distribution']} {origin['version']}", bundled=True
            )
    raise PluginError(
        "the installed uploader-gguf does not carry llama.cpp's conversion code",
        owner="uploader-gguf",
        next="pip install --force-reinstall uploader-gguf",
    )
