"""The adapter near the trained one: its errors are those that it says, and so are its answers."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from merged_tools import FUSES_EXPERTS
from uploader_core.plugin import (
    Artifact,
    OutputFolder,
    PlanContext,
    RefusedError,
    ReleaseInfo,
    SourceError,
    StepContext,
)
from uploader_lora.where_it_runs import on_engine
from uploader_merged.forward.windows import open_tokenizer
from uploader_merged.serving.card import section
from uploader_merged.serving.lossy import check, estimate
from uploader_merged.serving.lossy_save import save
from uploader_merged.serving.save import WEIGHTS
from uploader_merged.settings import ServingLossySettings
from uploader_merged.texts import BUILTIN, HELD_OUT, text_path

Trained = Callable[..., Path]
RELEASE = ReleaseInfo(name="tiny", source="adapter")


def build(tied: bool = False) -> Any:
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=tied,
        max_position_embeddings=128,
    )  # fmt: skip
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a tokenizer of letters."""
    folder = tmp_path_factory.mktemp("base")
    build().save_pretrained(folder)
    letters = {letter: n for n, letter in enumerate(["</s>", "?", " ", *string.ascii_letters])}
    plain = Tokenizer(models.WordLevel(letters, unk_token="?"))
    plain.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="</s>").save_pretrained(folder)
    return folder


def train(base: Path, folder: Path, **flags: Any) -> Path:
    """Save an adapter as if training had moved all that it has."""
    flags = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], **flags}
    model = get_peft_model(
        LlamaForCausalLM.from_pretrained(base), LoraConfig(task_type="CAUSAL_LM", **flags)
    )
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.fixture
def trained(base: Path, tmp_path: Path) -> Trained:
    return lambda **flags: train(base, tmp_path / "adapter", **flags)


def sources(base: Path, adapter: Path) -> tuple[Artifact, ...]:
    return Artifact(kind="adapter", path=adapter), Artifact(kind="base", path=base)


def plan(base: Path, adapter: Path, **settings: Any) -> PlanContext:
    return PlanContext(
        inputs=sources(base, adapter),
        settings=ServingLossySettings(**{"serving_contexts": 0, **settings}),
        release=RELEASE,
        output=base,
    )


def make(base: Path, adapter: Path, root: Path, **settings: Any) -> Artifact:
    return save(
        StepContext(
            step="merged:serving-lossy",
            inputs=sources(base, adapter),
            settings=ServingLossySettings(**{"serving_contexts": 0, **settings}),
            release=RELEASE,
            output=OutputFolder(root / "made", root / "scratch", root / "units"),
            work=root / "scratch",
            produces="lora-serving-lossy",
        )
    )


def effective(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    """Return weights as peft merges them."""
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), adapter)
    merged = model.merge_and_unload()
    return {name: tensor.clone() for name, tensor in merged.state_dict().items()}


def logits(base: Path, adapter: Path) -> torch.Tensor:
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), adapter).eval()
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(24).view(1, -1)).logits
    return found


def errors(artifact: Artifact) -> dict[str, float]:
    found: Any = artifact.metadata["lossy"]
    return {one["module"]: one["error"] for one in found}


@pytest.mark.parametrize(
    "flags",
    [
        {"use_dora": True},
        {"use_dora": True, "use_rslora": True, "rank_pattern": {"q_proj": 8}},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["embed_tokens", "up_proj"]},
        {"target_modules": ["q_proj", "embed_tokens"], "use_dora": True},
    ],
    ids=str,
)
def test_its_errors_are_those_of_the_weights(
    base: Path, trained: Trained, tmp_path: Path, flags: dict[str, Any]
) -> None:
    folder = trained(**flags)
    artifact = make(base, folder, tmp_path)
    before = LlamaForCausalLM.from_pretrained(base).state_dict()
    wanted, found = effective(base, folder), effective(base, artifact.path)
    said = errors(artifact)
    for name, weight in wanted.items():
        whole = (weight - before[name]).norm()
        missing = (weight - found[name]).norm()
        error = float(missing / whole) if whole else 0.0
        assert error == pytest.approx(said.get(name.removesuffix(".weight"), 0.0), abs=1e-4), name
    assert said


def test_it_is_nearly_the_best_of_its_rank(base: Path, trained: Trained, tmp_path: Path) -> None:
    folder = trained(use_dora=True)
    artifact = make(base, folder, tmp_path, serving_rank=8)
    before, wanted = LlamaForCausalLM.from_pretrained(base).state_dict(), effective(base, folder)
    for module, error in errors(artifact).items():
        strength = torch.linalg.svdvals(wanted[f"{module}.weight"] - before[f"{module}.weight"])
        best = float(strength[8:].norm() / strength.norm())
        assert error == pytest.approx(best, rel=1e-3)


def test_with_every_rank_it_answers_as_the_trained_one_does(
    base: Path, trained: Trained, tmp_path: Path
) -> None:
    folder = trained(use_dora=True, modules_to_save=["lm_head", "embed_tokens"])
    artifact = make(base, folder, tmp_path, serving_rank=32)
    assert max(errors(artifact).values()) < 1e-5
    torch.testing.assert_close(logits(base, artifact.path), logits(base, folder), rtol=0, atol=1e-4)


def test_trained_tokens_are_exact_where_they_are_no_more_than_the_rank(
    base: Path, trained: Trained, tmp_path: Path
) -> None:
    folder = trained(trainable_token_indices={"embed_tokens": [3, 7, 60]})
    artifact = make(base, folder, tmp_path)
    assert errors(artifact)["model.embed_tokens"] < 1e-5
    torch.testing.assert_close(logits(base, artifact.path), logits(base, folder), rtol=0, atol=1e-5)


def test_tokens_of_a_tied_model_change_its_head_as_well(tmp_path: Path) -> None:
    build(tied=True).save_pretrained(tmp_path / "base")
    folder = train(
        tmp_path / "base", tmp_path / "adapter", trainable_token_indices={"embed_tokens": [3, 7]}
    )
    artifact = make(tmp_path / "base", folder, tmp_path)
    assert set(errors(artifact)) == {"model.embed_tokens", "lm_head"}
    torch.testing.assert_close(
        logits(tmp_path / "base", artifact.path), logits(tmp_path / "base", folder),
        rtol=0, atol=1e-5,
    )  # fmt: skip


def test_servers_load_it_that_did_not_load_the_trained_one(
    base: Path, trained: Trained, tmp_path: Path
) -> None:
    artifact = make(base, trained(use_dora=True, use_rslora=True), tmp_path)
    for engine in ("vLLM", "SGLang", "TGI"):
        found = on_engine(artifact.metadata, engine)
        assert found is not None
        assert found.runs, engine


def test_biases_that_did_not_change_are_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
                         num_attention_heads=4, attention_bias=True)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    folder = train(tmp_path / "base", tmp_path / "adapter", use_dora=True, bias="lora_only")
    if not any(name.endswith(".bias") for name in load_file(folder / WEIGHTS)):
        pytest.skip("this peft saves no biases of layers that it wraps")
    with pytest.raises(SourceError, match="was changed by the training"):
        make(tmp_path / "base", folder, tmp_path)
    tensors = load_file(folder / WEIGHTS)
    before = load_file(tmp_path / "base" / "model.safetensors")
    for name in tensors:
        if name.endswith(".bias"):
            plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
            tensors[name] = before[plain]
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    artifact = make(tmp_path / "base", folder, tmp_path)
    assert artifact.metadata["dropped"] == ["model.layers.0.self_attn.q_proj.bias"]
    assert json.loads((artifact.path / "adapter_config.json").read_text())["bias"] == "none"


def test_what_needs_no_loss_has_none(base: Path, trained: Trained, tmp_path: Path) -> None:
    folder = trained(use_rslora=True)
    nexts = [f.next for f in check(plan(base, folder)) if f.level == "note"]
    assert "--plugins lora-serving, which needs no base" in nexts
    artifact = make(base, folder, tmp_path)
    assert (artifact.metadata["exact"], artifact.metadata["lossy"]) == (True, [])
    torch.testing.assert_close(logits(base, artifact.path), logits(base, folder), rtol=0, atol=2e-6)


def test_a_rank_that_cuts_exact_products_is_refused(base: Path, trained: Trained) -> None:
    folder = trained(modules_to_save=["lm_head"])
    with pytest.raises(RefusedError, match="rank of 2 cuts products of rank 4"):
        list(check(plan(base, folder, serving_rank=2)))


def test_the_plan_warns_and_promises_enough(base: Path, trained: Trained, tmp_path: Path) -> None:
    folder = trained(use_dora=True)
    said = [f.what for f in check(plan(base, folder)) if f.level == "warning" and "rank" in f.what]
    assert said == [
        "DoRA of 4 modules becomes products of rank 4, which are near it and not it; the card says "
        "how near"
    ]
    written = (make(base, folder, tmp_path).path / WEIGHTS).stat().st_size
    assert written <= estimate(plan(base, folder)).bytes_written < 1.5 * written + 16384


def test_the_card_says_how_near_it_is(base: Path, trained: Trained, tmp_path: Path) -> None:
    artifact = make(base, trained(use_dora=True), tmp_path)
    text = section(
        StepContext(
            step="card", inputs=(artifact,), settings=None, release=RELEASE,
            output=OutputFolder(tmp_path / "c", tmp_path / "s", tmp_path / "u"),
            work=tmp_path, produces="document",
        )
    )  # fmt: skip
    assert "It is **not** the trained adapter" in text
    assert "| `q_proj` | DoRA | 2 |" in text
    assert "Its answers were not measured: it was not asked for" in text


@pytest.mark.skipif(not FUSES_EXPERTS, reason="needs transformers 5")
def test_its_answers_are_measured_against_the_trained_ones(
    base: Path, trained: Trained, tmp_path: Path
) -> None:
    folder = trained(use_dora=True)
    found: list[Any] = [
        make(base, folder, tmp_path / str(rank), serving_rank=rank, serving_contexts=2)
        for rank in (4, 16, 32)
    ]
    divergence = [artifact.metadata["fidelity"]["kl_mean"] for artifact in found]
    assert divergence == sorted(divergence, reverse=True)
    assert divergence[0] > 1e-6 > divergence[-1]
    assert found[-1].metadata["fidelity"]["top1"] == 1.0
    # What is counted is what transformers and peft answer.
    window = open_tokenizer(base)(text_path(BUILTIN, "", HELD_OUT).read_text("utf-8"))["input_ids"]
    wanted, ours = (
        PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), place)(
            torch.tensor([window[:128]])
        ).logits[0, 64:-1].log_softmax(-1).double()
        for place in (folder, found[0].path)
    )  # fmt: skip
    first = float((wanted.exp() * (wanted - ours)).sum(-1).mean())
    second: Any = make(base, folder, tmp_path / "one", serving_contexts=1).metadata["fidelity"]
    assert second["kl_mean"] == pytest.approx(first, rel=1e-2)


def test_the_plan_says_who_will_not_load_a_changed_embedding(base: Path, trained: Trained) -> None:
    folder = trained(modules_to_save=["embed_tokens"])
    (note,) = [f for f in check(plan(base, folder)) if "lora-serving-lossy" in f.what]
    assert note.level == "note"
    assert note.what.startswith("vLLM")
    assert note.what.endswith("changes of embedding or head are loaded for few architectures only")


def test_layers_that_lie_the_other_way_round(tmp_path: Path) -> None:
    """Conv1D of GPT-2, of which a square one does not tell by its shape how it lies."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=4, n_positions=32)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "base")
    model = get_peft_model(
        GPT2LMHeadModel.from_pretrained(tmp_path / "base"),
        LoraConfig(r=4, use_dora=True, target_modules=["c_attn", "attn.c_proj"],
                   modules_to_save=["mlp.c_fc"], fan_in_fan_out=True),
    )  # fmt: skip
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "adapter")
    with pytest.raises(SourceError, match="was changed by the training"):
        make(tmp_path / "base", tmp_path / "adapter", tmp_path)
    tensors = load_file(tmp_path / "adapter" / WEIGHTS)
    before = load_file(tmp_path / "base" / "model.safetensors")
    for name in tensors:
        if name.endswith("c_fc.bias"):
            tensors[name] = before["transformer.h.0.mlp.c_fc.bias"]
    save_file(tensors, tmp_path / "adapter" / WEIGHTS, {"format": "pt"})
    artifact = make(tmp_path / "base", tmp_path / "adapter", tmp_path, serving_rank=32)
    assert {module.rpartition(".")[2] for module in errors(artifact)} == {
        "c_attn", "c_proj", "c_fc",
    }  # fmt: skip
    answers = []
    for folder in (tmp_path / "adapter", artifact.path):
        again = PeftModel.from_pretrained(
            GPT2LMHeadModel.from_pretrained(tmp_path / "base"), folder
        ).eval()
        with torch.no_grad():
            answers.append(again(torch.arange(24).view(1, -1)).logits)
    torch.testing.assert_close(answers[1], answers[0], rtol=0, atol=1e-4)
