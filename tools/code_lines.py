"""Count lines of code: how large the engine of core is, and which modules are too long.

    python tools/code_lines.py

Docstrings, comments and blank lines are not counted for the engine. A module may have 400 lines in
all, whatever they hold, sessions of nox, tools and benchmarks too. The exit code is 1 where a limit
is broken.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORE = ROOT / "packages" / "uploader-core" / "src" / "uploader_core"
ENGINE = ("contract", "plugins", "planning", "workers", "running", "release", "disk")
"""The folders of core that every run needs."""

MOST_OF_ENGINE = 4000
"""Code lines; nothing raises this number."""

MOST_OF_MODULE = 400
MODULES = ("packages/*/src/**", "nox_sessions", "tools", "benchmarks", ".")
"""Where they are, below the root."""

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def count_code(text: str) -> int:
    """Return how many lines of a module hold code.

    Args:
        text: Of the module.
    """
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for docstring in _docstrings(ast.parse(text)):
        lines.difference_update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return len(lines)


def _docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    """Yield docstrings, and the texts that stand below constants as theirs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for part in node.body:
                if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
                    yield part


def main() -> int:
    """Print the counts, and what breaks a limit."""
    engine = 0
    for folder in ENGINE:
        count = sum(count_code(path.read_text("utf-8")) for path in (CORE / folder).rglob("*.py"))
        engine += count
        print(f"{count:6,}  {folder}")
    print(f"{engine:6,}  lines of code in the engine, of at most {MOST_OF_ENGINE:,}")
    failed = engine > MOST_OF_ENGINE
    for path in sorted(path for place in MODULES for path in ROOT.glob(f"{place}/*.py")):
        name = path.relative_to(ROOT).as_posix()
        length = len(path.read_text("utf-8").splitlines())
        if length > MOST_OF_MODULE:
            print(f"{name} has {length} lines, of at most {MOST_OF_MODULE}")
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
