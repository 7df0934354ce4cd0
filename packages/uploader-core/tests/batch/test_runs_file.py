"""What a file of runs may say, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_core.batch.runs_file import read_runs
from uploader_core.errors import UsageError
from uploader_core.plugins.registry import Registry


def read(tmp_path: Path, text: str, **values: object) -> list[tuple[object, ...]]:
    file = tmp_path / "RUNS.toml"
    file.write_text(text, "utf-8")
    requests = [wanted.request() for wanted in read_runs(file, Registry(), values, {})]
    return [(r.name, r.plugins, r.destinations, r.output, r.measure) for r in requests]


def test_a_run_comes_before_the_command_line_and_that_before_the_defaults(tmp_path: Path) -> None:
    text = """
[defaults]
plugins = "a"
[[run]]
source = "one"
[[run]]
source = "two"
plugins = ["b,c", "d"]
"""
    assert [r[1] for r in read(tmp_path, text)] == [("a",), ("b", "c", "d")]
    given = read(tmp_path, text, plugins=["x"])
    assert [r[1] for r in given] == [("x",), ("b", "c", "d")]


def test_name_of_the_run_fills_what_is_common(tmp_path: Path) -> None:
    (tmp_path / "outputs" / "french" / "final_model").mkdir(parents=True)
    text = """
[defaults]
to = ["hf:lab/{name}", "dir:published/{name}"]
output = "out/{name}"
[[run]]
source = "outputs/french/final_model"
[[run]]
source = "lab/german-adapter"
name = "deutsch"
"""
    french, german = read(tmp_path, text)
    assert french[2] == ("hf:lab/french", f"dir:{tmp_path}/published/french")
    assert french[3] == tmp_path / "out" / "french"
    assert german[2] == ("hf:lab/deutsch", f"dir:{tmp_path}/published/deutsch")


def test_paths_count_from_the_file_and_names_on_the_hub_stay(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "mine").mkdir()
    text = '[[run]]\nsource = "mine"\nbase = "base"\n[[run]]\nsource = "lab/x"\nbase = "lab/y"\n'
    file = tmp_path / "RUNS.toml"
    file.write_text(text, "utf-8")
    here, there = (wanted.request() for wanted in read_runs(file, Registry(), {}, {}))
    assert (here.source, here.base) == (str(tmp_path / "mine"), str(tmp_path / "base"))
    assert (there.source, there.base) == ("lab/x", "lab/y")


def test_command_of_a_run_is_the_one_that_makes_it_alone(tmp_path: Path) -> None:
    text = """
[[run]]
source = "lab/x"
plugins = ["notes"]
measure = true
[run.dir]
foreign = "remove"
"""
    file = tmp_path / "RUNS.toml"
    file.write_text(text, "utf-8")
    (wanted,) = read_runs(file, Registry(), {}, {})
    command = wanted.request().command
    assert command == "uploader run lab/x --plugins notes --measure --dir-foreign remove"


@pytest.mark.parametrize(
    ("text", "what", "next_step"),
    [
        ("[default]\n[[run]]\nsource = 'x'", "no use for 'default'", "did you mean defaults?"),
        ("[defaults]\nbase = 'x'", "names no runs", "[[run]]"),
        ("[[run]]\nname = 'x'", "[[run]] 1 has no source", "source ="),
        ("[[run]]\nsource = 'x'\nplugin = ['a']", "has no key 'plugin'", "did you mean plugins"),
        ("[[run]]\nsource = 'x'\nmeasure = 'yes'", "measure must be true or false", ""),
        ("[[run]]\nsource = 'x'\nto = 3", "to must be a list of texts", ""),
        ("[[run]]\nsource = 'x'\n[run.dri]\na = 1", "no installed plugin is called", "mean dir"),
        ("[[run]]\nsource = 'x'\n[run.dir]\nforein = 1", "no setting 'forein'", "mean foreign"),
        ("[[run]]\nsource = 'x'\n[run.dir]\nforeign = 'x'", "'x' is not known", "takes:"),
        ("[[run]]\nsource = 'x'\noutput = 'o/{nam}'", "a placeholder {nam}", "{name}"),
        ("[defaults]\nsource = 'x'\n[[run]]\nsource = 'x'", "a source is of one run", ""),
        ("[[run]\n", "cannot be read", ""),
    ],
)
def test_what_nobody_understands_is_refused_with_a_near_name(
    tmp_path: Path, text: str, what: str, next_step: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert what in caught.value.what
    assert next_step in (caught.value.next or "")
