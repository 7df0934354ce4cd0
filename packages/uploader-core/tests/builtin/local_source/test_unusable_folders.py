"""Folders that nothing can be released from yet: each is named, with the command that helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uploader_core.builtin.local_source.read import read
from uploader_core.builtin.local_source.unusable_table import TABLE
from uploader_core.contract.context import FetchedSource
from uploader_core.contract.sources import ReaderContext
from uploader_core.errors import SourceError

STATE = ("trainer_state.json", "optimizer.pt", "rng_state.pth", "training_args.bin")

# name: (files, words of the refusal, words of the advice)
LAYOUTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "fsdp-shards": (
        ("pytorch_model_fsdp_0/__0_0.distcp", "pytorch_model_fsdp_0/.metadata",
         "optimizer_0/__0_0.distcp", *STATE),
        "FSDP's shards", "accelerate merge-weights {folder}/pytorch_model_fsdp_0 {folder}-whole;",
    ),
    "fsdp-full": (
        ("pytorch_model_fsdp.bin", "optimizer.bin", *STATE),
        "full state, a pickle", "convert-pickle",
    ),
    "fsdp-ranks": (
        ("pytorch_model_fsdp_rank0.bin", "pytorch_model_fsdp_rank1.bin"),
        "one process's part", 'set_state_dict_type("FULL_STATE_DICT")',
    ),
    "deepspeed": (
        ("global_step10/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
         "global_step10/mp_rank_00_model_states.pt", "latest", "zero_to_fp32.py", "config.json",
         "tokenizer.json", *STATE),
        "DeepSpeed ZeRO", "zero_to_fp32 {folder} {folder}-whole --safe_serialization",
    ),
    "megatron": (
        ("iter_0000010/mp_rank_00/model_optim_rng.pt", "latest_checkpointed_iteration.txt"),
        "Megatron", "swift export --mcore_model {folder} --to_hf true",
    ),
    "nemo": (
        ("context/io.json", "context/model.yaml", "weights/__0_0.distcp", "weights/common.pt"),
        "NeMo", "nemo llm export path={folder} target=hf",
    ),
    "dcp": (
        ("__0_0.distcp", ".metadata"),
        "torch.distributed", "format_utils dcp_to_torch {folder} {folder}-whole.pt",
    ),
    "mlx-adapter": (
        ("adapters.safetensors", "0000100_adapters.safetensors", "adapter_config.json"),
        "an adapter of MLX",
        "mlx_lm.fuse --model org/base --adapter-path {folder} --save-path {folder}-whole "
        "--dequantize",
    ),
    "sentence-transformers": (
        ("modules.json", "config.json", "0_Transformer/config.json",
         "0_Transformer/model.safetensors", "1_Pooling/config.json"),
        "old layout", "SentenceTransformer('{folder}').save_pretrained('{folder}-whole')",
    ),
    "diffusers": (
        ("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"),
        "of diffusers", "hf upload USER/NAME {folder}",
    ),
    "original": (
        ("consolidated.00.pth", "params.json", "tokenizer.model"),
        "layout of its makers", "convert_llama_weights_to_hf",
    ),
    "gguf": (("m-Q4_K_M.gguf", "config.json"), "a finished GGUF file", "that it was made from"),
    "export": (("onnx/model.onnx", "config.json"), "for one runtime", "that it was made from"),
    "ctranslate2": (
        ("model.bin", "config.json", "vocabulary.json"), "CTranslate2", "that it was made from",
    ),
    "other-framework": (("config.json", "flax_model.msgpack"), "Flax", "from_flax=True"),
    "pickle": (("pytorch_model.bin", "tokenizer.json"), "is a pickle", "convert-pickle"),
    "adapter-without-config": (
        ("adapter_model.safetensors", "README.md"),
        "without its adapter_config.json", "copy adapter_config.json",
    ),
    "weights-without-config": (
        ("model-00001-of-00002.safetensors", "model.safetensors.index.json"),
        "without its config.json", "copy config.json",
    ),
    "other-safetensors": (("my_lora.safetensors",), "neither model.safetensors", "save_pretrained"),
    "failed-save": (("generation_config.json",), "saving it failed half-way", "save it again"),
    "archive": (("lora.zip",), "is packed", "unpack it"),
    "trainer-state": (STATE, "the state of a training", "another checkpoint"),
    "tokenizer": (("tokenizer.json", "tokenizer_config.json"), "a tokenizer", "with the weights"),
    "release": (
        ("upload_manifest.json", ".uploader/records/x.json", "lora/adapter_config.json",
         "lora/adapter_model.safetensors"),
        "a release that uploader made", "uploader verify {folder}",
    ),
}  # fmt: skip


def leave(folder: Path, name: str) -> Path:
    """Make a folder of a layout; recognising it opens nothing but an adapter's configuration."""
    for file in LAYOUTS[name][0]:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}" if path.suffix == ".json" else "x")
    if name == "mlx-adapter":
        config = {"fine_tune_type": "lora", "lora_parameters": {"rank": 8}, "model": "org/base"}
        (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def refusal(source: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(ReaderContext(reference=str(source)))
    assert "--base" not in str(caught.value.next)
    return caught.value


def test_every_line_of_the_table_is_here() -> None:
    assert {sort.name for sort in TABLE} == LAYOUTS.keys()


@pytest.mark.parametrize("name", LAYOUTS)
def test_folder_is_named_with_the_command_that_helps(name: str, tmp_path: Path) -> None:
    folder = leave(tmp_path / "x", name)
    error = refusal(folder)
    _, what, advice = LAYOUTS[name]
    assert what in error.what
    assert advice.format(folder=folder) in str(error.next)


@pytest.mark.parametrize("name", [sort.name for sort in TABLE if not sort.weak])
def test_its_parent_says_the_same_of_the_last_checkpoint(name: str, tmp_path: Path) -> None:
    for number in (5, 10):
        leave(tmp_path / "out" / f"checkpoint-{number}", name)
    for state in STATE:  # as save_state leaves it around the checkpoints
        (tmp_path / "out" / state).write_text("{}")
    error = refusal(tmp_path / "out")
    assert LAYOUTS[name][1] in error.what
    assert "checkpoint-10" in f"{error.owner} {error.next}"


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("fsdp-shards", "pytorch_model_fsdp_0"),
        ("deepspeed", "global_step10"),
        ("megatron", "iter_0000010"),
    ],
)
def test_pointing_into_it_names_the_folder_that_the_command_takes(
    name: str, inside: str, tmp_path: Path
) -> None:
    folder = leave(tmp_path / "x", name)
    assert LAYOUTS[name][2].format(folder=folder) in str(refusal(folder / inside).next)


@pytest.mark.parametrize("file", ["m-Q4_K_M.gguf", "model.nemo", "lora.zip", "last.ckpt"])
def test_single_file_is_named_as_well(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("x")
    assert file in refusal(tmp_path / file).what


def test_paths_are_quoted_as_a_shell_takes_them(tmp_path: Path) -> None:
    folder = leave(tmp_path / "it's here", "dcp")
    assert f"dcp_to_torch '{tmp_path}/it'\"'\"'s here'" in str(refusal(folder).next)


def test_what_can_be_released_goes_before_what_cannot(tmp_path: Path) -> None:
    leave(tmp_path / "out" / "checkpoint-20", "fsdp-shards")
    usable = tmp_path / "out" / "checkpoint-10"
    usable.mkdir()
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (usable / file).write_text("{}")
    assert refusal(tmp_path / "out").next == f"uploader run {usable}"


def test_full_model_inside_is_named(tmp_path: Path) -> None:
    model = tmp_path / "out" / "model"
    model.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (model / file).write_text("{}")
    assert refusal(tmp_path / "out").next == f"uploader run {model}"


def test_empty_folder_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert "is empty" in refusal(tmp_path / "runs").what
    (tmp_path / "README.md").write_text("x")
    assert "holds neither an adapter" in refusal(tmp_path).what


def test_base_that_is_none_yet_is_named_when_a_format_needs_it(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    (adapter / "adapter_model.safetensors").write_text("")
    base = leave(tmp_path / "base", "deepspeed")
    missing = read(ReaderContext(reference=str(adapter), base=str(base))).missing["base"]
    assert "DeepSpeed ZeRO" in missing.what


@pytest.mark.parametrize("name", ["gguf", "pickle", "fsdp-full", "other-framework"])
def test_what_lies_elsewhere_is_named_by_what_was_not_fetched(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    others = tuple(file for file in LAYOUTS[name][0] if not (tmp_path / file).exists())
    fetched = FetchedSource(path=tmp_path, model_id="me/m", revision="c", unfetched=others)
    with pytest.raises(SourceError) as caught:
        read(ReaderContext(reference="me/m", fetch=lambda *_: fetched))
    assert LAYOUTS[name][1] in caught.value.what
    assert caught.value.owner == "the files of me/m"
    assert str(tmp_path) not in f"{caught.value.what} {caught.value.next}"
