"""Hostile files that a user points the command at: settings, lists of runs, plugins of one file."""

from __future__ import annotations

from collections.abc import Callable

from hostile_json import DEEP, MANY_DIGITS
from hostile_place import Damage, Hostile, Place, cases


def _settings(content: str | Callable[[Place], str]) -> Damage:
    def damage(place: Place) -> list[object]:
        path = place.root / "uploader.toml"
        path.write_text(content(place) if callable(content) else content)
        return place.run("--config", path)

    return damage


def _runs(content: str) -> Damage:
    def damage(place: Place) -> list[object]:
        place.output.mkdir()
        path = place.output / "RUNS.toml"
        path.write_text(content)
        return ["batch", path, "--yes"]

    return damage


def _plugin(source: Callable[[Place], str]) -> Damage:
    def damage(place: Place) -> list[object]:
        path = place.root / "own.py"
        path.write_text(source(place))
        return place.run("--plugin-file", path)

    return damage


TOML: dict[str, Damage] = {
    "uploader.toml nested 100,000 deep": _settings(f"a = {DEEP}"),
    "uploader.toml with tables nested 10,000 deep": _settings("[" + ".".join("a" * 10_000) + "]"),
    "uploader.toml that is none": _settings("]["),
    "uploader.toml with numbers of 4,000 digits": _settings(
        f"[merged]\nshard-size = {MANY_DIGITS}"
    ),
    "uploader.toml with tables that are numbers": _settings("merged = 7\nplugins = [1]\ntargets=1"),
    "uploader.toml that names code": _settings(
        lambda place: f"[plugins]\nindex = ['file://{place.outside}']\nallow = [[['x']]]\n"
    ),
    "RUNS.toml nested 100,000 deep": _runs(f"a = {DEEP}"),
    "RUNS.toml that is none": _runs("]["),
    "RUNS.toml with runs that are numbers": _runs("run = 7"),
    "RUNS.toml with runs of a stranger": _runs("[[run]]\nsource = 7\noutput = ['../../x']"),
    "RUNS.toml with an output outside": _runs("[[run]]\nsource = '/dev/zero'\nname = '../../x'"),
    "a plugin of one file that raises": _plugin(lambda place: "raise SystemExit(0)"),
    "a plugin of one file that is none": _plugin(lambda place: "\0\0\0"),
    "a plugin of one file that recurses": _plugin(lambda place: "def f(): f()\nf()"),
}

_TOML_HARMLESS = {"uploader.toml with tables nested 10,000 deep"}

HOSTILE_SETTINGS: list[Hostile] = cases("toml", TOML, harmless=_TOML_HARMLESS)
