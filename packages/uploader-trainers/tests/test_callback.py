"""The callback: writes the lineage, costs nothing, and never fails a training."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("transformers")

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from quickness import at_best
from uploader_kit.job_runs import until
from uploader_trainers import UploaderCallback


class Rows(list):
    dataset = range(24)


@pytest.fixture
def args(tmp_path: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(tmp_path / "out"), use_cpu=True, hub_token="hf_canary", report_to=[]
    )


@pytest.fixture
def state() -> TrainerState:
    history = [{"loss": 2.0, "step": 5}, {"eval_loss": 1.7, "step": 5}, {"loss": 1.5, "step": 10}]
    return TrainerState(global_step=10, epoch=2.0, log_history=history, is_world_process_zero=True)


def finish(callback: TrainerCallback, args: Any, state: Any, **kwargs: Any) -> None:
    """Give a callback the events of a training, as transformers' Trainer does."""
    control = TrainerControl()
    for event in ("on_init_end", "on_train_begin", "on_step_end", "on_log", "on_train_end"):
        getattr(callback, event)(args, state, control, **kwargs)


def test_lineage_says_what_happened(args: Any, state: Any, tmp_path: Path) -> None:
    finish(UploaderCallback(dataset="harbour"), args, state, train_dataloader=Rows())
    lineage = json.loads((tmp_path / "out/final_model/training_lineage.json").read_text("utf-8"))
    assert lineage["dataset"] == {"name": "harbour", "examples": 24}
    results = lineage["results"]
    assert (results["steps"], results["final_loss"], results["eval_loss"]) == (10, 1.5, 1.7)
    assert lineage["hyperparameters"]["learning_rate"] == args.learning_rate
    assert lineage["started_at"] <= lineage["finished_at"]


def test_lineage_holds_neither_tokens_nor_paths(args: Any, state: Any, tmp_path: Path) -> None:
    base = tmp_path / "secret-place" / "llama"
    base.mkdir(parents=True)
    model = SimpleNamespace(config=SimpleNamespace(_name_or_path=str(base)))
    finish(UploaderCallback(), args, state, model=model)
    text = (tmp_path / "out/final_model/training_lineage.json").read_text("utf-8")
    assert json.loads(text)["base_model"] == "llama"
    assert "hf_canary" not in text
    assert str(tmp_path) not in text


def test_only_the_first_process_writes(args: Any, state: Any, tmp_path: Path) -> None:
    state.is_world_process_zero = False
    finish(UploaderCallback(), args, state)
    assert not (tmp_path / "out" / "final_model").exists()


class Bomb:
    """Raises whenever anything is asked of it."""

    def __init__(self, error: type[Exception]) -> None:
        self.__dict__["error"] = error

    def __getattr__(self, name: str) -> Any:
        raise self.error(f"no {name}")

    def __len__(self) -> int:
        raise self.error("no length")


FAILURES: dict[str, Callable[[dict[str, Any], Path, pytest.MonkeyPatch], None]] = {
    **{
        f"{what} raises {error.__name__}": lambda c, p, m, what=what, error=error: c.update(
            {what: Bomb(error)}
        )
        for what in ("args", "state", "model", "train_dataloader")
        for error in (RuntimeError, OSError, MemoryError)
    },
    "arguments are none": lambda c, p, m: c.update(args=None),
    "state is none": lambda c, p, m: c.update(state=None),
    "history is broken": lambda c, p, m: setattr(c["state"], "log_history", [1, None]),
    "epoch is a word": lambda c, p, m: setattr(c["state"], "epoch", "two"),
    "a file is where the folder should be": lambda c, p, m: (p / "out").write_text(""),
    "the disk is full": lambda c, p, m: m.setattr(
        "uploader_trainers.callback.write_json", _no_space
    ),
    "nothing can be started": lambda c, p, m: m.setattr(subprocess, "Popen", _no_space),
    "no pipes are left": lambda c, p, m: m.setattr("os.pipe", _no_space),
}


def _no_space(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_reaches_the_training(
    failure: str,
    args: Any,
    state: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
) -> None:
    parts: dict[str, Any] = {
        "args": args, "state": state, "model": None, "train_dataloader": Rows(),
    }  # fmt: skip
    FAILURES[failure](parts, tmp_path, monkeypatch)
    # A folder of no model, and a destination that does not exist: whatever starts, stops at once.
    callback = UploaderCallback(to=["nowhere:x"])
    with caplog.at_level(logging.WARNING, "uploader"):
        finish(callback, **parts)
    assert "training goes on" in caplog.text
    if callback.waiting is not None:
        callback.waiting.process.kill()
        callback.waiting.process.wait()


def test_there_are_twenty_failures() -> None:
    assert len(FAILURES) >= 20


def test_whole_callback_takes_less_than_a_tenth_of_a_second(args: Any, state: Any) -> None:
    finish(UploaderCallback(), args, state)  # metadata of installed libraries is read once
    callbacks = []

    def whole() -> None:
        callbacks.append(UploaderCallback(to=["nowhere:x"]))
        finish(callbacks[-1], args, state, train_dataloader=Rows())

    seconds = at_best(whole, enough=0.1)
    for callback in callbacks:
        assert callback.waiting is not None
        callback.waiting.process.kill()
        callback.waiting.process.wait()
    assert seconds < 0.1


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_started_run_waits_for_the_end_of_the_training(sft_model: Path, tmp_path: Path) -> None:
    """A training killed right after its end: the release is made all the same, and only then."""
    import shutil

    run = tmp_path / "run"
    shutil.copytree(sft_model, run / "final_model")
    published = tmp_path / "published"
    training = textwrap.dedent(f"""
        import os, signal
        from transformers import TrainerControl, TrainerState, TrainingArguments
        from uploader_trainers import UploaderCallback
        callback = UploaderCallback(to=["dir:{published}"], plugins=["lora"])
        args = TrainingArguments(output_dir={str(run)!r}, use_cpu=True)
        state = TrainerState(is_world_process_zero=True)
        callback.on_train_end(args, state, TrainerControl())
        print(callback.waiting.process.poll())
        print(callback.waiting.log.read_text() == "", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    ended = subprocess.run([sys.executable, "-c", training], capture_output=True, text=True)
    assert ended.returncode == -9, ended.stderr
    assert ended.stdout.split() == ["None", "True"]
    # It is not our child, and cannot be awaited.
    log = run / "uploader.log"
    until(lambda: "done and verified" in log.read_text("utf-8", "replace"), 300, "it does not end")
    assert (published / "lora" / "adapter_model.safetensors").is_file()
