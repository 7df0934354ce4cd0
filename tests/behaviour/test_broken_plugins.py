"""Broken plugins among good ones: good requests do not notice, the broken one is named."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

_SPEC = (
    "from uploader_core.plugin import SaveSpec, hookimpl\n"
    "@hookimpl\n"
    "def uploader_savers():\n"
    "    yield SaveSpec(name='x', summary='x', run={run}, consumes=('adapter',), produces='x')\n"
)
BROKEN = {
    "raises": "raise ImportError('no libfoo')\n",
    "prints": "print('{')\n" + _SPEC.format(run="'a.b:c'"),
    "hangs": "while True:\n    pass\n",
    "badspec": _SPEC.format(run="'not dotted'"),
    "future": "uploader_api = 99\n" + _SPEC.format(run="'a.b:c'"),
}


@pytest.fixture
def broken(tmp_path: Path, uploader: Any) -> None:
    """Five distributions, each broken in a way of its own."""
    site = tmp_path / "site"
    for name, source in BROKEN.items():
        info = site / f"acme_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"acme_{name}.py").write_text(source, "utf-8")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.0\n", "utf-8"
        )
        (info / "entry_points.txt").write_text(
            f"[uploader_core.plugins]\n{name} = acme_{name}\n"
            f"[uploader_core.artifacts]\nacme.{name} = acme_{name}\n",
            "utf-8",
        )
    path = [str(site), os.environ.get("PYTHONPATH", "")]
    uploader.environment["PYTHONPATH"] = os.pathsep.join(path).rstrip(os.pathsep)


@pytest.fixture
def hurry(uploader: Any) -> None:
    """A time for imports that ends within the test; sound ones take a second of it."""
    uploader.environment["UPLOADER_IMPORT_TIMEOUT"] = "5"


@pytest.mark.usefixtures("broken")
def test_good_request_is_not_affected(uploader: Any, fine_tune: Path) -> None:
    result = uploader("run", fine_tune, "--plugins", "lora", "--name", "m")
    assert result.returncode == 0, result.stderr
    assert (fine_tune.parent / "m/lora/adapter_model.safetensors").is_file()
    assert "acme" not in result.stdout + result.stderr


@pytest.mark.usefixtures("broken")
def test_all_are_listed_without_being_imported(uploader: Any) -> None:
    listed = uploader("plugins", "list").stdout
    assert all(f"acme-{name} 1.0" in listed for name in BROKEN)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("name", ["raises", "badspec", "future", "hangs"])
def test_broken_plugin_that_is_asked_for_is_named_with_the_fix(
    uploader: Any, fine_tune: Path, name: str, request: pytest.FixtureRequest
) -> None:
    if name == "hangs":
        request.getfixturevalue("hurry")
    result = uploader("run", fine_tune, "--plugins", f"lora,{name}", "--name", "m")
    assert result.returncode == 8
    assert f"acme-{name} 1.0" in result.stderr
    assert ("--without hangs" if name == "hangs" else "pip install") in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="nohup is POSIX'")
@pytest.mark.usefixtures("broken", "hurry")
def test_hanging_import_ends_where_ctrl_c_is_ignored(uploader: Any, fine_tune: Path) -> None:
    """As under nohup, and in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what a new process inherits
    try:
        result = uploader("run", fine_tune, "--plugins", "lora,hangs", "--name", "m")
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.returncode == 8
    assert "--without hangs" in result.stderr


@pytest.mark.usefixtures("broken")
def test_printing_plugin_does_not_touch_json(uploader: Any, fine_tune: Path) -> None:
    result = uploader("plan", fine_tune, "--plugins", "prints", "--name", "m", "--json")
    assert json.loads(result.stdout)["schema"] == "uploader.plan/1"


@pytest.mark.usefixtures("broken", "hurry")
def test_list_check_ends_and_names_each_broken_one(
    uploader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UPLOADER_DISABLE")
    rows = json.loads(uploader("plugins", "list", "--check", "--json").stdout)
    states = {row["id"]: row["state"] for row in rows}
    causes = {
        "raises": "no libfoo",
        "hangs": "still being imported after 5 s",
        "badspec": "package.module:name",
        "future": "API version 99",
    }
    assert {name for name, state in states.items() if state != "ok"} == {*causes}
    for name, cause in causes.items():
        assert cause in states[name]
    assert all(row["next"] for row in rows if row["id"] in causes)


@pytest.mark.usefixtures("broken")
def test_info_of_a_hanging_plugin_says_how_to_get_rid_of_it(uploader: Any) -> None:
    result = uploader("plugins", "info", "hangs")
    assert result.returncode == 0
    assert "acme-hangs 1.0" in result.stdout
    assert "uploader plugins disable hangs" in result.stdout
