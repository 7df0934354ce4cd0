"""``uploader plugins check``: a verdict for each check, and none is left out in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit_plugins import saver
from uploader_core.plugins.registry import Registry
from uploader_kit import ConvertConformance
from uploader_kit.check import check, run
from uploader_kit.step_runs import FULL, LAZY

pytestmark = pytest.mark.usefixtures("home")


def test_base_of_an_authors_classes_is_not_run(
    install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver(install, "own", "", "pass")
    project = tmp_path / "project"
    (project / "tests").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "acme-own"\n', "utf-8")
    (project / "tests" / "test_own.py").write_text(
        "from uploader_kit import SaveConformance\n"
        "class TestBase(SaveConformance):\n    limit = 60\n"
        "class Common(SaveConformance):\n    plugin = 'own'\n"
        "class TestOwn(Common):\n    pass\n",
        "utf-8",
    )
    monkeypatch.chdir(project)
    subjects = {v.subject for v in check(str(project), Registry(), lambda _: None)}
    assert subjects == {"TestOwn"}


CONVERTER = """
from uploader_core.plugin import ConvertSpec, hookimpl
from uploader_merged import open_checkpoint

@hookimpl
def uploader_converters():
    yield ConvertSpec(name="x", summary="x", consumes=("checkpoint",), produces="acme.x",
                      run="acme_{name}:convert")

def convert(context):
    {body}
    return context.artifact()
"""
BOTH = "context.output.write('n', ' '.join(open_checkpoint(context.input('checkpoint')).names))"
FULL_ONLY = "context.output.copy(context.input('checkpoint').file('config.json'), 'n')"


@pytest.mark.parametrize(("name", "body"), [("both", BOTH), ("full", FULL_ONLY)])
def test_converter_gets_the_full_folder_and_base_with_adapter(
    install: Callable[..., None], name: str, body: str
) -> None:
    install(
        f"acme-{name}",
        {f"acme_{name}": CONVERTER.format(name=name, body=body)},
        {"plugins": {name: f"acme_{name}"}, "artifacts": {"acme.x": f"acme_{name}"}},
        requires="uploader-core>=0.1,<1",
    )
    case = type("X", (ConvertConformance,), {"plugin": name})
    found = {v.check: v.outcome for v in run((case,), lambda _: None)}
    assert found[f"step runs in a worker ({FULL})"] == "passed"
    lazy = "passed" if name == "both" else "failed"
    assert found[f"step runs in a worker ({LAZY})"] == lazy
    assert "entry point resolves" in found  # what is about the plugin is checked once


def test_lazy_form_is_skipped_with_a_reason_where_nothing_makes_it(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        "acme-alone",
        {"acme_alone": CONVERTER.format(name="alone", body=BOTH)},
        {"plugins": {"alone": "acme_alone"}, "artifacts": {"acme.x": "acme_alone"}},
        requires="uploader-core>=0.1,<1",
    )
    case = type("X", (ConvertConformance,), {"plugin": "alone"})
    real = Registry.providers
    monkeypatch.setattr(
        Registry, "providers", lambda *given: () if "checkpoint" in given else real(*given)
    )
    verdicts = {v.check: v for v in run((case,), lambda _: None)}
    lazy = verdicts[f"step runs in a worker ({LAZY})"]
    assert lazy.outcome == "skipped"
    assert "pip install uploader-merged" in lazy.why
