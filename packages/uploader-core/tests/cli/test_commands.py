"""Commands of other distributions: found in metadata, imported when they are used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORK = """
import click

@click.command()
@click.argument("name")
def greet(name):
    "Greet somebody."
    click.echo(f"hello {name}")

@click.command()
def weigh():
    "Weigh a plugin."
    click.echo("a feather")

nothing = 5
"""
POINTS = {
    "greet": "acme_work:greet",
    "plugins.weigh": "acme_work:weigh",
    "odd": "acme_work:nothing",
    "gone": "acme_gone:x",
    "run": "acme_work:greet",
}


@pytest.fixture
def acme(install: Callable[..., None]) -> None:
    install("acme-tools", {"acme_work": WORK}, {"commands": POINTS})


@pytest.mark.usefixtures("acme")
def test_command_of_a_distribution_runs(uploader: Any) -> None:
    assert uploader("greet", "alice").stdout == "hello alice\n"
    assert uploader("plugins", "weigh").stdout == "a feather\n"
    assert "Greet somebody" in uploader("greet", "--help").stdout


@pytest.mark.usefixtures("acme")
def test_help_lists_it_from_metadata_alone(uploader: Any, site: Path) -> None:
    (site / "acme_work.py").write_text("raise SystemExit('imported')")
    help_text = " ".join(uploader("--help").stdout.split())
    assert "gone, greet, odd test plugin acme-tools (acme-tools 1.0)" in help_text
    assert "weigh" not in help_text
    below = " ".join(uploader("plugins", "--help").stdout.split())
    assert "weigh test plugin acme-tools (acme-tools 1.0)" in below


@pytest.mark.usefixtures("acme")
def test_command_of_core_cannot_be_taken(uploader: Any) -> None:
    assert "hello" not in uploader("run", "--help").stdout
    assert "Make a release" in uploader("run", "--help").stdout


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("command", "why"), [("odd", "is no click command"), ("gone", "No module named 'acme_gone'")]
)
def test_command_that_is_broken_names_its_distribution(
    uploader: Any, command: str, why: str
) -> None:
    result = uploader(command)
    assert result.returncode == 8
    assert why in result.stderr
    assert "acme-tools 1.0" in result.stderr


@pytest.mark.usefixtures("acme")
def test_unknown_command_is_told_what_is_close_and_what_brings_more(uploader: Any) -> None:
    assert "Did you mean 'greet'?" in uploader("gret").stderr
    unknown = uploader("zzz")
    assert unknown.returncode == 2
    assert '"uploader-core[demo]"' in unknown.stderr
    assert "there is no command 'zzz'" in uploader("plugins", "zzz").stderr


def test_guide_of_a_distribution_is_what_the_command_alone_starts(
    uploader: Any, install: Callable[..., None]
) -> None:
    source = "import click\n@click.command()\ndef guide(): click.echo('this way')"
    # A module of the same distribution as trainers have, earlier on the path.
    install("a-guide", {"a_guide": source}, {"commands": {"guide": "a_guide:guide"}})
    assert uploader().stdout == "this way\n"
