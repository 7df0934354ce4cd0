"""Who may import whom: plugins see core's public surface only, core sees no plugin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
PLUGINS = ("lora", "merged", "gguf", "hf")


def imports(package: str) -> Iterator[tuple[str, str]]:
    """Yield (file:line, imported module) for every import of a package, also inside functions."""
    source = PACKAGES / f"uploader-{package}" / "src"
    for path in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            where = f"{path.relative_to(source)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from ((where, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from ((where, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("package", PLUGINS)
def test_plugin_imports_only_the_public_surface_of_core(package: str) -> None:
    core = [(w, name) for w, name in imports(package) if name.split(".")[0] == "uploader_core"]
    assert core
    assert not [(w, n) for w, n in core if not n.startswith("uploader_core.plugin.")]


def test_core_imports_no_plugin_outside_its_demo() -> None:
    # The demo shows the whole, and asks for the plugins with the extra [demo].
    core = [(w, name) for w, name in imports("core") if not w.startswith("uploader_core/demo/")]
    plugins = {f"uploader_{name}" for name in PLUGINS}
    assert core
    assert not [(w, name) for w, name in core if name.split(".")[0] in plugins]
