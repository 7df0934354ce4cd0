"""What a person sees: the plan, progress, the last screen; on terminals, in pipes, in logs."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from terminal import ENTER, Terminal
from uploader_core.cli.live import LineRenderer
from uploader_core.cli.progress import Tracker
from uploader_core.planning.plan import Survey
from uploader_core.planning.request import Request
from uploader_core.running.events import Event
from uploader_core.running.session import look
from uploader_core.user_config.disabled import make_registry
from uploader_core.user_config.files import load
from uploader_kit.job_steps import Marks

UPLOADER = [sys.executable, "-m", "uploader_core"]
on_posix = pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal of POSIX")


@pytest.fixture(autouse=True)
def own_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long runs of other tests took here is nothing that these show."""
    monkeypatch.setenv("UPLOADER_PACE", str(tmp_path / "pace.json"))


@pytest.fixture
def survey(sft_model: Path, tmp_path: Path) -> Survey:
    request = Request(source=str(sft_model), plugins=("lora", "gguf"), output=tmp_path / "r")
    return look(request, make_registry(), load())


def run(*arguments: object, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*UPLOADER, *map(str, arguments)], capture_output=True, env={**os.environ, **env}
    )


@on_posix
@pytest.mark.parametrize("columns", [80, 120])
def test_plan_fits_the_terminal(sft_model: Path, tmp_path: Path, hub: Any, columns: int) -> None:
    pytest.importorskip("pexpect")
    pytest.importorskip("pyte")
    command = [*UPLOADER, "plan", str(sft_model), "--output", str(tmp_path / "r"),
               "--plugins", "lora,gguf,merged", "--to", "hf:me/tiny"]  # fmt: skip
    terminal = Terminal(command, tmp_path, columns=columns)
    assert terminal.end() == 0
    text = terminal.text()
    rows = [line for line in text.splitlines() if re.search(r"\d B|kB|MB|GB", line)]
    (gguf,) = [row for row in rows if row.startswith("  gguf/")]
    # Size, time and memory of a format stand in one line.
    assert re.search(r"~[\d.]+ MB +~[\d.]+ s +~\d+ MB$", gguf)
    assert re.search(r"Q4_K_M\.gguf +\d+ kB", text) and re.search(r"Q8_0\.gguf +[\d.]+ MB", text)
    assert re.search(r"me/tiny-GGUF +will be made, private, by me +~[\d.]+ MB", " ".join(rows))
    assert re.search(r"disk +[\d.]+ \wB free, [\d.]+ \wB after", text)
    assert re.search(r"memory +~[\d.]+ \wB of [\d.]+ GB", text)


def test_plan_names_the_licence_of_the_base(sft_model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(sft_model.parents[2] / "tiny-base", base)
    (base / "README.md").write_text("---\ntags: [x]\nlicense: llama3.1\n---\nlicense: none\n")
    command = ("plan", sft_model, "--plugins", "lora,merged", "--base", base)
    assert re.search(rb"licence +llama3.1, of the base\n", run(*command).stdout)
    (base / "README.md").unlink()
    assert b"not known" in run(*command).stdout


@on_posix
def test_bar_and_time_left_while_it_runs(sft_model: Path, tmp_path: Path, held: Marks) -> None:
    pytest.importorskip("pexpect")
    pytest.importorskip("pyte")
    command = [*UPLOADER, "run", str(sft_model), "--output", str(tmp_path / "r"),
               "--plugins", "lora,held,gguf", "--name", "tiny", "--held-marks",
               str(held.folder), "--held-waits-at", "two.bin"]  # fmt: skip
    terminal = Terminal(command, tmp_path)
    terminal.wait_for("held:held \N{BOX DRAWINGS HEAVY HORIZONTAL}")
    assert re.search(r"\d+ waiting, all in ~", terminal.wait_for(" waiting, all in ~"))
    held.let_go()
    assert terminal.end() == 0
    screen = terminal.text()
    assert "waiting" not in screen  # the display is gone, what was done stays
    assert re.search(r"done +gguf:gguf", screen)
    assert "llama-cli -m r/gguf/tiny-Q4_K_M.gguf" in screen
    assert "uploader verify r" in screen


@on_posix
@pytest.mark.parametrize(
    ("variable", "escapes"),
    [({"NO_COLOR": "1"}, r"\x1b\[[\d;]*3[1-7]m"), ({"TERM": "dumb"}, r"\x1b\[")],
    ids=["NO_COLOR", "TERM=dumb"],
)
def test_terminals_that_want_it_plain(
    sft_model: Path, tmp_path: Path, variable: dict[str, str], escapes: str
) -> None:
    pexpect = pytest.importorskip("pexpect")
    arguments = [*UPLOADER[1:], "run", str(sft_model), "--output", str(tmp_path / "r"),
                 "--plugins", "lora"]  # fmt: skip
    text, code = pexpect.run(
        shlex.join([UPLOADER[0], *arguments]), env={**os.environ, **variable}, withexitstatus=True,
        encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert code == 0 and "done and verified" in text
    assert not re.search(escapes, text)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_pipe_of_any_encoding(sft_model: Path, tmp_path: Path, encoding: str) -> None:
    name = "größe-模型"
    result = run("run", sft_model, "--plugins", "lora", "--output", tmp_path / "r", "--name", name,
                 PYTHONIOENCODING=encoding, PYTHONUTF8="0")  # fmt: skip
    assert result.returncode == 0, result.stderr
    text = result.stdout.decode(encoding)
    assert name.encode(encoding, "replace").decode(encoding) in text
    assert "done and verified" in text
    # Nothing of our own gets lost: question marks only where the name had other letters.
    ours = text.replace(name.encode(encoding, "replace").decode(encoding), "")
    assert "?" not in ours and "\x1b" not in ours


def test_pipe_gets_one_line_for_each_change(sft_model: Path, tmp_path: Path) -> None:
    target = tmp_path / ("a-very-long-name-of-a-folder-" * 6)
    result = run("run", sft_model, "--plugins", "lora", "--output", target)
    lines = result.stdout.decode().splitlines()
    assert any(re.fullmatch(r"done    lora:lora  [\d.]+ s", line) for line in lines)
    assert any(line.endswith(str(target)) and "done and verified" in line for line in lines)


def test_quiet_is_the_result_and_nothing_else(sft_model: Path, tmp_path: Path) -> None:
    result = run("run", sft_model, "--plugins", "lora", "--output", tmp_path / "r", "--quiet")
    assert re.fullmatch(rb"done and verified in .*\n", result.stdout)
    assert result.stderr == b""


def test_last_screen_says_how_to_run_it_and_that_works(sft_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "it's here"
    result = run("run", sft_model, "--plugins", "merged-16bit", "--output", output)
    lines = [line.strip() for line in result.stdout.decode().splitlines()]
    command = lines[lines.index("transformers") + 1]
    assert f"vllm serve {shlex.quote(str(output / 'merged-16bit'))}" in lines
    # As somebody would who copied it, but with this Python.
    words = shlex.split(command)
    said = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True)
    assert words[0] == "python" and said.returncode == 0, said.stderr
    assert said.stdout.startswith("Hello")


def test_last_screen_names_the_hub_where_the_model_is(
    sft_model: Path, tmp_path: Path, hub: Any
) -> None:
    result = run("run", sft_model, "--plugins", "gguf", "--gguf-quants", "Q8_0", "--yes",
                 "--to", "hf:me/tiny", "--output", tmp_path / "r")  # fmt: skip
    text = result.stdout.decode()
    assert "ollama run hf.co/me/tiny-GGUF:Q8_0" in text
    assert "llama-cli -hf me/tiny-GGUF:Q8_0" in text
    assert f"{hub.url}/me/tiny-GGUF" in text


def progress(step: str, at: float, done: int, total: int) -> Event:
    data = {"what": "writing", "done": done, "total": total, "unit": "bytes"}
    return Event(type="step_progress", step=step, time=at, data=data)


def test_time_left_is_not_known_before_anything_was_measured(survey: Survey) -> None:
    tracker = Tracker()
    tracker.begin(survey.plan, survey.kept)
    assert tracker.remaining(0.0) == (None, None)
    # Only a step that takes longer than was guessed says how long the others take.
    tracker(Event(type="step_started", step="gguf:gguf", time=0.0))
    assert tracker.remaining(1.0) == (None, None)


def test_time_left_follows_what_was_measured(survey: Survey) -> None:
    tracker = Tracker()
    tracker.begin(survey.plan, survey.kept)
    tracker(Event(type="step_started", step="gguf:gguf", time=100.0))
    for second in (1, 2, 3, 4):
        tracker(progress("gguf:gguf", 100.0 + second, second * 10, 100))
    first, end = tracker.remaining(104.0)
    # 30 of 100 bytes in the three seconds since the first word; 60 are left.
    assert tracker.steps["gguf:gguf"].rate(104.0) == pytest.approx(10.0)
    assert first is not None and end is not None
    assert first <= 6.0 <= end
    for step in tracker.steps:
        tracker(Event(type="step_done", step=step, time=110.0))
    assert tracker.remaining(110.0) == (0.0, 0.0)


def test_log_shows_a_sign_of_life(survey: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    renderer = LineRenderer(Console(file=output, width=80))
    renderer.begin(survey)
    renderer(Event(type="step_started", step="gguf:gguf", time=time.time()))
    renderer.tick()
    assert output.getvalue().splitlines() == ["start   gguf:gguf"]
    monkeypatch.setattr(LineRenderer, "EVERY", 0.0)
    renderer(progress("gguf:gguf", time.time(), 5_000_000, 10_000_000))
    renderer.tick()
    assert "running gguf:gguf 5.00 MB of 10.0 MB" in output.getvalue()


@pytest.fixture
def outputs(sft_model: Path, tmp_path: Path) -> Path:
    """A working folder with one training run in it."""
    shutil.copytree(sft_model.parent, tmp_path / "work" / "outputs")
    shutil.copytree(sft_model.parents[2] / "tiny-base", tmp_path / "work" / "tiny-base")
    return tmp_path / "work"


@on_posix
@pytest.mark.parametrize("command", ["run", "plan"])
def test_source_that_nobody_named_is_asked_for(outputs: Path, command: str) -> None:
    pytest.importorskip("pexpect")
    pytest.importorskip("pyte")
    before = sorted(outputs.rglob("*"))
    arguments = [*UPLOADER, command, "--plugins", "lora", "--output", "r"]
    terminal = Terminal(arguments, outputs)
    assert "source  outputs/final_model" in terminal.wait_for("Take it? [Y/n]:")
    terminal.type("n", ENTER)
    assert terminal.end() == 130
    assert sorted(outputs.rglob("*")) == before
    terminal = Terminal(arguments, outputs)
    terminal.wait_for("Take it? [Y/n]:")
    terminal.type(ENTER)
    assert terminal.end() == 0
    assert (outputs / "r" / "lora").is_dir() is (command == "run")


@on_posix
def test_source_that_nobody_named_is_taken_with_yes(outputs: Path) -> None:
    pytest.importorskip("pexpect")
    pytest.importorskip("pyte")
    terminal = Terminal([*UPLOADER, "run", "--plugins", "lora", "--yes"], outputs)
    assert terminal.end() == 0
    assert "source  outputs/final_model" in terminal.text()
    assert "Take it?" not in terminal.text()
