"""Read from the packages of inference engines which architectures they know.

    python tools/engine_facts.py vllm-*.whl sglang-*.whl mlx_lm-*.whl

Writes ``uploader_lora/where_it_runs/engines.json``. Wheels are read and not installed: nothing of
them is run. What they accept besides, which is written by hand in the modules beside that file, has
to be looked at again when a version changes.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

TARGET = (
    Path(__file__).parent.parent
    / "packages/uploader-lora/src/uploader_lora/where_it_runs/engines.json"
)
_VLLM = "vllm/model_executor/models/registry.py"
_VLLM_TABLES = (
    *("_TEXT_GENERATION_MODELS", "_EMBEDDING_MODELS", "_SEQUENCE_CLASSIFICATION_MODELS"),
    *("_TOKEN_CLASSIFICATION_MODELS", "_REWARD_MODELS", "_MULTIMODAL_MODELS"),
    "_TRANSFORMERS_SUPPORTED_MODELS",
)


def _assigned(text: str) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def vllm(wheel: zipfile.ZipFile) -> list[str]:
    """Return the keys of its registry."""
    tables = dict(_assigned(wheel.read(_VLLM).decode()))
    found: set[str] = set()
    for name in _VLLM_TABLES:
        table = tables[name]
        assert isinstance(table, ast.Dict)
        found |= {str(key.value) for key in table.keys if isinstance(key, ast.Constant)}
    return sorted(found)


def sglang(wheel: zipfile.ZipFile) -> list[str]:
    """Return the classes that its modules name as their entries."""
    found: set[str] = set()
    for name in wheel.namelist():
        if re.fullmatch(r"sglang/srt/models/.*\.py", name):
            for target, value in _assigned(wheel.read(name).decode()):
                if target == "EntryClass":
                    parts = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
                    found |= {part.id for part in parts if isinstance(part, ast.Name)}
    return sorted(found)


def mlx_lm(wheel: zipfile.ZipFile) -> list[str]:
    """Return its modules, which are named by ``model_type``."""
    matches = (re.fullmatch(r"mlx_lm/models/([a-z]\w*)\.py", name) for name in wheel.namelist())
    return sorted(match[1] for match in matches if match)


READERS = {"vllm": ("vLLM", vllm), "sglang": ("SGLang", sglang), "mlx_lm": ("MLX", mlx_lm)}


def main() -> None:
    """Read every wheel that is named, and keep what the file says of other engines."""
    facts = json.loads(TARGET.read_text("utf-8")) if TARGET.exists() else {}
    for path in map(Path, sys.argv[1:]):
        package, version = path.name.split("-")[:2]
        engine, read = READERS[package]
        with zipfile.ZipFile(path) as wheel:
            facts[engine] = {"version": version, "architectures": read(wheel)}
    TARGET.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
