"""Build hook: compile the kernels, where a C compiler is at hand.

The library talks to Python through ctypes alone, so one wheel serves every Python of a platform.
Without a compiler the wheel holds no library, and whoever asks for kernels is told so: a machine
without one still installs everything.

``UPLOADER_KERNELS_TARGET`` names a platform to build a wheel for, from any machine: the compiler is
then zig's, which ``pip install ziglang`` brings.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "uploader_kernels_native"
"""Of its own: an editable install puts it beside the package, not into it."""

# No fused multiply-add that is not asked for: it rounds once where llama.cpp's kernels round twice.
FLAGS = [
    "-O3", "-g0", "-std=gnu11", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno",
    "-fno-trapping-math", "-Wno-psabi",
]  # fmt: skip
LEVELS = {
    "plain": [],
    "avx2": ["-mavx2", "-mf16c", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mf16c", "-mfma"],
}
TARGETS = {
    "x86_64-linux-gnu.2.17": "manylinux_2_17_x86_64",
    "aarch64-linux-gnu.2.17": "manylinux_2_17_aarch64",
    "x86_64-linux-musl": "musllinux_1_2_x86_64",
    "x86_64-macos.11.0": "macosx_11_0_x86_64",
    "aarch64-macos.11.0": "macosx_11_0_arm64",
    "x86_64-windows-gnu": "win_amd64",
}
"""Zig's names of platforms, and the tags of wheels for them."""


class KernelsHook(BuildHookInterface[Any]):
    """Compile the library and force-include it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        target = os.environ.get("UPLOADER_KERNELS_TARGET")
        compiler = (
            [sys.executable, "-m", "ziglang", "cc", "-target", target] if target else _compiler()
        )
        if not compiler:
            self.app.display_warning("no C compiler: the kernels are left out of the wheel")
            return
        self._scratch = tempfile.TemporaryDirectory()
        system = target or sysconfig.get_platform()
        suffix = "dll" if _is_windows(system) else "so"
        library = Path(self._scratch.name) / f"uploader_kernels.{suffix}"
        try:
            _compile(compiler, Path(self.root) / "src" / "uploader_kernels", library, system)
        except (OSError, subprocess.CalledProcessError) as error:
            if target:
                raise
            self.app.display_warning(f"the kernels are left out of the wheel: {error}")
            return
        key = "force_include_editable" if version == "editable" else "force_include"
        build_data[key][str(library)] = f"{FOLDER}/{library.name}"
        tag = (
            TARGETS[target]
            if target
            else sysconfig.get_platform().replace("-", "_").replace(".", "_")
        )
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()


def _is_windows(system: str) -> bool:
    return "win" in system and "darwin" not in system


def _compiler() -> list[str]:
    """Return the command of the C compiler, empty for none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    return [name for name in ("gcc", "clang", "cc") if shutil.which(name)][:1]


def _compile(compiler: list[str], source: Path, library: Path, system: str) -> None:
    """Compile the kernels once for each set of instructions, and link them."""
    x86 = "x86_64" in system or "amd64" in system
    position = [] if _is_windows(system) else ["-fPIC"]
    objects = []
    for level, flags in LEVELS.items():
        if level == "plain" or x86:
            made = library.with_name(f"{level}.o")
            command = [*compiler, *FLAGS, *position, *flags, f"-DLEVEL={level}"]
            subprocess.run(
                [*command, "-c", str(source / "native/kernels.c"), "-o", str(made)], check=True
            )
            objects.append(str(made))
    front = [*compiler, *FLAGS, *position, str(source / "native/library.c"), *objects]
    subprocess.run([*front, "-shared", "-o", str(library)], check=True)
