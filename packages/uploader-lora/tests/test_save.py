"""The ``lora`` artifact: the allowed files, byte for byte."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from json_files import edit_json
from lora_tools import plan_context, save_adapter, step_context
from uploader_core.plugin import SourceError
from uploader_lora import read_adapter
from uploader_lora.card import section
from uploader_lora.save import check, estimate, save
from uploader_lora.task import Task
from uploader_lora.where_it_runs import Described, of_adapter, recorded

STAYS_BEHIND = [
    "README.md",
    "adapter_model.bin",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "training_args.bin",
    "train_data_samples.json",
    ".env",
    "events.out.tfevents.1",
    "modeling_custom.py",
    "LICENSE.py",
    "tokenizer.pkl",
]
GOES = {
    "tokenizer.json": "tokenizer",
    "tokenizer.model": "tokenizer",
    "tokenizer_config.json": "tokenizer",
    "special_tokens_map.json": "tokenizer",
    "added_tokens.json": "tokenizer",
    "vocab.json": "tokenizer",
    "merges.txt": "tokenizer",
    "chat_template.jinja": "template",
    "additional_chat_templates/rag.jinja": "template",
    "preprocessor_config.json": "config",
    "processor_config.json": "config",
    "LICENSE": "licence",
    "NOTICE.txt": "licence",
}


def fill(folder: Path) -> None:
    for name in [*STAYS_BEHIND, *GOES]:
        (folder / name).parent.mkdir(exist_ok=True)
        content = json.dumps({"name": name}) if name.endswith(".json") else name
        (folder / name).write_text(content, "utf-8")
    (folder / "checkpoint-100").mkdir()
    (folder / "checkpoint-100" / "adapter_config.json").write_text("{}")


def test_dirty_folder_leaves_only_what_belongs_to_the_adapter(
    adapter: Path, tmp_path: Path
) -> None:
    fill(adapter)
    made = save(step_context(adapter, tmp_path / "release"))
    weights = {"adapter_config.json": "config", "adapter_model.safetensors": "weights"}
    assert {file.name: file.role for file in made.files} == {**GOES, **weights}
    for file in made.files:
        content = (adapter / file.name).read_bytes()
        assert (made.path / file.name).read_bytes() == content
        assert file.sha256 == hashlib.sha256(content).hexdigest()
    written = {p.relative_to(made.path).as_posix() for p in made.path.rglob("*") if p.is_file()}
    assert written == {file.name for file in made.files}


def test_estimate_is_exact(adapter: Path, tmp_path: Path) -> None:
    fill(adapter)
    made = save(step_context(adapter, tmp_path / "release"))
    guess = estimate(plan_context(adapter))
    assert guess.exact
    assert guess.bytes_written == made.size
    assert dict(guess.files) == {file.name: file.size for file in made.files}


def test_link_out_of_the_folder_is_refused(adapter: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (adapter / "tokenizer.json").symlink_to(secret)
    with pytest.raises(SourceError, match="tokenizer.json is a link"):
        save(step_context(adapter, tmp_path / "release"))
    with pytest.raises(SourceError, match="tokenizer.json is a link"):
        list(check(plan_context(adapter)))


def test_snapshot_of_the_hub_cache_is_read_through_its_links(tmp_path: Path) -> None:
    real = save_adapter(tmp_path / "real", target_modules=["q_proj"])
    blobs = tmp_path / "models--me--x" / "blobs"
    snapshot = tmp_path / "models--me--x" / "snapshots" / "0123"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (real / name).rename(blobs / name)
        (snapshot / name).symlink_to(Path("../../blobs") / name)
    made = save(step_context(snapshot, tmp_path / "release"))
    assert len(made.files) == 2
    assert not any((made.path / f.name).is_symlink() for f in made.files)


def test_sharded_adapter(tmp_path: Path) -> None:
    import json

    from safetensors.torch import load_file, save_file

    folder = save_adapter(tmp_path / "a", target_modules=["q_proj"])
    tensors = load_file(folder / "adapter_model.safetensors")
    (folder / "adapter_model.safetensors").unlink()
    weight_map = {}
    for n, (name, tensor) in enumerate(tensors.items()):
        file = f"adapter_model-{n % 2}.safetensors"
        weight_map[name] = file
        part = {k: v for k, v in tensors.items() if weight_map.get(k) == file}
        save_file({**part, name: tensor}, folder / file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "adapter_model.safetensors.index.json").write_text(json.dumps(index))
    made = save(step_context(folder, tmp_path / "release"))
    assert {f.name for f in made.files if f.role == "weights"} == set(weight_map.values())


def test_whole_module_that_is_not_stored(adapter: Path, tmp_path: Path) -> None:
    """Right where the base has no such module; without the base at hand it is said."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, num_hidden_layers=1, **sizes))
    model.save_pretrained(tmp_path / "base")
    here = {"base": tmp_path / "base"}
    edit_json(adapter / "adapter_config.json", modules_to_save=["wte"])
    finding, *_ = check(plan_context(adapter))
    assert finding.level == "warning"
    assert "'wte'" in finding.what
    served, *others = check(replace(plan_context(adapter), sources=here))
    assert served.what.endswith("will not load lora: it has modules that are stored whole (wte)")
    assert not others
    edit_json(adapter / "adapter_config.json", modules_to_save=["norm"])
    finding, *_ = check(replace(plan_context(adapter), sources=here))
    assert finding.level == "error"
    assert "input_layernorm" in finding.what


def test_local_base_path_is_said(adapter: Path, tmp_path: Path) -> None:
    assert not list(check(plan_context(adapter)))
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="/home/me/models/base")
    (finding,) = check(plan_context(adapter))
    assert finding.level == "warning"
    assert "/home/me/models/base" in finding.what
    made = save(step_context(adapter, tmp_path / "release"))
    assert made.metadata["base_is_local_path"] is True
    assert made.metadata["base_model"] is None


def test_public_name_takes_the_place_of_a_path(adapter: Path, tmp_path: Path) -> None:
    """As with ``--base someone/tiny``: a path of one machine loads nowhere else."""
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="/home/me/base")
    public = {"base_model": "someone/tiny", "base_is_hub_id": True}
    made = save(step_context(adapter, tmp_path / "release", **public))
    before = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    written = json.loads((made.path / "adapter_config.json").read_text("utf-8"))
    assert written == {**before, "base_model_name_or_path": "someone/tiny"}
    context = plan_context(adapter)
    context = replace(context, release=replace(context.release, **public))
    assert [finding.level for finding in check(context)] == ["note"]
    assert estimate(context).bytes_written == made.size


def test_card_names_a_public_base_only(adapter: Path, tmp_path: Path) -> None:
    public = step_context(adapter, tmp_path, base_model="someone/tiny", base_is_hub_id=True)
    assert "someone/tiny" in section(public)
    private = step_context(adapter, tmp_path, base_model="/home/me/base", base_is_hub_id=False)
    assert "/home/me" not in section(private)


def test_card_serves_the_adapter_with_the_option_that_it_needs(
    adapter: Path, tmp_path: Path
) -> None:
    context = step_context(adapter, tmp_path / "out", base_model="a/tiny", base_is_hub_id=True)
    made = save(context)
    wide = replace(read_adapter(adapter), config=replace(read_adapter(adapter).config, r=20))
    needed = recorded(of_adapter(wide, Described()), Task.of(made.metadata))
    for metadata, option in ((made.metadata, ""), (needed, " --max-lora-rank 32")):
        artifact = replace(made, metadata={**made.metadata, **metadata})
        text = section(replace(context, inputs=(artifact,)))
        assert f"vllm serve a/tiny --enable-lora{option} --lora-modules " in text
        assert "| vLLM 0." in text


def test_names_that_peft_does_not_find_are_mended_as_the_error_says(adapter: Path) -> None:
    """PEFT loads such a file without any of its tensors, and says so in one warning."""
    import shlex
    import subprocess
    import sys

    from safetensors.torch import load_file, save_file

    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({f"_orig_mod.{name}": value for name, value in tensors.items()}, file)
    found = [f for f in check(plan_context(adapter)) if f.level == "error"]
    assert "_orig_mod. of torch.compile" in found[0].what
    command = shlex.split(str(found[0].next).partition("; or release")[0])
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert load_file(file).keys() == tensors.keys()
    assert not [f for f in check(plan_context(adapter)) if f.level == "error"]
