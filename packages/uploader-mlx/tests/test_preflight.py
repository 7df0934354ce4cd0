"""What mlx-lm would lose or take for something else is refused before the first byte."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from compressed_models import save, train
from mlx_tools import convert, findings, load_all, make
from saved_models import rewritten
from uploader_core.plugin import PluginError, SourceError, UsageError
from uploader_mlx.kinds import SIXTEEN


def configured(base: Path, folder: Path, **change: object) -> Path:
    shutil.copytree(base, folder)
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **change}), "utf-8")
    return folder


def test_a_sound_model_has_nothing_to_say(llama: Path) -> None:
    assert findings(llama, "4bit") == {"error": [], "warning": [], "note": []}


def test_columns_that_no_group_divides(tmp_path: Path) -> None:
    """mlx_lm.convert leaves such layers in 16 bits, and its config says 4."""
    import transformers as t

    from compressed_models import SMALL
    from compressed_words import put_tokenizer

    config = t.LlamaConfig(**{**SMALL, "intermediate_size": 96}, tie_word_embeddings=False)
    base = tmp_path / "base"
    t.AutoModelForCausalLM.from_config(config).bfloat16().save_pretrained(base)
    put_tokenizer(base)
    (error,) = findings(base, "4bit")["error"]
    assert "64 columns" in error.what
    assert "model.layers.0.mlp.down_proj (128 x 96)" in error.what
    assert error.next is not None
    assert "--mlx-group-size 32" in error.next
    assert not findings(base, "4bit", group_size=32)["error"]
    assert not findings(base, "4bit", overrides=(".*down_proj=16bit",))["error"]
    theirs = load_all(convert(base, tmp_path / "theirs", "4bit"))
    assert "model.layers.0.mlp.down_proj.scales" not in theirs


def test_an_architecture_that_mlx_lm_does_not_know(llama: Path, tmp_path: Path) -> None:
    base = configured(llama, tmp_path / "base", model_type="qwen33")
    with pytest.raises(SourceError, match=r"no code for .* qwen33; near ones are qwen3"):
        findings(base, "4bit")
    other = configured(llama, tmp_path / "other", model_type="bert")
    with pytest.raises(SourceError, match="the architecture bert$"):  # 'dbrx' is not near
        findings(other, "4bit")


def test_a_tensor_that_mlx_lm_has_no_place_for(llama: Path, tmp_path: Path) -> None:
    extra = {"model.layers.0.mlp.extra.weight": torch.zeros(8, 128).bfloat16()}
    base = rewritten(llama, tmp_path / "base", extra)
    with pytest.raises(SourceError, match=r"no place for model\.layers\.0\.mlp\.extra\.weight"):
        findings(base, SIXTEEN)


def test_a_head_under_a_flag_that_says_tied_is_kept(llama: Path, tmp_path: Path) -> None:
    base = configured(llama, tmp_path / "base", tie_word_embeddings=True)
    assert "lm_head.weight" not in load_all(convert(base, tmp_path / "theirs", SIXTEEN))
    make(tmp_path, base, None, SIXTEEN)
    assert "lm_head.weight" in load_all(tmp_path / SIXTEEN)
    config = json.loads((tmp_path / SIXTEEN / "config.json").read_text("utf-8"))
    assert config["tie_word_embeddings"] is False


def test_a_tower_for_images_stays_behind_with_a_warning(tmp_path: Path) -> None:
    base = save("qwen2-vl", tmp_path / "base")
    (warning, _) = findings(base, "4bit")["warning"]
    assert "the language model alone" in warning.what
    assert "visual." in warning.what


def test_a_tower_that_was_trained_is_not_left_behind(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    from compressed_models import model_class

    base = save("qwen2-vl", tmp_path / "base")
    model = model_class("qwen2-vl").from_pretrained(base, dtype="auto")
    model = get_peft_model(model, LoraConfig(r=2, target_modules=r".*visual.*qkv"))
    model.save_pretrained(tmp_path / "adapter")
    (error,) = findings(base, "4bit", tmp_path / "adapter")["error"]
    assert "leaves out visual.blocks.0.attn.qkv.weight, which would be lost" in error.what


def test_a_base_that_is_quantised_already(llama: Path, tmp_path: Path) -> None:
    config = {"quantization_config": {"quant_method": "hqq"}}
    with pytest.raises(SourceError, match="quantised"):
        findings(configured(llama, tmp_path / "base", **config), "4bit")


def test_a_weight_that_is_not_finite(llama: Path, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    broken = load_file(llama / "model.safetensors")[name]
    broken[7, 7] = float("inf")
    base = rewritten(llama, tmp_path / "broken", {name: broken})
    with pytest.raises(SourceError, match=rf"{name} holds NaN or infinity"):
        make(tmp_path, base, None, SIXTEEN, "4bit")
    assert not list(tmp_path.glob("*bit/*.safetensors"))


def test_a_weight_that_nvfp4_does_not_hold(llama: Path, tmp_path: Path) -> None:
    """mlx stores 2688 in its place."""
    name = "model.layers.1.mlp.up_proj.weight"
    large = load_file(llama / "model.safetensors")[name]
    large[7, 7] = -3000
    base = rewritten(llama, tmp_path / "large", {name: large})
    with pytest.raises(SourceError, match=rf"{name} holds 3008, and nvfp4 nothing above 2688"):
        make(tmp_path, base, None, "nvfp4")
    make(tmp_path, base, None, "mxfp4")


@pytest.mark.parametrize("wrong", ["lm_head", "lm_head=7bit", "(=4bit", "nothing=4bit"])
def test_an_override_that_is_none(llama: Path, wrong: str) -> None:
    with pytest.raises(UsageError, match="--mlx-overrides"):
        findings(llama, "4bit", overrides=(wrong,))


def test_overrides_are_said_in_the_configuration(llama: Path, tmp_path: Path) -> None:
    from mlx_lm.utils import load_model

    chosen = (r".*down_proj=8bit", r"lm_head=16bit", r".*v_proj=mxfp4")
    make(tmp_path, llama, None, "3bit", overrides=chosen)
    config = json.loads((tmp_path / "3bit" / "config.json").read_text("utf-8"))
    said = config["quantization"]["model.layers.0.mlp.down_proj"]
    assert said == {"group_size": 64, "bits": 8, "mode": "affine"}
    model, _ = load_model(tmp_path / "3bit")
    layer = model.model.layers[0]
    assert (layer.mlp.down_proj.bits, layer.self_attn.v_proj.mode) == (8, "mxfp4")
    assert not hasattr(model.lm_head, "scales")


def test_a_machine_without_mlx_is_told(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mlx" else found(name)
    )
    with pytest.raises(PluginError, match="mlx is not installed") as refused:
        findings(llama, "4bit")
    assert "not there for Windows" in str(refused.value.next)


def test_experts_of_an_adapter_are_stacked_merged(tmp_path: Path) -> None:
    base = save("mixtral", tmp_path / "base")
    adapter = train("mixtral", base, tmp_path / "adapter")
    assert not findings(base, "4bit", adapter)["error"]
