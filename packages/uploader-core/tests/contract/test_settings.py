"""Settings on their way to a worker and back."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

import pytest

from uploader_core.contract.settings import (
    check_files,
    fields_of,
    from_json,
    key_of,
    setting,
    to_json,
)
from uploader_core.errors import UsageError
from uploader_core.size import Size


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


@dataclass(frozen=True)
class Reads:
    """Settings that name files."""

    text: Path | None = setting(None, help="a file, or a folder of files")
    chosen: str = setting("builtin", help="a word, or a file", content=True)
    code: Path | None = setting(None, help="a checkout", content=("*.py",))
    cache: Path = setting(Path("no such folder"), help="written to", content=False)
    timeout: float = setting(60.0, help="seconds", changes_result=False)


def test_key_follows_the_bytes_of_a_file(tmp_path: Path) -> None:
    text = tmp_path / "cal.txt"
    text.write_text("one")
    first = key_of("acme", Reads(text=text))
    assert key_of("acme", Reads(text=text)) == first
    text.write_text("two")
    assert key_of("acme", Reads(text=text)) != first


def test_key_follows_a_text_that_names_a_file(tmp_path: Path) -> None:
    text = tmp_path / "cal.txt"
    text.write_text("one")
    first = key_of("acme", Reads(chosen=str(text)))
    text.write_text("two")
    assert key_of("acme", Reads(chosen=str(text))) != first
    assert key_of("acme", Reads())["chosen"] == ["builtin"]


def test_key_follows_the_files_of_a_folder_that_count(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    code, other = tmp_path / "part" / "convert.py", tmp_path / "notes.txt"
    code.write_text("one")
    first = key_of("acme", Reads(code=tmp_path))
    other.write_text("not read")
    assert key_of("acme", Reads(code=tmp_path)) == first
    code.write_text("two")
    assert key_of("acme", Reads(code=tmp_path)) != first


def test_key_leaves_out_what_does_not_change_the_result() -> None:
    assert key_of("acme", Reads(timeout=1.0)) == key_of("acme", Reads())
    assert "cache" in key_of("acme", Reads())


def test_a_file_that_is_missing_is_refused_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--acme-text .*: there is no such file"):
        check_files("acme", Reads(text=tmp_path / "cal.txt"))
    check_files("acme", Reads())


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("5GB", 5 * 10**9, "5GB"),
        ("500MiB", 500 << 20, "500MiB"),
        ("1.5 GB", 1_500_000_000, "1500MB"),
        ("20G", 20 * 10**9, "20GB"),
        ("4097", 4097, "4097"),
    ],
)
def test_sizes_are_typed_as_people_do(text: str, size: int, shown: str) -> None:
    assert (Size(text), str(Size(text))) == (size, shown)


@pytest.mark.parametrize("text", ["", "big", "5 apples", "-1GB", "5X", "1I"])
def test_sizes_that_are_none_are_refused_with_the_option(text: str) -> None:
    (field,) = fields_of("acme", Sized)
    with pytest.raises(UsageError, match="is not a valid Size"):
        field.parse(text, field.option)


@dataclass(frozen=True)
class Sized:
    """A setting in bytes."""

    shard: Size = setting(Size("5GB"), help="largest file")


def test_a_size_arrives_as_it_was() -> None:
    arrived = from_json("acme", Sized, to_json(Sized(shard=Size("20KB"))))
    assert (arrived.shard, type(arrived.shard)) == (20_000, Size)


@dataclass(frozen=True)
class Numbers:
    """A setting with a choice of numbers."""

    bits: int = setting(4, help="bits of a weight", choices=(4, 8))


def test_numbers_can_be_chosen_from() -> None:
    (field,) = fields_of("acme", Numbers)
    assert field.parse("8", field.option) == 8
    with pytest.raises(UsageError, match="'5' is not known"):
        field.parse("5", field.option)
