"""The code of mlx-lm for an architecture, without the rest of mlx-lm.

``import mlx_lm`` imports transformers, which takes seconds; the modules of its architectures import
nothing but mlx. So they are imported by themselves, and what else counts is read from its source.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.metadata
import importlib.util
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import PluginError, SourceError

INSTALL = (
    "pip install 'uploader-mlx[lm]'; where transformers has to stay older than 5.7: "
    "pip install --no-deps mlx-lm"
)
"""What brings mlx and mlx-lm; nothing else of what mlx-lm depends on is needed to make a model."""

_TABLES = ("MODEL_REMAPPING", "MODEL_ARCHITECTURE_REMAPPING")


def missing() -> str | None:
    """Return why mlx-lm cannot be used here, as a clause; None where it can."""
    for name in ("mlx", "mlx_lm"):
        if importlib.util.find_spec(name) is None:
            return f"{name.replace('_', '-')} is not installed"
    return None


def require() -> None:
    """Stop where mlx-lm cannot be used.

    Raises:
        PluginError: It says what is missing, and how to get it.
    """
    reason = missing()
    if reason is not None:
        raise PluginError(
            f"{reason}, and its code says what an MLX model is called and shaped like",
            owner="uploader-mlx",
            safe="nothing was written",
            next=f"{INSTALL} (mlx is not there for Windows, where every other format works)",
        )
    try:
        importlib.import_module("mlx.core")
    except (ImportError, OSError) as error:
        raise PluginError(
            f"mlx is installed and cannot be imported: {error}",
            owner="mlx",
            safe="nothing was written",
            next="pip install --force-reinstall 'mlx[cpu]' (on a Mac: mlx)",
        ) from error


def version() -> str:
    """Return the version of mlx-lm."""
    return importlib.metadata.version("mlx-lm")


def classes(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return ``Model`` and ``ModelArgs`` of the architecture that a configuration names.

    What ``_get_classes`` of mlx_lm/utils.py does.

    Args:
        config: ``config.json``.

    Raises:
        PluginError: mlx or mlx-lm is not there.
        SourceError: mlx-lm does not know the architecture, or cannot import its code.
    """
    require()
    kind = str(config.get("model_type") or "")
    name = _module(kind, config.get("architectures") or ())
    folder = _folder()
    if not (folder / "models" / f"{name}.py").is_file() or not name.isprintable() or "." in name:
        near = difflib.get_close_matches(name, known(), 5)
        raise SourceError(
            f"mlx-lm {version()} has no code for the architecture {kind or '(none named)'}"
            + (f"; near ones are {', '.join(near)}" if near else ""),
            owner="model_type in config.json",
            safe="nothing was written",
            next="pip install -U mlx-lm, or leave mlx out of --plugins",
        )
    module = _import(name)
    return module.Model, module.ModelArgs


def known() -> list[str]:
    """Return the architectures that mlx-lm has code for."""
    return sorted(path.stem for path in (_folder() / "models").glob("[!_]*.py"))


def _module(kind: str, architectures: Any) -> str:
    tables = _tables()
    listed = [architectures] if isinstance(architectures, str) else list(architectures)
    for architecture in listed:
        if (kind, architecture) in tables[_TABLES[1]]:
            return str(tables[_TABLES[1]][kind, architecture])
    return str(tables[_TABLES[0]].get(kind, kind))


def _tables() -> dict[str, dict[Any, Any]]:
    """Read the tables of other names from the source of mlx_lm/utils.py."""
    found: dict[str, dict[Any, Any]] = {name: {} for name in _TABLES}
    for node in ast.parse((_folder() / "utils.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in found:
                found[name] = ast.literal_eval(node.value)
    return found


def _folder() -> Path:
    spec = importlib.util.find_spec("mlx_lm")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _import(name: str) -> Any:
    """Import one architecture of mlx-lm, but not what the package itself imports."""
    if "mlx_lm" in sys.modules:
        return importlib.import_module(f"mlx_lm.models.{name}")
    package = types.ModuleType("mlx_lm")
    package.__path__ = [str(_folder())]
    sys.modules["mlx_lm"] = package
    try:
        return importlib.import_module(f"mlx_lm.models.{name}")
    finally:
        # Whoever imports mlx-lm later gets all of it.
        del sys.modules["mlx_lm"]
