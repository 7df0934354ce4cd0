"""Calibrated releases: nearer to the fine-tune, in the same layout, and read by transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from compressed_models import FOR_VLLM, model_class, save, train
from compressed_tools import compress, findings
from compressed_words import put_tokenizer, sharpen, write_text
from saved_models import load_all, same_bits
from uploader_compressed.fidelity.weights import CompressedWeights
from uploader_compressed.schemes import SCHEMES
from uploader_core.plugin import PluginError, RefusedError
from uploader_merged import open_checkpoint
from uploader_merged.fidelity.compare import compare

KINDS = ("llama", "phi3", "qwen3-moe", "granite-moe")


@pytest.fixture(scope="module", params=KINDS)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """w4a16 with and without calibration: (architecture, folder, base, adapter)."""
    kind, root = request.param, tmp_path_factory.mktemp(request.param)
    base = sharpen(save(kind, root / "base"))
    adapter = train(kind, base, root / "adapter")
    put_tokenizer(adapter)
    text = write_text(root / "text.txt")
    made = compress(
        root, base, adapter, "w4a16", "w4a16-gptq", calibration=str(text), group_size=32
    )
    return kind, root, base, adapter, made


def divergence(release: Any, scheme: str, scratch: Path) -> float:
    _, root, base, adapter, _ = release
    checkpoint = open_checkpoint(base, adapter)
    how = SCHEMES[scheme]
    from uploader_compressed.schemes import scheme_of

    weights = CompressedWeights(checkpoint, scheme_of(how.name, 32), root / f"compressed-{scheme}")
    torch.manual_seed(9)
    texts = [torch.randint(3, 90, (1, 64)) for _ in range(8)]
    found = compare(checkpoint.widened(), weights, texts, scratch, lambda done, total: None)
    return float(found["model"]["kl_mean"])


def test_it_is_nearer_to_the_fine_tune_by_a_fifth(release: Any, tmp_path: Path) -> None:
    fitted, plain = (divergence(release, s, tmp_path) for s in ("w4a16-gptq", "w4a16"))
    assert fitted < 0.8 * plain


def test_only_codes_differ_from_the_plain_scheme(release: Any) -> None:
    _, root, *_ = release
    fitted, plain = (load_all(root / f"compressed-{s}") for s in ("w4a16-gptq", "w4a16"))
    assert fitted.keys() == plain.keys()
    differing = {n for n in fitted if not same_bits(fitted[n], plain[n])}
    assert differing
    assert all(name.endswith("weight_packed") for name in differing)
    configs = [
        json.loads((root / f"compressed-{s}" / "config.json").read_text("utf-8"))
        for s in ("w4a16-gptq", "w4a16")
    ]
    assert configs[0] == configs[1]


def test_every_matrix_was_reached_and_the_record_says_so(release: Any) -> None:
    *_, made = release
    said = made["w4a16-gptq"].metadata["calibration"]
    assert said["not_reached"] == []
    assert said["matrices"] == made["w4a16-gptq"].metadata["quantised"]
    assert said["text"] == "text.txt"


def test_transformers_loads_it(release: Any) -> None:
    kind, root, *_ = release
    if kind in FOR_VLLM:
        pytest.skip("as the plan says, it does not")
    folder = root / "compressed-w4a16-gptq"
    _, info = model_class(kind).from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())


def test_the_same_text_gives_the_same_bytes(llama: Path, tmp_path: Path) -> None:
    base = put_tokenizer(sharpen(save("llama", tmp_path / "base")))
    text = str(write_text(tmp_path / "text.txt"))
    for name in ("one", "two"):
        compress(tmp_path / name, base, None, "w8a8-gptq", calibration=text)
    one, two = (load_all(tmp_path / name / "compressed-w8a8-gptq") for name in ("one", "two"))
    assert all(same_bits(one[n], two[n]) for n in one)


def test_files_of_an_interrupted_attempt_are_not_mixed_with_others(tmp_path: Path) -> None:
    base = put_tokenizer(sharpen(save("llama", tmp_path / "base")))
    text = str(write_text(tmp_path / "text.txt"))
    # More text stands for another number of threads: both give other codes.
    for name, windows in (("again", 1), ("again", 3), ("fresh", 3)):
        compress(
            tmp_path / name, base, None, "w8a8-gptq", calibration=text, calibration_windows=windows
        )
    again, fresh = (
        load_all(tmp_path / name / "compressed-w8a8-gptq") for name in ("again", "fresh")
    )
    assert all(same_bits(again[n], fresh[n]) for n in fresh)


def test_a_text_shorter_than_a_window_refuses_the_plan(tmp_path: Path) -> None:
    base = put_tokenizer(save("llama", tmp_path / "base"))
    text = tmp_path / "short.txt"
    text.write_text(" " * 2000 + "a b c", "utf-8")
    (error,) = findings(base, "w4a16-gptq", calibration=str(text))["error"]
    assert "has 3 tokens, and a window has 64" in error.what
    assert "--compressed-calibration" in str(error.next)


def test_experts_that_transformers_multiplies_at_once(tmp_path: Path) -> None:
    base = put_tokenizer(save("llama4", tmp_path / "base"))
    text = str(write_text(tmp_path / "text.txt"))
    (error,) = findings(base, "w4a16-gptq", calibration=text)["error"]
    assert "multiplies those of a layer at once" in error.what
    assert "--compressed-kinds w4a16" in str(error.next)
    with pytest.raises(PluginError, match="is not seen"):
        compress(tmp_path, base, None, "w4a16-gptq", calibration=text)
    kept = findings(base, "w4a16-gptq", calibration=text, ignore=(r".*\.experts",))
    assert not kept["error"]


@pytest.mark.parametrize("architecture", ["LlamaModel", "LlamaForSequenceClassification"])
def test_a_model_that_predicts_no_next_token_refuses_the_plan(
    architecture: str, llama: Path, tmp_path: Path
) -> None:
    shutil.copytree(llama, tmp_path / "base")
    config = json.loads((llama / "config.json").read_text())
    (tmp_path / "base/config.json").write_text(
        json.dumps({**config, "architectures": [architecture]})
    )
    errors = findings(tmp_path / "base", "w8a8-gptq")["error"]
    (error,) = [found for found in errors if "next token" in found.what]
    assert error.next == "--compressed-kinds w8a8"


def test_no_windows_refuse_the_plan(llama: Path) -> None:
    (error,) = findings(llama, "w4a16-gptq", calibration_windows=0)["error"]
    assert error.what.startswith("0 windows")


def test_no_text_refuses_the_plan(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"nowhere\.txt"):
        findings(llama, "w4a16-gptq", calibration=str(tmp_path / "nowhere.txt"))


def test_a_fine_tune_without_a_tokenizer_is_refused(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="tokenizer"):
        compress(tmp_path, llama, None, "w4a16-gptq")
    assert not list((tmp_path / "compressed-w4a16-gptq").glob("*.safetensors"))
