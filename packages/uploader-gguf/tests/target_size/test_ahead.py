"""What a plan says of a file of a size: the mixture and the exact bytes, or why not yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gguf_checks import findings, plan_context
from gguf_oracles import context
from uploader_core.plugin import RefusedError, UsageError
from uploader_gguf import preflight, step
from uploader_gguf.target_size import ahead


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that waits for longer than a user would."""
    monkeypatch.setattr(ahead, "_SECONDS", 600.0)


def test_what_takes_too_long_is_left_to_the_step(
    llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_SECONDS", 0.0)
    (finding,) = findings(llama_folder, target_size="1.1MB")
    assert finding.what.endswith("longer than a plan may, so the step chooses the types")
    (file,) = preflight.estimate(plan_context(llama_folder, target_size="1.1MB")).files
    assert file[1] == 1_100_000


def test_the_plan_knows_the_mixture_and_the_exact_size(llama_folder: Path, tmp_path: Path) -> None:
    (finding,) = findings(llama_folder, target_size="7bpw")
    artifact = step.convert(
        context(llama_folder, tmp_path, target_size="7bpw", smoke_test=False, tokenizer_check=False)
    )
    (file,) = artifact.files
    assert finding.level == "note"
    assert finding.what.startswith(f"7bpw: {file.size:,} bytes")
    assert " %" in finding.what
    assert "the largest stock mixture that fits" in finding.what
    asked = plan_context(llama_folder, target_size="7bpw")
    estimate = preflight.estimate(asked)
    assert estimate.files == ((file.name, file.size),)
    assert estimate.pieces == ()  # what is measured is measured on the whole model


def test_with_a_matrix_to_come_only_the_budget_is_known(llama_folder: Path) -> None:
    (finding,) = findings(llama_folder, target_size="1.2MB", calibration="builtin")
    assert "at most 1,200,000 bytes" in finding.what
    assert "importance matrix" in finding.what


@pytest.mark.parametrize("calibration", [None, "builtin"])
def test_an_impossible_size_is_refused_by_the_plan(
    calibration: str | None, llama_folder: Path
) -> None:
    with pytest.raises(RefusedError, match="the smallest that this model can have is"):
        findings(llama_folder, target_size="2bpw", calibration=calibration)


def test_more_than_the_model_needs_is_said(llama_folder: Path) -> None:
    last = findings(llama_folder, target_size="1GB")[-1]
    assert "more than this model needs" in last.what


def test_what_is_no_size_is_refused(llama_folder: Path) -> None:
    with pytest.raises(UsageError, match="'tiny' is neither a size nor bits per weight"):
        findings(llama_folder, target_size="tiny")


def test_the_plan_itself_imports_nothing_heavy(llama_folder: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from pathlib import Path
from uploader_core.plugin import Artifact, PlanContext, ReleaseInfo
from uploader_gguf import preflight
from uploader_gguf.settings import GgufSettings
from uploader_gguf.target_size import ahead
ahead._SECONDS = 600.0
folder = {str(llama_folder)!r}
checkpoint = Artifact(
    kind="checkpoint", path=Path(folder), metadata=dict(base=folder, adapters=[])
)
context = PlanContext(
    inputs=(checkpoint,), settings=GgufSettings(target_size="7bpw"), output=Path(folder),
    release=ReleaseInfo(name="m", source="checkpoint"),
)
assert list(preflight.check(context))
assert preflight.estimate(context).files[0][0] == "m-7bpw.gguf"
heavy = set(sys.modules) & {{"torch", "transformers", "numpy", "gguf", "huggingface_hub", "peft"}}
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
