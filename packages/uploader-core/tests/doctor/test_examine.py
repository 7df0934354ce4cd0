"""``uploader doctor``: what it says, and what it never says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from uploader_core.doctor.machine_lines import disk_line, gpu_lines, machine_lines, memory_lines
from uploader_core.machine.filesystems import Mount
from uploader_core.machine.gpu import Gpu, Report
from uploader_core.machine.host import Host
from uploader_core.machine.memory import Memory

TALKATIVE = """
import os
from uploader_core.plugin import Diagnosis, SourceSpec, hookimpl

@hookimpl
def uploader_sources():
    yield SourceSpec(name="s", summary="s", matches="nothing", run="m:m", secrets=("ACME_TOKEN",))

@hookimpl
def uploader_diagnostics(online):
    told = "told" if os.environ.get("ACME_TOKEN") else "not told"
    yield Diagnosis(name="acme tool", level="warn", what=f"old, {told}, online: {online}",
                    fix="acme upgrade")
    yield Diagnosis(name="other", level="ok", what=str("HF_TOKEN" in os.environ))
"""

FAILING = """
from uploader_core.plugin import hookimpl

@hookimpl
def uploader_diagnostics(online):
    raise ValueError("told to raise")
"""


def lines_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    data = json.loads(done.stdout)
    assert data["schema"] == "uploader.doctor/1"
    return {line["name"]: line for part in data["parts"] for line in part["lines"]}


def test_report(uploader: Any) -> None:
    done = uploader("doctor", "--json")
    assert done.returncode in (0, 8), done.stderr
    lines = lines_of(done)
    assert {"Python", "system", "here", "memory", "GPU", "dir"} <= {*lines} or "GPU 0" in lines
    assert all(line["level"] in ("ok", "warn", "fail") for line in lines.values())
    assert all(line["fix"] for line in lines.values() if line["level"] == "fail")
    shown = uploader("doctor")
    assert "Python" in shown.stdout
    assert shown.returncode == done.returncode


def test_plugins_have_their_say_and_tokens_are_not_shown(
    uploader: Any,
    install: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install("acme-talk", {"plug_talk": TALKATIVE}, {"plugins": {"talk": "plug_talk"}})
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    (tmp_path / ".env").write_text("ACME_TOKEN=acme_canary\n")
    done = uploader("doctor", "--json")
    lines = lines_of(done)
    assert lines["acme tool"]["what"] == "old, told, online: False"
    assert lines["acme tool"]["fix"] == "acme upgrade"
    assert lines["ACME_TOKEN"]["what"] == "set, from .env"
    assert lines["other"]["what"] == "False"  # nobody else's secrets
    assert "canary" not in done.stdout + done.stderr
    assert "ACME_TOKEN" in lines["variables"]["what"]


def test_broken_plugins_are_named_and_fail(uploader: Any, install: Callable[..., None]) -> None:
    install(
        "acme-broken", {"plug_broken": "import nothing_here"}, {"plugins": {"b": "plug_broken"}}
    )
    install("acme-fail", {"plug_fail": FAILING}, {"plugins": {"f": "plug_fail"}})
    install("acme-dead", {"plug_dead": "import os; os._exit(3)"}, {"plugins": {"d": "plug_dead"}})
    done = uploader("doctor", "--json")
    assert done.returncode == 8
    lines = lines_of(done)
    assert lines["b"]["level"] == lines["d"]["level"] == "fail"
    assert "nothing_here" in lines["b"]["what"]
    assert "acme-broken" in lines["b"]["fix"]
    assert "told to raise" in lines["f"]["what"]  # its later line: the import was fine


def test_missing_and_old_packages(uploader: Any, install: Callable[..., None]) -> None:
    install("acme-x", {"plug_x": ""}, {"plugins": {"x": "plug_x"}}, requires="no-such-package>=3")
    install("acme-y", {"plug_y": ""}, {"plugins": {"y": "plug_y"}}, requires="click>=999")
    lines = lines_of(uploader("doctor", "--json"))
    assert lines["no-such-package"]["fix"] == 'pip install "no-such-package>=3"'
    assert lines["no-such-package"]["level"] == "fail"
    assert "acme-y" in lines["click"]["what"]


def test_nothing_heavy_is_imported() -> None:
    code = "import sys; from uploader_core.cli import main; main(['doctor', '--json'])\n"
    code += "print('MODULES', *sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stderr.split("MODULES ", 1)[1].split())
    assert not modules & {"torch", "transformers", "huggingface_hub", "numpy", "peft"}
    assert not {m for m in modules if m.startswith("uploader_") and m.endswith("_plugin.plugin")}


def level_of(lines: Any) -> set[str]:
    return {line.level for line in lines}


def test_other_machines() -> None:
    old = [*machine_lines(Host(system="Linux", release="4.4.0-19041-Microsoft", wsl=1))]
    assert level_of(old) == {"ok", "warn"}
    assert "--set-version" in str(old[-1].fix)
    windows = [*machine_lines(Host(system="Windows", release="11", long_paths=False))]
    assert "LongPathsEnabled" in str(windows[-1].fix)
    drive = Mount(point=PurePosixPath("/mnt/c"), kind="9p", source="C:\\")
    line = disk_line("here", Path("/mnt/c/x"), drive, 10**12, None)
    assert line.level == "warn"
    assert "Windows" in line.what
    little = disk_line("here", Path("/x"), None, 10**9, True)
    assert (little.level, "O_DIRECT" in little.what) == ("warn", True)
    assert level_of(memory_lines(Memory(total=4 * 10**9, available=10**9))) == {"warn"}
    assert level_of(memory_lines(Memory(total=64 * 10**9, available=50 * 10**9))) == {"ok"}


def test_gpus() -> None:
    full = Gpu(index=0, name="RTX 3090", total=24 * 10**9, free=10**9, holders=((4711, 0),))
    (line,) = gpu_lines(Report(gpus=(full,), driver="570.1"))
    assert line.level == "warn"
    assert "4711" in str(line.fix)
    free = Gpu(index=1, name="RTX 3090", total=24 * 10**9, free=23 * 10**9)
    (line,) = gpu_lines(Report(gpus=(free,), driver="570.1"))
    assert line.level == "ok"
    assert "23.0 GB of 24.0 GB free" in line.what
    assert level_of(gpu_lines(Report(why="no driver of NVIDIA answers"))) == {"ok"}
    assert level_of(gpu_lines(Report(driver="570.1"))) == {"warn"}
