"""What ``uploader doctor`` should know of mlx."""

from __future__ import annotations

from collections.abc import Iterator

from uploader_core.plugin import Diagnosis
from uploader_mlx.architecture.installed import INSTALL, known, missing, version


def diagnose() -> Iterator[Diagnosis]:
    """Look whether models for MLX can be made here; nothing of mlx is imported."""
    reason = missing()
    if reason is None:
        what = f"mlx-lm {version()}, {len(known())} architectures"
        yield Diagnosis(name="mlx", level="ok", what=what)
        return
    yield Diagnosis(
        name="mlx",
        level="warn",
        what=f"{reason}, so models for MLX cannot be made here; all other formats can",
        fix=f"{INSTALL} (mlx is not there for Windows)",
    )
