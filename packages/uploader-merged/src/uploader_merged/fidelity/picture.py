"""Size against quality, as a picture for cards."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def draw(models: Sequence[Mapping[str, Any]], scratch: Path) -> bytes | None:
    """Draw divergence by size as PNG; None for a single model, or without matplotlib.

    Args:
        models: As in ``fidelity.json``.
        scratch: Where matplotlib keeps what it knows of fonts; it would write into the home folder.
    """
    points = [(m["bytes"] / 1e9, m["kl_mean"], m["name"]) for m in models if m["kl_mean"] > 0]
    if len(points) < 2 or find_spec("matplotlib") is None:
        return None
    os.environ.setdefault("MPLCONFIGDIR", str(scratch))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    small = max(size for size, _, _ in points) < 1
    figure = Figure(figsize=(7, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for size, divergence, name in sorted(points):
        place = size * 1000 if small else size
        axes.plot(place, divergence, "o", color="tab:blue")
        axes.annotate(name, (place, divergence), xytext=(6, 4), textcoords="offset points")
    axes.set(
        xlabel="file, MB" if small else "file, GB",
        ylabel="KL divergence from base and adapter",
        yscale="log",
    )
    axes.yaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.15, y=0.2)
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    memory = io.BytesIO()
    figure.savefig(memory, format="png", metadata={"Software": None})
    return memory.getvalue()
