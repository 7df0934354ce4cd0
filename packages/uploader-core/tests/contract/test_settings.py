"""Settings on their way to a worker and back."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from uploader_core.contract.settings import from_json, setting, to_json


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Given:
    names: tuple[str, ...] = setting(("a, b", "c"), help="names")
    place: Path | None = setting(Path("x y"), help="place")
    colour: Colour = setting(Colour.RED, help="colour")
    nothing: str = setting(None, help="of another type than the field")
    number: str = setting(5, help="of another type than the field")


def test_settings_arrive_as_they_were() -> None:
    given = Given(nothing="n", number="7")
    assert from_json("acme", Given, to_json(given)) == given


def test_default_of_another_type_arrives_as_if_it_were_typed() -> None:
    arrived = from_json("acme", Given, to_json(Given()))
    assert (arrived.nothing, arrived.number) == (None, "5")
