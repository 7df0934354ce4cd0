"""What the command says of options and of the plan."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import uploader_core
from uploader_core.cli.run import run

PLUGIN = """
from dataclasses import dataclass
from uploader_core.plugin import SaveSpec, hookimpl, setting

@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    bits: int = setting(4, help="bits of a weight")

@hookimpl
def uploader_savers():
    for name in ("small", "large"):
        yield SaveSpec(name=name, summary="MLX model in 16 bits, for Apple silicon",
                       consumes=("adapter",), produces=f"acme.{name}", settings=Settings,
                       run="acme_mlx:make", check="acme_mlx:check")

def check(context):
    return context.nothing_of_that_name
"""


@pytest.fixture(autouse=True)
def acme_mlx(install: Callable[..., None]) -> None:
    kinds = {"acme.small": "acme_mlx", "acme.large": "acme_mlx"}
    points = {"plugins": {"acme-mlx": "acme_mlx"}, "artifacts": kinds}
    install("acme-mlx", {"acme_mlx": PLUGIN}, points)


def test_options_stand_under_the_id_of_their_plugin(uploader: Any) -> None:
    help_text = uploader("run", "--plugins", "acme-mlx", "--help").stdout
    assert "Options of acme-mlx:" in help_text


def test_unknown_option_is_told_each_known_one_once(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "acme-mlx", "--acme-mlx-bit", "4")
    assert result.returncode == 2
    assert "it has --acme-mlx-bits\n" in result.stderr


def test_plan_shows_a_summary_to_its_end(uploader: Any, adapter: Path, site: Path) -> None:
    module = site / "acme_mlx.py"
    module.write_text(PLUGIN.replace(', check="acme_mlx:check"', ""), "utf-8")
    plan = uploader("plan", adapter, "--plugins", "acme-mlx").stdout
    assert "MLX model in 16 bits, for Apple silicon" in " ".join(plan.split())


def test_fault_of_a_check_is_one_to_report_and_to_look_at(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "acme-mlx")
    assert result.returncode == 8
    assert "--debug shows the traceback; report it to acme-mlx" in result.stderr
    debugged = uploader("run", adapter, "--plugins", "acme-mlx", "--debug").stderr
    assert "return context.nothing_of_that_name" in debugged


def test_readme_names_every_option_of_run() -> None:
    readme = Path(uploader_core.__file__).parents[2] / "README.md"
    if not readme.is_file():
        pytest.skip("installed without its sources")
    names = re.findall(r"--[a-z-]+", readme.read_text("utf-8"))
    options = [option for param in run.params for option in param.opts if option.startswith("--")]
    assert [option for option in options if option not in names] == []


def test_default_formats_are_told_by_the_group_that_makes_them_default(uploader: Any) -> None:
    for command in ("run", "plan"):
        assert "uploader_core.defaults" in uploader(command, "--help").stdout
