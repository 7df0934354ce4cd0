"""What is measured agrees with the same numbers computed by transformers, in float32."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch

from gguf_llamas import sharp_llama
from gguf_oracles import context, convert
from uploader_core.plugin import (
    Artifact,
    ArtifactFile,
    OutputFolder,
    PlanContext,
    RefusedError,
    ReleaseInfo,
    StepContext,
)
from uploader_gguf import card
from uploader_gguf.fidelity import measure, plan
from uploader_gguf.fidelity.child import compare
from uploader_gguf.llama_cpp import toolchain
from uploader_gguf.llama_cpp.runtime import Llama
from uploader_gguf.settings import MeasureSettings

KINDS = ("F32", "Q8_0", "Q4_K_M", "Q2_K")
HELD_OUT = resources.files("uploader_merged.texts").joinpath("heldout.txt")


@pytest.fixture(scope="module")
def sharp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that prefers some tokens, as trained ones do."""
    return sharp_llama(tmp_path_factory.mktemp("models") / "Sharp", positions=512)


@pytest.fixture(scope="module")
def files(sharp: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return convert(sharp, tmp_path_factory.mktemp("files"), KINDS)


def measuring(subject: Artifact, base: Path, place: Path, **settings: Any) -> StepContext:
    checkpoint = context(base, place).inputs[0]
    return StepContext(
        step="gguf:fidelity@gguf",
        inputs=(subject, checkpoint),
        settings=MeasureSettings(**settings),
        release=ReleaseInfo(name="m", source="checkpoint"),
        output=OutputFolder(place / "out", place / "scratch"),
        work=place / "work",
        produces="document",
    )


def subject_of(files: dict[str, Path]) -> Artifact:
    return Artifact(
        kind="gguf",
        path=next(iter(files.values())).parent,
        files=tuple(
            ArtifactFile(name=p.name, size=p.stat().st_size, sha256="0" * 64)
            for p in files.values()
        ),
        metadata={"quants": {path.name: kind for kind, path in files.items()}},
    )


@pytest.fixture(scope="module")
def numbers(
    sharp: Path, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("measured")
    artifact = measure.measure(measuring(subject_of(files), sharp, place, measure_contexts=3))
    assert {file.name for file in artifact.files} == {"fidelity.json", "fidelity.png"}
    data = json.loads((place / "out" / "fidelity.json").read_text("utf-8"))
    assert artifact.metadata["fidelity"] == data
    return data


def weights_of(path: Path, model: Any) -> dict[str, torch.Tensor]:
    """Widen a GGUF file with llama.cpp's own Python code, and undo what it does to q and k."""
    toolchain.find().activate()
    import gguf

    config = model.config
    heads = {"q": config.num_attention_heads, "k": config.num_key_value_heads}
    plain = {
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }  # fmt: skip
    whole = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    found = {}
    for tensor in gguf.GGUFReader(path).tensors:
        values = torch.from_numpy(
            gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()
        ).float()
        parts = tensor.name.removesuffix(".weight").split(".")
        if parts[0] != "blk":
            if parts[0] in whole:
                found[whole[parts[0]] + ".weight"] = values
            continue
        if parts[2] in ("attn_q", "attn_k"):
            rows, columns = values.shape
            count = heads[parts[2][-1]]
            values = values.view(count, rows // count // 2, 2, columns)
            values = values.transpose(1, 2).reshape(rows, columns)
        found[f"model.layers.{parts[1]}.{plain[parts[2]]}.weight"] = values
    return found


def of_transformers(sharp: Path, path: Path, pieces: list[list[int]]) -> dict[str, float]:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(sharp, dtype=torch.float32).eval()
    other = AutoModelForCausalLM.from_pretrained(sharp, dtype=torch.float32).eval()
    missing = other.load_state_dict(weights_of(path, model), strict=False)
    assert not missing.unexpected_keys and not missing.missing_keys
    surprise, divergence, same = [], [], []
    with torch.no_grad():
        for piece in pieces:
            half = len(piece) // 2
            ours, theirs = (
                torch.log_softmax(m(torch.tensor([piece])).logits[0, half:-1].double(), -1)
                for m in (model, other)
            )
            following = torch.tensor(piece[half + 1 :])
            surprise.append(-theirs[torch.arange(len(following)), following])
            divergence.append((ours.exp() * (ours - theirs)).sum(-1))
            same.append((ours.argmax(-1) == theirs.argmax(-1)).double())
    return {
        "perplexity": float(torch.cat(surprise).mean().exp()),
        "kl_mean": float(torch.cat(divergence).mean()),
        "top1": float(torch.cat(same).mean()),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_transformers(
    kind: str, numbers: dict[str, Any], sharp: Path, files: dict[str, Path]
) -> None:
    measured = next(m for m in numbers["models"] if m["name"] == kind)
    llama_cpp = Llama(files[kind])
    tokens = llama_cpp.tokenize(HELD_OUT.read_text("utf-8"))
    size = numbers["text"]["context_length"]
    pieces = [tokens[n * size : (n + 1) * size] for n in range(numbers["text"]["contexts"])]
    for piece in pieces:
        piece[0] = llama_cpp.bos or piece[0]
    llama_cpp.close()
    expected = of_transformers(sharp, files[kind], pieces)
    assert measured["perplexity"] == pytest.approx(expected["perplexity"], rel=0.02)
    assert measured["top1"] == pytest.approx(expected["top1"], abs=0.02)
    # llama.cpp rounds what a quantised matrix is multiplied with, too, and that counts as well:
    # beside a divergence of 1e-4 it is not small.
    assert measured["kl_mean"] == pytest.approx(expected["kl_mean"], rel=0.02, abs=2e-4)


def test_smaller_files_are_farther_away(numbers: dict[str, Any]) -> None:
    found = {m["name"]: m for m in numbers["models"]}
    assert found["F32"]["kl_mean"] < found["Q8_0"]["kl_mean"] < found["Q4_K_M"]["kl_mean"]
    assert found["Q4_K_M"]["kl_mean"] < found["Q2_K"]["kl_mean"]
    assert found["Q2_K"]["bits_per_weight"] < found["Q4_K_M"]["bits_per_weight"] < 6
    assert all(m["generation_tokens_per_second"] > 0 for m in numbers["models"])


def test_card_shows_the_numbers(numbers: dict[str, Any], files: dict[str, Path]) -> None:
    text = card.render(subject_of(files), "me/m-GGUF", numbers, ["fidelity.png"])
    q4 = next(m for m in numbers["models"] if m["name"] == "Q4_K_M")
    assert "| perplexity | KL divergence | same next token | tokens/s |" in text
    assert f"| {q4['perplexity']:.4g} ± " in text
    assert "![size against quality](fidelity.png)" in text
    assert "held-out text of uploader" in text


def test_a_text_of_the_user(sharp: Path, files: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "my eval.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 200, "utf-8")
    one = {"Q8_0": files["Q8_0"]}
    made = measure.measure(
        measuring(subject_of(one), sharp, tmp_path, measure_text=str(text), measure_contexts=1)
    )
    data: Any = made.metadata["fidelity"]
    assert data["text"]["name"] == "my eval.txt"
    assert data["text"]["contexts"] == 1
    assert str(tmp_path) not in json.dumps(data)


def test_a_text_that_is_too_short(files: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("The quick brown fox jumps over the lazy dog.", "utf-8")
    with pytest.raises(RefusedError, match="a measurement needs at least 512"):
        compare(
            files["F32"], [files["Q8_0"]], text, 1, [0], timed=False,
            progress=lambda *_: None, found=lambda *_: None,
        )  # fmt: skip


def test_what_cannot_be_measured_says_so_and_fails_nothing(
    sharp: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    torn = tmp_path / "torn-Q8_0.gguf"
    torn.write_bytes(files["Q8_0"].read_bytes()[:-4096])
    made = measure.measure(measuring(subject_of({"Q8_0": torn}), sharp, tmp_path))
    assert made.files == ()
    assert "cannot load torn-Q8_0.gguf" in str(made.metadata["not_measured"])


def test_no_text_is_refused_before_anything_runs(sharp: Path, tmp_path: Path) -> None:
    planned = PlanContext(
        inputs=(
            Artifact(kind="gguf", path=tmp_path / "gguf"),
            context(sharp, tmp_path).inputs[0],
        ),
        settings=MeasureSettings(measure_text=str(tmp_path / "gone.txt")),
        release=ReleaseInfo(name="m", source="checkpoint"),
        output=tmp_path / "out",
    )
    with pytest.raises(RefusedError, match=r"gone\.txt") as refused:
        list(plan.check(planned))
    assert "--gguf-measure-text" in str(refused.value.owner)


def test_estimate_covers_the_scratch_files(
    sharp: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    planned = PlanContext(
        inputs=(Artifact(kind="gguf", path=tmp_path), context(sharp, tmp_path).inputs[0]),
        settings=MeasureSettings(),
        release=ReleaseInfo(name="m", source="checkpoint"),
        output=tmp_path / "out",
    )
    size = files["F32"].stat().st_size
    assert size <= plan.estimate(planned).bytes_scratch <= 1.1 * size
