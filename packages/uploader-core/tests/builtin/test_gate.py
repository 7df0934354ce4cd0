"""The fidelity gate: what lost too much, or nobody knows of, does not pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader_core.builtin.gate.limits import Limits
from uploader_core.builtin.gate.plugin import GateSettings
from uploader_core.builtin.gate.step import check, write
from uploader_core.fidelity import Loss, losses_of
from uploader_core.plugin import (
    Artifact,
    CardFacts,
    OutputFolder,
    PlanContext,
    ReleaseInfo,
    StepContext,
    UploaderError,
    UsageError,
)

RELEASE = ReleaseInfo(name="tiny", source="adapter")
MEASURED = {
    "reference": {"perplexity": 10.0},
    "models": [
        {"name": "Q8_0", "perplexity": 10.05, "kl_mean": 0.001},
        {"name": "Q2_K", "perplexity": 11.0, "kl_mean": 0.2},
    ],
}
GGUF, LORA = Artifact(kind="gguf", path=Path("gguf")), Artifact(kind="lora", path=Path("lora"))
CARDS = {"gguf": CardFacts(relation="quantized"), "lora": CardFacts(relation="adapter")}


@pytest.fixture
def passes(tmp_path: Path) -> Callable[..., Any]:
    """Run the gate; keywords are settings. Returns what it wrote."""

    def run(*inputs: Artifact, metadata: Any = None, **settings: Any) -> Any:
        (tmp_path / "work").mkdir()
        measured = Artifact(
            kind="document", path=Path("gguf"), metadata=metadata or {"fidelity": MEASURED}
        )
        write(
            StepContext(
                step="max:gate@release",
                inputs=inputs or (GGUF,),
                settings=GateSettings(**settings),
                release=RELEASE,
                output=OutputFolder(tmp_path, tmp_path / "work"),
                work=tmp_path / "work",
                measurements=(measured,),
                cards=CARDS,
            )
        )
        return json.loads(next(tmp_path.rglob("fidelity_gate.json*")).read_text("utf-8"))

    return run


def test_what_is_near_enough_passes_and_is_written_down(passes: Callable[..., Any]) -> None:
    models = passes(kl=("0.3",), perplexity_rise=("10.5%",))["models"]
    assert [m["name"] for m in models] == ["Q8_0", "Q2_K"]
    assert models[1]["kl_mean"] == 0.2
    assert models[1]["max_kl_mean"] == 0.3
    assert models[1]["perplexity_rise"] == pytest.approx(0.1)
    assert models[1]["max_perplexity_rise"] == pytest.approx(0.105)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kl": ("0.05",)}, "gguf Q2_K has a KL divergence of 0.2, allowed are 0.05"),
        (
            {"perplexity_rise": ("2%",)},
            "gguf Q2_K has a rise of the perplexity of 10.00%, allowed are 2.00%",
        ),
    ],
)
def test_what_lost_too_much_is_named_with_both_numbers(
    passes: Callable[..., Any], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UploaderError, match=words) as refused:
        passes(**settings)
    assert refused.value.exit_code == 9
    assert "Q8_0" not in refused.value.what


@pytest.mark.parametrize("kl", [("0.05", "gguf=0.3"), ("0.05", "gguf/Q2_K=0.3"), ("gguf=any",)])
def test_one_format_or_model_may_have_a_limit_of_its_own(
    passes: Callable[..., Any], kl: tuple[str, ...]
) -> None:
    assert passes(kl=kl)


@pytest.mark.parametrize(
    "metadata",
    [
        {"not_measured": "llama.cpp cannot run it"},
        {"fidelity": {"models": [{"name": "Q8_0", "kl_mean": float("nan")}]}},
        {"fidelity": {"models": [{"name": "Q8_0"}]}},
    ],
    ids=["not-measured", "not-a-number", "nothing"],
)
def test_what_is_not_known_has_not_passed(passes: Callable[..., Any], metadata: Any) -> None:
    with pytest.raises(UploaderError, match="KL divergence of gguf.* was not measured"):
        passes(metadata=metadata, kl=("1",))


def test_what_is_not_quantised_needs_no_measurement(passes: Callable[..., Any]) -> None:
    assert passes(LORA, kl=("0.1",))["models"] == [
        {"kind": "lora", "measured": False, "quantized": False}
    ]


def test_format_that_measures_itself_is_compared_too() -> None:
    lossy = Artifact(kind="x", path=Path("x"), metadata={"fidelity": {"kl_mean": 0.2, "top1": 0.9}})
    assert losses_of(lossy, ()) == [Loss(kind="x", kl=0.2)]
    failed = Artifact(kind="x", path=Path("x"), metadata={"fidelity": {"not_measured": "why"}})
    assert losses_of(failed, ()) == [Loss(kind="x", why="why")]


@pytest.mark.parametrize("word", ["-1", "nan", "much", "gguf=", "5%%"])
def test_limit_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="no number from zero on"):
        Limits.read("--max-kl", (word,))


def planned(*inputs: Artifact, **settings: Any) -> PlanContext:
    return PlanContext(
        inputs=inputs, settings=GateSettings(**settings), release=RELEASE, output=Path()
    )


QUANTISED = Artifact(kind="gguf", path=Path("gguf"), metadata={"relation": "quantized"})
ADAPTER = Artifact(kind="lora", path=Path("lora"), metadata={"relation": "adapter"})
MEASURES = Artifact(kind="document", path=Path("gguf"), metadata={"measures": True})


def test_plan_without_a_measurement_is_refused() -> None:
    assert not [*check(planned(QUANTISED, ADAPTER, MEASURES, kl=("1",)))]
    with pytest.raises(UploaderError, match="nothing would measure what gguf lost") as refused:
        [*check(planned(QUANTISED, ADAPTER, kl=("1",)))]
    assert "--measure" in str(refused.value.next)
    assert not [*check(planned(QUANTISED, ADAPTER, kl=("gguf=any",)))]


def test_format_that_says_nothing_of_itself_is_measured_or_refused() -> None:
    with pytest.raises(UploaderError, match=r"acme\.x"):
        [*check(planned(Artifact(kind="acme.x", path=Path("x")), kl=("1",)))]


def test_limit_of_a_format_that_is_not_made_is_refused() -> None:
    with pytest.raises(UsageError, match="this release has no mlx"):
        [*check(planned(QUANTISED, MEASURES, kl=("mlx=1",)))]
