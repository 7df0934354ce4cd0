"""One command from a fine-tune's folder to a verified release, with the real parts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from held_files import HeldFiles
from release_files import digests
from uploader_core.plugin import find_strangers

QUANTS = ("--gguf-quants", "F16,Q8_0,Q4_K_M")


def statuses(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {s["id"]: s["status"] for s in json.loads(result.stdout)["steps"]}


@pytest.fixture(scope="module")
def released(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed release of the pristine fine-tune, every default format."""
    from uploader_command import Uploader

    output = tmp_path_factory.mktemp("calm") / "tiny"
    result = Uploader(output.parent)(*command(pristine, output))
    assert result.returncode == 0, result.stderr + result.stdout
    return output


def command(fine_tune: Path, output: Path) -> tuple[object, ...]:
    """Return the arguments of the default request."""
    adapter = fine_tune / "run" / "final_model"
    return ("run", adapter, "--output", output, "--name", "tiny", *QUANTS)


def test_default_request_makes_every_first_party_format(released: Path) -> None:
    assert (released / "lora" / "adapter_model.safetensors").is_file()
    assert (released / "merged-16bit" / "model.safetensors").is_file()
    assert sorted(p.name for p in (released / "gguf").glob("*.gguf")) == [
        "tiny-F16.gguf",
        "tiny-Q4_K_M.gguf",
        "tiny-Q8_0.gguf",
    ]
    assert (released / "README.md").is_file()
    assert (released / "gguf" / "README.md").is_file()


def test_manifest_lists_every_file_with_its_digest(released: Path) -> None:
    manifest = json.loads((released / "upload_manifest.json").read_text())
    listed = {f["path"]: f["sha256"] for f in manifest["files"]}
    found = digests(released)
    del found["upload_manifest.json"]
    assert listed == found
    assert {m["kind"] for m in manifest["materials"]} == {"adapter", "base"}
    assert all(f["sha256"] for m in manifest["materials"] for f in m["files"])


def test_every_file_that_programs_load_is_known_by_its_name(released: Path) -> None:
    """Left over from an earlier release, it would be loaded in place of the new ones."""
    manifest = json.loads((released / "upload_manifest.json").read_text())
    others = [f["path"] for f in manifest["files"] if f["role"] in ("document", "licence")]
    unlisted = json.dumps(manifest | {"files": []})
    strangers = {problem.path for problem in find_strangers(unlisted, digests(released))}
    assert strangers == {*digests(released)} - {*others, "upload_manifest.json"}


def test_file_that_no_run_made_and_that_would_be_loaded_is_refused(
    uploader: Any, fine_tune: Path
) -> None:
    arguments = ("run", fine_tune, "--plugins", "lora", "--output", uploader.cwd / "r")
    assert uploader(*arguments).returncode == 0
    (uploader.cwd / "r" / "lora" / "chat_template.jinja").write_text("somebody's")
    (uploader.cwd / "r" / "lora" / "notes.txt").write_text("somebody's")
    result = uploader(*arguments)
    assert result.returncode == 4
    assert "chat_template.jinja" in result.stderr
    assert "notes.txt" not in result.stderr
    result = uploader("verify", uploader.cwd / "r")
    assert result.returncode == 7
    assert "lora/chat_template.jinja is of no release" in result.stdout


def test_gguf_alone_needs_no_merged_copy(uploader: Any, fine_tune: Path, released: Path) -> None:
    result = uploader("run", fine_tune, "--plugins", "gguf", "--name", "tiny", *QUANTS)
    assert result.returncode == 0, result.stderr
    release = fine_tune.parent / "tiny"
    assert not (release / "merged-16bit").exists()
    for name in ("tiny-F16.gguf", "tiny-Q4_K_M.gguf"):
        assert digests(release)[f"gguf/{name}"] == digests(released)[f"gguf/{name}"]


def test_second_run_runs_no_step_and_imports_nothing_heavy(
    uploader: Any, pristine: Path, released: Path
) -> None:
    arguments = command(pristine, shutil.copytree(released, uploader.cwd / "tiny"))
    assert set(statuses(uploader(*arguments, "--json")).values()) == {"kept"}
    # A warm run has to be over in two seconds, so it may neither import torch nor start a worker.
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen = None\n"
        "from uploader_core.cli import main\n"
        f"assert main({[str(a) for a in arguments]!r}) == 0\n"
        "print('MODULES', *sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=uploader.cwd, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split("MODULES ", 1)[1].split())
    assert not loaded & {"torch", "transformers", "huggingface_hub", "numpy"}


MADE = {
    "lora:lora": r"/lora/[^/]+$",
    "merged:16bit": r"/merged-16bit/[^/]+$",
    "gguf:gguf": r"/gguf/[^/]+\.gguf$",
    "hf:card@gguf": r"/gguf/README\.md$",
}
"""Steps, and what each of them makes."""


def test_killed_in_one_step_after_another_gives_the_same_digests(
    uploader: Any, pristine: Path, released: Path
) -> None:
    output = uploader.cwd / "killed"
    arguments = command(pristine, output)
    in_turn = [step for step in started(released) if step in MADE]
    assert {*in_turn} == {*MADE}
    for n, step in enumerate(in_turn):
        held = HeldFiles(
            uploader.cwd / f"held-{n}", MADE[step], free=0
        )  # however late it is killed
        kill_in(uploader, step, arguments, held.variables(uploader.variables()))
    result = uploader(*arguments)
    assert result.returncode == 0, result.stderr
    assert digests(output) == digests(released)


def started(release: Path) -> list[str]:
    """Return the steps of the last run in the order in which they were started."""
    lines = (release / ".uploader" / "events.jsonl").read_text("utf-8").splitlines()
    return [e["step"] for e in map(json.loads, lines) if e["type"] == "step_started"]


def kill_in(
    uploader: Any, step: str, arguments: tuple[object, ...], environment: Mapping[str, str]
) -> None:
    """Start a run and kill its whole process group as soon as a step has started."""
    process = subprocess.Popen(
        uploader.argv(*arguments),
        cwd=uploader.cwd,
        env={**environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.split()[:2] == ["start", step]:
            break
    else:
        raise AssertionError(f"{step} never started:\n{''.join(seen)}")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_release_arrives_on_the_hub_in_private_repositories(
    uploader: Any, fine_tune: Path, hub: Any
) -> None:
    from huggingface_hub import HfApi

    arguments = ("run", fine_tune, "--to", "hf:me/tiny", "--yes", "--output", uploader.cwd / "r",
                 "--gguf-quants", "Q8_0")  # fmt: skip
    result = uploader(*arguments)
    assert result.returncode == 0, result.stderr + result.stdout
    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    for repo, file in {
        "me/tiny": "model.safetensors",
        "me/tiny-LoRA": "adapter_model.safetensors",
        "me/tiny-GGUF": "tiny-Q8_0.gguf",
    }.items():
        assert file in api.list_repo_files(repo)
        assert "README.md" in api.list_repo_files(repo)
        assert api.repo_info(repo).private
        commits = [c for c in api.list_repo_commits(repo) if "initial" not in c.title.lower()]
        assert len(commits) == 1
    assert set(statuses(uploader(*arguments, "--json")).values()) == {"kept"}


def test_killed_in_the_upload_and_run_again_arrives_once(
    uploader: Any, fine_tune: Path, hub: Any
) -> None:
    from huggingface_hub import HfApi

    arguments = ("run", fine_tune, "--plugins", "lora", "--to", "hf:me/tiny", "--yes",
                 "--output", uploader.cwd / "r")  # fmt: skip
    plan = json.loads(uploader("plan", *arguments[1:], "--json").stdout)
    (upload,) = [s["id"] for s in plan["steps"] if s["kind"] == "upload"]
    kill_in(uploader, upload, arguments, uploader.variables())
    assert uploader(*arguments).returncode == 0
    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    repo = upload.split("@")[1]
    assert "adapter_model.safetensors" in api.list_repo_files(repo)
    assert len([c for c in api.list_repo_commits(repo) if "initial" not in c.title.lower()]) == 1
