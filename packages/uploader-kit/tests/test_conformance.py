"""The conformance kit: each check catches the plugin that it was made for, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit_plugins import FolderConformance, failed_checks, saver, sender
from uploader_kit import SaveConformance
from uploader_kit.check import run

# What the plugin does wrong, and the check that says so.
WRONGS = {
    "none": ("", "pass", None),
    "heavy": ("import numpy", "pass", "import_is_light"),
    "private": (
        "from uploader_core.plugins.registry import Registry",
        "pass",
        "nothing_private_of_core_is_imported",
    ),
    "elsewhere": (
        "",
        "open(os.path.expanduser('~/acme-was-here'), 'w').close()",
        "nothing_is_written_elsewhere",
    ),
    "input": (
        "",
        "(path.parent / 'README.md').write_text('mine')",
        "nothing_is_written_elsewhere",
    ),
    "network": (
        "",
        "\n    try: socket.create_connection(('127.0.0.1', 9))\n    except OSError: pass",
        "no_network_is_used",
    ),
    "random": (
        "",
        "data += random.randbytes(4)",
        "same_input_gives_the_same_bytes",
    ),
    "crowded": (
        "import sys\nfor n in range(200): sys.modules[f'acme_crowd_{n}'] = sys",
        "pass",
        "import_is_light",
    ),
    "beside": (
        "",
        "(context.output.path.mkdir(parents=True, exist_ok=True), "
        "(context.output.path / 'extra').write_text('x'))",
        "manifest_matches_files",
    ),
}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", WRONGS)
def test_wrong_is_caught_by_its_check(install: Callable[..., None], name: str) -> None:
    top, body, wanted = WRONGS[name]
    failed = [check.replace(" ", "_") for check in failed_checks(saver(install, name, top, body))]
    assert failed == ([] if wanted is None else [wanted])


# A change of the sound plugin's sources, and the checks that say so.
UNSOUND = {
    "kind": ('produces="acme.x"', 'produces="acme.y"', {"advertised names match"}),
    "long": ('summary="x"', 'summary="x" * 101', {"specs are valid"}),
    "hookless": ("@hookimpl", "", {"entry point resolves"}),
}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_registration_is_caught(
    install: Callable[..., None], site: Path, name: str
) -> None:
    old, new, wanted = UNSOUND[name]
    case = saver(install, name, "", "pass")
    module = site / f"acme_{name}.py"
    module.write_text(module.read_text("utf-8").replace(old, new), "utf-8")
    assert set(failed_checks(case)) >= wanted


@pytest.mark.usefixtures("home")
def test_open_range_of_core_is_caught(install: Callable[..., None], site: Path) -> None:
    case = saver(install, "open", "", "pass")
    (metadata,) = site.glob("acme_open-*.dist-info/METADATA")
    metadata.write_text(metadata.read_text("utf-8").replace(">=0.1,<1", ">=0.1"), "utf-8")
    assert failed_checks(case) == ["core is required up to the next major"]


@pytest.mark.usefixtures("home")
def test_input_that_is_cut_off_must_be_refused(install: Callable[..., None], site: Path) -> None:
    case = saver(install, "careless", "", "pass")
    work = site / "acme_careless_work.py"
    work.write_text(work.read_text("utf-8").replace("if len", "if 0 and len"), "utf-8")
    failed = [v for v in run((case,), lambda _: None) if v.outcome == "failed"]
    assert [v.check for v in failed] == ["failure names the plugin"]
    assert "cut in half" in failed[0].why


SENDER = """
import os, shutil
from pathlib import Path
from uploader_core.plugin import UploadSpec, hash_file, hookimpl

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="u", summary="u", scheme="{name}", run="acme_{name}:upload",
                     secrets=("ACME_TOKEN",))

def upload(context):
    sent = 0
    for file in context.files:
        place = Path(context.target) / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if {skips}:
            continue
        shutil.copy(file.path, place)
        sent += file.size
    context.log.info("{said}", os.environ.get("ACME_TOKEN"))
    return context.receipt(url="x", files=len(context.files), bytes_sent=sent)
"""
# What this sender never looks at.
MISSED = {
    "destination is listed before the receipt",
    "documents are sent last",
    "file that changed is refused",
    "interrupted upload leaves nothing torn",
    "second release replaces the first",
}
BAD_SENDERS = {
    "always": ("False", "%.0s", {"second upload sends nothing", *MISSED}),
    "blind": ("place.exists()", "%.0s", {"damage at the destination is noticed", *MISSED}),
    "chatty": (
        "place.exists() and hash_file(place)[1] == file.sha256",
        "%s",
        {"secrets are not told", *MISSED},
    ),
}


@pytest.mark.parametrize("name", BAD_SENDERS)
def test_bad_destination_is_caught(install: Callable[..., None], name: str) -> None:
    skips, said, wanted = BAD_SENDERS[name]
    case = sender(install, name, SENDER.format(name=name, skips=skips, said=said))
    assert set(failed_checks(case)) == wanted


def test_unknown_plugin_is_told_to_install(uploader: Any) -> None:
    result = uploader("plugins", "check", "nothing")
    assert result.returncode == 8
    assert "pip install uploader-nothing" in result.stderr


def test_check_cannot_be_left_out_without_a_reason() -> None:
    with pytest.raises(TypeError, match="xfail"):
        type("T", (SaveConformance,), {"test_no_network_is_used": lambda self: None})

    @pytest.mark.xfail(reason="asks the licence server")
    def excused(self: SaveConformance) -> None: ...

    assert type("T", (SaveConformance,), {"test_no_network_is_used": excused})


class TestFolder(FolderConformance):
    """Core's own destination ``dir:``."""


def test_own_tests_of_an_author_run_as_by_pytest() -> None:
    """They may skip, fail as announced, and take fixtures."""
    from uploader_kit.conformance import PluginConformance

    class Own(PluginConformance):
        plugin = "dir"

        def test_skipped(self) -> None:
            pytest.skip("no such device")

        @pytest.mark.xfail(reason="asks the licence server")
        def test_announced(self) -> None:
            raise OSError

        def test_with_a_fixture(self, tmp_path: Path) -> None:
            assert tmp_path.is_dir()

    found = {v.check: (v.outcome, v.why) for v in run((Own,), lambda _: None)}
    assert found["skipped"] == ("skipped", "no such device")
    assert found["announced"] == ("expected", "asks the licence server")
    assert found["with a fixture"] == ("passed", "")


def test_class_whose_own_preparation_fails_does_not_stop_the_others() -> None:
    from uploader_kit.conformance import PluginConformance

    class Broken(PluginConformance):
        plugin = "x"

        @classmethod
        def setup_class(cls) -> None:
            raise OSError("the author's server does not start")

    class Sound(PluginConformance):
        plugin = "dir"

    verdicts = run((Broken, Sound), lambda _: None)
    assert [(v.check, v.outcome) for v in verdicts if v.subject == "Broken"] == [
        ("set up", "failed")
    ]
    assert "does not start" in verdicts[0].why
    assert {v.outcome for v in verdicts if v.subject == "Sound"} == {"passed"}
