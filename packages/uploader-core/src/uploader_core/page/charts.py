"""Curves, points and bars as SVG that takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from uploader_core.page.markup import Markup, element, join

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 14, 34
MOST_POINTS = 400
"""Points of a curve; more are thinned, a screen cannot show them."""

Points = Sequence[tuple[float, float]]


def curve(lines: Sequence[tuple[str, Points]], across: str, up: str) -> Markup:
    """Draw curves over a common axis; nothing with fewer than two points.

    Args:
        lines: Names and their points; what is not finite is left out.
        across: What the horizontal axis is.
        up: What the vertical axis is.
    """
    finite = ((name, [p for p in points if all(map(math.isfinite, p))]) for name, points in lines)
    lines = [(name, thinned(points)) for name, points in finite if len(points) > 1]
    if not lines:
        return Markup("")
    every = [point for _, points in lines for point in points]
    place = _Axes(every)
    drawn = [
        element(
            "polyline",
            points=" ".join(f"{place.x(a):.1f},{place.y(b):.1f}" for a, b in points),
            class_=f"line line{number}",
        )
        for number, (_, points) in enumerate(lines)
    ]
    names = [
        element("span", element("i", class_=f"key key{number}"), name)
        for number, (name, _) in enumerate(lines)
    ]
    legend = element("p", join(names), class_="legend") if len(lines) > 1 else ""
    return join((_frame(place, across, up, drawn), legend))


def scatter(points: Sequence[tuple[float, float, str]], across: str, up: str) -> Markup:
    """Draw points with their names, the vertical axis logarithmic; nothing for fewer than two."""
    points = [point for point in points if point[1] > 0]
    if len(points) < 2:
        return Markup("")
    place = _Axes([(a, math.log10(b)) for a, b, _ in points], margin=0.14, powers=True)
    drawn = []
    for a, b, name in points:
        x, y = place.x(a), place.y(math.log10(b))
        anchor = "end" if x > WIDTH - 110 else "start"
        shift = -8 if anchor == "end" else 8
        drawn.append(element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=5, class_="point"))
        drawn.append(
            element("text", name, x=f"{x + shift:.1f}", y=f"{y - 7:.1f}", text_anchor=anchor)
        )
    return _frame(place, across, up, drawn)


def bars(rows: Sequence[tuple[str, float, float, str]], total: float) -> Markup:
    """Draw when things began and how long they took.

    Args:
        rows: Name, start and end in seconds, and a class for the look.
        total: Seconds of the whole.
    """
    if not rows or total <= 0:
        return Markup("")
    step, left = 24, 230
    height = step * len(rows) + 8
    drawn = []
    for number, (name, start, end, look) in enumerate(rows):
        y = 4 + number * step
        x = left + (WIDTH - left - 60) * start / total
        width = max(2.0, (WIDTH - left - 60) * (end - start) / total)
        short = name if len(name) <= 34 else name[:33] + "…"
        drawn.append(element("text", short, x=left - 8, y=y + 15, text_anchor="end"))
        drawn.append(
            element("rect", x=f"{x:.1f}", y=y + 4, width=f"{width:.1f}", height=14, rx=3,
                    class_=f"bar {look}")
        )  # fmt: skip
        drawn.append(element("text", f"{end - start:.1f} s", x=f"{x + width + 5:.1f}", y=y + 15))
    return element(
        "svg",
        join(drawn),
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label="when each step ran",
        class_="chart",
    )


def thinned(points: Points) -> Points:
    """Keep at most :data:`MOST_POINTS`, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return points
    last = len(points) - 1
    return [points[round(n * last / (MOST_POINTS - 1))] for n in range(MOST_POINTS)]


class _Axes:
    """Where values lie on the picture."""

    def __init__(
        self, points: Sequence[tuple[float, float]], margin: float = 0.04, powers: bool = False
    ) -> None:
        self.powers = powers
        self.left, self.right = _widened([a for a, _ in points], margin)
        self.low, self.high = _widened([b for _, b in points], margin)

    def x(self, value: float) -> float:
        share = (value - self.left) / (self.right - self.left)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _widened(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _frame(place: _Axes, across: str, up: str, drawn: Sequence[Markup]) -> Markup:
    grid = []
    for value in _ticks(place.low, place.high, whole=place.powers):
        y = f"{place.y(value):.1f}"
        label = f"{10**value:g}" if place.powers else f"{value:.4g}"
        grid.append(element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        grid.append(element("text", label, x=_LEFT - 8, y=float(y) + 4, text_anchor="end"))
    for value in _ticks(place.left, place.right):
        x = f"{place.x(value):.1f}"
        grid.append(
            element("text", f"{value:.4g}", x=x, y=HEIGHT - _BOTTOM + 16, text_anchor="middle")
        )
    grid.append(
        element("text", across, x=WIDTH - _RIGHT, y=HEIGHT - 3, text_anchor="end", class_="axis")
    )
    return element(
        "svg",
        join((*grid, *drawn)),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{up} by {across}",
        class_="chart",
    )


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return four or so round numbers within a range."""
    step = 10 ** math.floor(math.log10((high - low) / 3))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= 5:
            step *= factor
            break
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]
