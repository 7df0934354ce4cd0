"""The load proof agrees with what transformers says when it really loads the folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import load_models
from json_files import edit_json
from saved_models import load_all
from uploader_command import Uploader
from uploader_core.plugin import Finding
from uploader_lora import read_header
from uploader_merged import open_checkpoint
from uploader_merged.load_proof import Outcome, Subject, check, describe, prove_checkpoint
from uploader_merged.load_proof.loading import load
from uploader_merged.load_proof.verdict import judge

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Saves a model of a kind once."""
    root = tmp_path_factory.mktemp("load-models")
    return lambda kind: (
        root / kind if (root / kind).is_dir() else load_models.save(kind, root / kind)
    )


def subject(folder: Path) -> Subject:
    tensors = read_header(folder / "model.safetensors").tensors
    return Subject(
        config=json.loads((folder / "config.json").read_text("utf-8")),
        tensors={name: (t.dtype, t.shape) for name, t in tensors.items()},
    )


def really_load(folder: Path, outcome: Outcome) -> dict[str, Any] | None:
    """Return transformers' loading info for a folder, None where it raises."""
    import transformers

    assert outcome.model_class is not None
    loaded = getattr(transformers, outcome.model_class)
    try:
        _, info = loaded.from_pretrained(
            folder, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except RuntimeError:
        return None
    return {key: sorted(entry if isinstance(entry, str) else entry[0] for entry in found)
            for key, found in info.items()}  # fmt: skip


def in_last_layer(tensors: Tensors) -> list[str]:
    return [n for n, t in tensors.items() if ".1." in n and t.dim() == 2]


def whole(tensors: Tensors) -> Tensors:
    return tensors


def without_a_tensor(tensors: Tensors) -> Tensors:
    gone = in_last_layer(tensors)[0]
    return {n: t for n, t in tensors.items() if n != gone}


def with_a_stranger(tensors: Tensors) -> Tensors:
    near = in_last_layer(tensors)[0].rpartition(".")[0]
    return {**tensors, f"{near}.stranger": torch.zeros(3)}


def of_another_shape(tensors: Tensors) -> Tensors:
    name = in_last_layer(tensors)[-1]
    return {**tensors, name: tensors[name][:-1].clone()}


def under_another_prefix(tensors: Tensors) -> Tensors:
    return {f"network.{n}": t for n, t in tensors.items()}


def left_empty(tensors: Tensors) -> Tensors:
    name = in_last_layer(tensors)[0]
    return {**tensors, name: torch.empty(0, dtype=tensors[name].dtype)}


BREAKS = (whole, without_a_tensor, with_a_stranger, of_another_shape, under_another_prefix,
          left_empty)  # fmt: skip


@pytest.mark.parametrize("kind", load_models.KINDS)
def test_agrees_with_from_pretrained(
    kind: str, models: Callable[[str], Path], tmp_path: Path
) -> None:
    tensors = load_all(models(kind))
    for number, damage in enumerate(BREAKS):
        folder = tmp_path / str(number)
        shutil.copytree(models(kind), folder)
        save_file(damage(dict(tensors)), folder / "model.safetensors", metadata={"format": "pt"})
        ours = subject(folder)
        outcome = load(ours)
        assert outcome.unproved is None, f"{damage.__name__}: {outcome.unproved}"
        assert outcome.trouble is None, f"{damage.__name__}: {outcome.trouble}"
        theirs = really_load(folder, outcome)
        assert (theirs is None) == bool(outcome.failed), damage.__name__
        if theirs is not None:
            assert list(outcome.missing) == theirs["missing_keys"], damage.__name__
            assert [s.name for s in outcome.strays] == theirs["unexpected_keys"], damage.__name__
            assert [m.name for m in outcome.misfits] == theirs["mismatched_keys"], damage.__name__
        assert outcome.complete == (damage is whole), damage.__name__
        levels = [finding.level for finding in judge(outcome, ours, folder)]
        assert ("error" in levels) == (damage is not whole), damage.__name__
        if damage is whole:
            assert levels == []


def judged(subject: Subject, **changes: Any) -> list[Finding]:
    """Load a subject, changed, and judge it."""
    changed = replace(subject, **changes)
    return list(judge(load(changed), changed, Path("folder")))


def refusal(subject: Subject, **changes: Any) -> str:
    """Return what a changed subject is refused with, in one text."""
    (finding,) = [f for f in judged(subject, **changes) if f.level == "error"]
    assert finding.next
    return f"{finding.what} NEXT {finding.next}"


@pytest.fixture
def sound(llama: Path) -> Subject:
    return describe(open_checkpoint(llama))


def keep(sound: Subject, wanted: Callable[[str], bool]) -> dict[str, Any]:
    return {"tensors": {n: t for n, t in sound.tensors.items() if wanted(n)}}


def test_layer_without_its_mlp_is_named(sound: Subject) -> None:
    text = refusal(sound, **keep(sound, lambda name: "layers.1.mlp" not in name))
    assert "layer 1 has no complete mlp" in text
    assert "model.layers.1.mlp.down_proj.weight" in text


def test_fewer_layers_than_the_configuration_says(sound: Subject) -> None:
    text = refusal(sound, **keep(sound, lambda name: "layers.1." not in name))
    assert "config.json says 2 layers, and the files hold 1" in text


def test_more_layers_than_the_configuration_says(sound: Subject) -> None:
    text = refusal(sound, config={**sound.config, "num_hidden_layers": 1})
    assert "config.json says 1 layer, and the files hold 2" in text


def test_biases_that_the_configuration_denies(sound: Subject) -> None:
    more = {"model.layers.0.self_attn.q_proj.bias": ("BF16", (48,))}
    assert "no biases" in refusal(sound, tensors={**sound.tensors, **more})


def test_biases_that_the_files_do_not_have(sound: Subject) -> None:
    text = refusal(sound, config={**sound.config, "attention_bias": True})
    assert "have biases, and the files have none" in text


@pytest.mark.parametrize("size", [90, 100])
def test_vocabulary_of_another_size_than_the_matrix(size: int, sound: Subject) -> None:
    text = refusal(sound, config={**sound.config, "vocab_size": size})
    assert f"vocab_size is {size}, and the matrix has 96 rows" in text
    assert '"vocab_size": 96' in text


def test_heads_of_another_width(sound: Subject) -> None:
    text = refusal(sound, config={**sound.config, "head_dim": 24})
    assert "q_proj.weight is 48 x 48 in the files and 96 x 48 by config.json" in text


def test_head_that_is_nowhere(sound: Subject) -> None:
    text = refusal(sound, **keep(sound, lambda name: "lm_head" not in name))
    assert "neither in the files nor tied" in text
    assert '"tie_word_embeddings": true' in text


def test_configuration_that_contradicts_itself(sound: Subject) -> None:
    text = refusal(sound, config={**sound.config, "hidden_act": "no-such-function"})
    assert "cannot build" in text
    assert "no-such-function" in text


def test_configuration_of_a_newer_library_is_no_fault_of_the_model(sound: Subject) -> None:
    config = {**sound.config, "hidden_act": "no-such-function", "transformers_version": "99.1"}
    (finding,) = judged(sound, config=config)
    assert finding.level == "warning"
    assert "not proved" in finding.what
    assert "pip install -U transformers" in (finding.next or "")


def test_quantised_tensors_without_a_word_of_it(sound: Subject) -> None:
    packed = {n: ("U8" if "proj" in n else d, s) for n, (d, s) in sound.tensors.items()}
    assert "config.json does not say how" in refusal(sound, tensors=packed)


def test_expert_that_is_missing_is_named(models: Callable[[str], Path]) -> None:
    mixtral = subject(models("mixtral"))
    gone = "model.layers.1.block_sparse_moe.experts.2.w3.weight"
    assert gone in refusal(mixtral, **keep(mixtral, lambda name: name != gone))


def test_expert_of_another_shape_is_named(models: Callable[[str], Path]) -> None:
    mixtral = subject(models("mixtral"))
    odd = "model.layers.1.block_sparse_moe.experts.2.w3.weight"
    assert odd in refusal(mixtral, tensors={**mixtral.tensors, odd: ("BF16", (5, 64))})


@pytest.mark.parametrize(
    ("name", "level", "what"),
    [
        ("v_head.summary.weight", "warning", "value head"),
        ("vision_tower.encoder.weight", "warning", "encoder of images"),
        ("mtp.layers.0.eh_proj.weight", "note", "MTP"),
    ],
)
def test_what_lies_beside_a_complete_model(
    name: str, level: str, what: str, sound: Subject
) -> None:
    (finding,) = judged(sound, tensors={**sound.tensors, name: ("BF16", (48,))})
    assert finding.level == level
    assert what in finding.what
    assert name in finding.what


def test_layer_that_predicts_ahead_is_no_layer_too_many(models: Callable[[str], Path]) -> None:
    deepseek = subject(models("deepseek-v3"))
    ahead = {
        name.replace("layers.1.", "layers.2."): stored
        for name, stored in deepseek.tensors.items()
        if "layers.1." in name
    }
    ahead["model.layers.2.eh_proj.weight"] = ("BF16", (64, 128))
    config = {**deepseek.config, "num_nextn_predict_layers": 1}
    (finding,) = judged(deepseek, config=config, tensors={**deepseek.tensors, **ahead})
    assert finding.level == "note"
    assert "MTP" in finding.what


def test_encoder_without_pooler(models: Callable[[str], Path]) -> None:
    bert = subject(models("bert"))
    (finding,) = judged(bert, **keep(bert, lambda name: "pooler" not in name))
    assert finding.level == "note"
    assert "pooler" in finding.what


def test_head_beside_a_class_without_one(sound: Subject) -> None:
    (finding,) = judged(sound, config={**sound.config, "architectures": ["LlamaModel"]})
    assert finding.level == "note"
    assert "lm_head.weight" in finding.what


def test_class_that_no_library_has(sound: Subject) -> None:
    """FSDP 2 puts its name before the model's class, and save_pretrained writes that down."""
    (finding,) = judged(sound, config={**sound.config, "architectures": ["FSDPLlamaForCausalLM"]})
    assert finding.level == "warning"
    assert '"architectures": ["LlamaForCausalLM"]' in (finding.next or "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model_type": "of-our-own"}, "does not know the model type of-our-own"),
        ({"model_type": None}, "finds no model_type"),
        (
            {"architectures": ["OurLlama"], "auto_map": {"AutoModelForCausalLM": "ours.OurLlama"}},
            "no class OurLlama, and its own code (auto_map) is not run here",
        ),
    ],
)
def test_what_cannot_be_proved_is_said_and_refuses_nothing(
    change: dict[str, Any], why: str, sound: Subject
) -> None:
    (finding,) = judged(sound, config={**sound.config, **change})
    assert finding.level == "note"
    assert "not proved" in finding.what
    assert why in finding.what


def test_code_of_its_own_that_transformers_has_meanwhile(sound: Subject) -> None:
    config = {**sound.config, "auto_map": {"AutoModelForCausalLM": "modeling.LlamaForCausalLM"}}
    assert judged(sound, config=config) == []


def test_flash_attention_need_not_be_installed(sound: Subject) -> None:
    assert judged(sound, config={**sound.config, "_attn_implementation": "flash_attention_2"}) == []


@pytest.mark.parametrize(
    ("needed", "why"),
    [
        ({"no_such_library": (1, 0)}, "no_such_library is not installed"),
        ({"torch": (99, 0)}, f"torch {torch.__version__} is older than 99.0"),
    ],
)
def test_library_that_is_missing_or_old(
    needed: dict[str, tuple[int, int]], why: str, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_NEEDED", needed)
    (finding,) = prove_checkpoint(open_checkpoint(llama))
    assert finding.level == "warning"
    assert why in finding.what
    assert "pip install -U transformers" in (finding.next or "")


def test_wrappers_that_were_taken_off_are_said(llama: Path, tmp_path: Path) -> None:
    shutil.copytree(llama, tmp_path / "compiled")
    named = {f"_orig_mod.{name}": tensor for name, tensor in load_all(llama).items()}
    save_file(named, tmp_path / "compiled" / "model.safetensors")
    (finding,) = prove_checkpoint(open_checkpoint(tmp_path / "compiled"))
    assert finding.level == "note"
    assert "_orig_mod. of torch.compile" in finding.what


# -- memory, and the worker that core starts ------------------------------------------------------


def test_second_proof_of_the_same_headers_imports_nothing_heavy(llama: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from uploader_merged import open_checkpoint\n"
        "from uploader_merged.load_proof import prove_checkpoint\n"
        f"print(list(prove_checkpoint(open_checkpoint(Path({str(llama)!r})))))\n"
        "print('transformers' in sys.modules)\n"
    )
    list(prove_checkpoint(open_checkpoint(llama)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]


def test_memory_is_of_names_shapes_types_configuration_and_versions(sound: Subject) -> None:
    versions = {"transformers": "5.24.0"}
    digest = sound.digest(versions)
    name, (dtype, shape) = next(iter(sound.tensors.items()))
    others = [
        replace(sound, config={**sound.config, "vocab_size": 97}),
        replace(sound, tensors={**sound.tensors, name: (dtype, (*shape, 1))}),
        replace(sound, tensors={**sound.tensors, name: ("F32", shape)}),
        replace(sound, tensors={**sound.tensors, "more": (dtype, shape)}),
    ]
    assert digest not in {other.digest(versions) for other in others}
    assert digest != sound.digest({"transformers": "5.24.1"})
    assert digest == replace(sound, config={**sound.config, "_name_or_path": "x"}).digest(versions)


def test_memory_that_was_damaged_costs_a_proof(
    sound: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOADER_LOAD_PROOFS", str(tmp_path / "memory"))
    first = check.outcome_of(sound)
    (kept,) = (tmp_path / "memory").iterdir()
    assert check.outcome_of(sound) == first
    kept.write_text('{"loader": 1}')
    assert check.outcome_of(sound) == first


def test_run_is_refused_before_a_byte_is_written(
    llama: Path, tmp_path: Path, uploader: Uploader
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(llama, folder)
    tensors = {n: t for n, t in load_all(llama).items() if "layers.1.mlp" not in n}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    result = uploader(
        "run", folder, "--plugins", "merged-16bit,merged-4bit", "--output", tmp_path / "out"
    )
    assert result.returncode == 4
    said = " ".join(result.stderr.split())
    assert said.count("layer 1 has no complete mlp") == 1  # both formats, one proof
    assert not (tmp_path / "out").exists()


def test_adapter_on_a_base_that_is_not_complete(
    llama: Path, adapter: Path, tmp_path: Path, uploader: Uploader
) -> None:
    base = tmp_path / "base"
    shutil.copytree(llama, base)
    edit_json(base / "config.json", num_hidden_layers=3)
    result = uploader("plan", adapter, "--base", base, "--plugins", "merged")
    assert result.returncode == 4
    assert "config.json says 3 layers, and the files hold 2" in " ".join(result.stderr.split())
