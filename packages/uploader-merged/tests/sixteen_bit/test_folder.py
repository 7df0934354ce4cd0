"""The folder that is written: shards, index, configuration, companions, resume."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from json_files import edit_json
from merged_tools import Merge, save_llama
from saved_models import load_all, same_bits
from uploader_core.plugin import Size, SourceError, UsageError
from uploader_merged.preflight import check, estimate


def digests(merge: Merge) -> dict[str, bytes]:
    folder = merge.root / "merged-16bit"
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_shards_and_index(llama: Path, adapter: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    whole = Merge(tmp_path / "whole")(llama, adapter)
    parts = Merge(tmp_path / "parts")(llama, adapter, shard_size=Size("30KB"))
    files = sorted(p.name for p in parts.path.glob("*.safetensors"))
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((parts.path / "model.safetensors.index.json").read_text())
    tensors = load_all(parts.path)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors.values())
    assert index["weight_map"].keys() == tensors.keys()
    assert not (whole.path / "model.safetensors.index.json").exists()
    for name, tensor in load_all(whole.path).items():
        assert same_bits(tensors[name], tensor)
    loaded = AutoModelForCausalLM.from_pretrained(parts.path, dtype="auto").state_dict()
    assert all(same_bits(loaded[name], tensor) for name, tensor in tensors.items())


def test_sharded_base(tmp_path: Path, adapter: Path, llama: Path) -> None:
    base = save_llama(tmp_path / "base", shards="40KB")
    assert (base / "model.safetensors.index.json").exists()
    made = Merge(tmp_path / "a")(base, adapter)
    reference = Merge(tmp_path / "b")(llama, adapter)
    ours, theirs = load_all(made.path), load_all(reference.path)
    assert ours.keys() == theirs.keys()
    assert all(same_bits(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("settings", [{}, {"shard_size": Size("30KB")}, {"dtype": "float32"}])
def test_estimate_is_exact(
    settings: dict[str, str], llama: Path, adapter: Path, merge: Merge
) -> None:
    guess = estimate(merge.plan(llama, adapter, **settings))
    made = merge(llama, adapter, **settings)
    assert guess.exact
    assert guess.bytes_written == made.size
    assert dict(guess.files) == {file.name: file.size for file in made.files}


def test_wide_types_come_first_so_that_everything_is_aligned(
    llama: Path, adapter: Path, tmp_path: Path, merge: Merge
) -> None:
    from safetensors.torch import save_file

    base = tmp_path / "base"
    base.mkdir()
    tensors = load_all(llama)
    tensors["model.norm.weight"] = tensors["model.norm.weight"].float()
    tensors["model.layers.0.self_attn.odd"] = torch.ones(3, dtype=torch.uint8)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    (base / "config.json").write_bytes((llama / "config.json").read_bytes())
    made = merge(base, adapter, dtype="float16")
    content = (made.path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    for name, entry in header.items():
        if name != "__metadata__":
            width = {"F32": 4, "F16": 2, "U8": 1}[entry["dtype"]]
            assert entry["data_offsets"][0] % width == 0
    merged = load_all(made.path)
    assert merged["model.norm.weight"].dtype == torch.float32
    assert merged["lm_head.weight"].dtype == torch.float16


def test_type_is_reached_without_a_detour(llama: Path, adapter: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    made = Merge(tmp_path)(llama, adapter, dtype="float16")
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload().state_dict()
    ours = load_all(made.path)
    assert all(same_bits(ours[name], tensor.half()) for name, tensor in merged.items())
    config = json.loads((made.path / "config.json").read_text())
    assert config["dtype"] == "float16"


def test_interrupted_after_a_shard_goes_on_with_the_next(
    llama: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One after the other; all at once, more than half of every shard is there, and no whole one.
    monkeypatch.setattr("uploader_merged.sixteen_bit.side_by_side.processors", lambda: 1)
    calm = Merge(tmp_path / "calm")
    calm(llama, adapter, shard_size=Size("30KB"))
    merge = Merge(tmp_path / "rough")

    class Stop(Exception):
        pass

    def stop_late(what: str, done: int, total: int | None, unit: str) -> None:
        if total is not None and done > total * 0.6:
            raise Stop

    with pytest.raises(Stop):
        merge(llama, adapter, shard_size=Size("30KB"), on_progress=stop_late)
    folder = merge.root / "merged-16bit"
    kept = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.safetensors")}
    assert kept
    merge(llama, adapter, shard_size=Size("30KB"))
    assert digests(merge) == digests(calm)
    assert all((folder / name).stat().st_mtime_ns == when for name, when in kept.items())


def test_same_bytes_every_time(llama: Path, adapter: Path, tmp_path: Path) -> None:
    first, second = Merge(tmp_path / "1"), Merge(tmp_path / "2")
    first(llama, adapter)
    second(llama, adapter)
    assert digests(first) == digests(second)


def test_full_model_without_adapter(llama: Path, merge: Merge) -> None:
    made = merge(llama, None)
    ours, theirs = load_all(made.path), load_all(llama)
    assert ours.keys() == theirs.keys()
    assert all(same_bits(ours[name], theirs[name]) for name in ours)


def write_tokenizer(folder: Path, extra: str = "", template: bool = False) -> None:
    vocabulary = {"a": 0, "b": 1, **({extra: 2} if extra else {})}
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps({"model": model}))
    config = {"chat_template": "x"} if template else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def copied(base: Path, folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(base, folder))


def test_tokenizer_of_the_fine_tune_goes_first_and_the_base_completes_it(
    llama: Path, adapter: Path, tmp_path: Path, merge: Merge
) -> None:
    base, mine = copied(llama, tmp_path / "base"), copied(adapter, tmp_path / "mine")
    write_tokenizer(base)
    write_tokenizer(mine)
    for name in ("tokenizer.model", "vocab.json", "special_tokens_map.json", "LICENSE"):
        (base / name).write_bytes(f"base {name}".encode())
    (base / "chat_template.jinja").write_text("base template")
    (mine / "generation_config.json").write_text('{"mine": 1}')
    made = merge(base, mine)
    assert (made.path / "tokenizer.json").read_bytes() == (mine / "tokenizer.json").read_bytes()
    assert (made.path / "generation_config.json").read_text() == '{"mine": 1}'
    assert (made.path / "tokenizer.model").read_text() == "base tokenizer.model"
    assert (made.path / "chat_template.jinja").read_text() == "base template"
    # The fine-tune's tokenizer_config.json says what this file says, perhaps differently.
    assert not (made.path / "special_tokens_map.json").exists()
    (note,) = [f for f in check(merge.plan(base, mine)) if "taken from" in f.what]
    assert "tokenizer.model" in note.what
    assert "LICENSE" in made.metadata["from_base"]


def test_new_vocabulary_is_not_mixed_with_the_base_s(
    llama: Path, adapter: Path, tmp_path: Path, merge: Merge
) -> None:
    base, mine = copied(llama, tmp_path / "base"), copied(adapter, tmp_path / "mine")
    write_tokenizer(base)
    write_tokenizer(mine, extra="c", template=True)
    (base / "tokenizer.model").write_bytes(b"base")
    (base / "chat_template.jinja").write_text("base template")
    made = merge(base, mine)
    assert not (made.path / "tokenizer.model").exists()
    assert not (made.path / "chat_template.jinja").exists()


def test_part_that_no_index_names(llama: Path, adapter: Path, tmp_path: Path, merge: Merge) -> None:
    """Trained weights of a full model, or beside an adapter; a base may hold what it likes."""
    full, tuned = tmp_path / "full", tmp_path / "tuned"
    shutil.copytree(llama, full)
    shutil.copytree(adapter, tuned)
    assert not [f for f in check(merge.plan(full, tuned)) if f.level == "error"]
    for folder in (full, tuned):
        (folder / "value_head.safetensors").write_bytes(b"x")
    (full / "pytorch_model.bin").write_bytes(b"the same once more")
    for source in ((full, None), (llama, tuned)):
        (error,) = [f for f in check(merge.plan(*source)) if f.level == "error"]
        assert error.what.startswith("value_head.safetensors may be")
    assert not [f for f in check(merge.plan(full, adapter)) if f.level == "error"]


def test_older_shards_that_their_index_names_are_missed_by_nobody(
    llama: Path, tmp_path: Path, merge: Merge
) -> None:
    full = save_llama(tmp_path / "full", shards="40KB")
    shutil.copyfile(llama / "model.safetensors", full / "model.safetensors")
    assert not [f for f in check(merge.plan(full, None)) if f.level == "error"]
    (full / "model.safetensors.index.json").unlink()
    (error,) = [f for f in check(merge.plan(full, None)) if f.level == "error"]
    assert "model-00001-of-" in error.what


def test_missing_tokenizer_is_said(llama: Path, adapter: Path, merge: Merge) -> None:
    assert any("tokenizer" in f.what for f in check(merge.plan(llama, adapter)))


def test_float32_base_is_said(tmp_path: Path, adapter: Path, merge: Merge) -> None:
    from transformers import AutoModelForCausalLM

    base = tmp_path / "base"
    model = AutoModelForCausalLM.from_pretrained(save_llama(tmp_path / "half"))
    model.float().save_pretrained(base)
    assert any("float32" in f.what for f in check(merge.plan(base, adapter)))


@pytest.mark.parametrize("text", ["3", "0GB"])
def test_a_shard_that_holds_nothing_is_refused(
    text: str, llama: Path, adapter: Path, merge: Merge
) -> None:
    with pytest.raises(UsageError, match="no size for a weight file"):
        merge(llama, adapter, shard_size=Size(text))


def test_trained_adapter_is_not_changed_by_reading(
    llama: Path, adapter: Path, merge: Merge
) -> None:
    before = {p: p.stat().st_mtime_ns for f in (llama, adapter) for p in f.iterdir()}
    merge(llama, adapter)
    assert before == {p: p.stat().st_mtime_ns for f in (llama, adapter) for p in f.iterdir()}


def test_paths_of_this_machine_are_not_published(tmp_path: Path, merge: Merge) -> None:
    base = save_llama(tmp_path / "base")
    edit_json(base / "config.json", _name_or_path="/home/me/secret-project/base", note="kept")
    tokenizer = {"name_or_path": "meta-llama/Llama-2-7b", "special_tokens_map_file": "/root/x.json"}
    (base / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    merged = merge(base, None).path
    config = json.loads((merged / "config.json").read_text())
    assert ("_name_or_path" in config, config["note"]) == (False, "kept")
    left = json.loads((merged / "tokenizer_config.json").read_text())
    assert left == {"name_or_path": "meta-llama/Llama-2-7b"}


@pytest.mark.parametrize(
    ("said", "stored", "written"),
    [
        ("float16", torch.bfloat16, "bfloat16"),
        ("float16", torch.float32, "float16"),
        ("bfloat16", torch.float32, "bfloat16"),
        ("float16", torch.float16, "float16"),
    ],
)
def test_type_that_does_not_hold_the_weights(
    said: str, stored: torch.dtype, written: str, llama: Path, tmp_path: Path, merge: Merge
) -> None:
    """A weight of 1e5 is infinite in float16, and transformers loads in the type that it reads."""
    folder = Path(shutil.copytree(llama, tmp_path / "model"))
    tensors = {name: tensor.to(stored) for name, tensor in load_all(llama).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    # transformers 5 writes dtype, and 4 torch_dtype.
    edit_json(folder / "config.json", dtype=said, torch_dtype=said)
    made = merge(folder, None)
    assert json.loads((made.path / "config.json").read_text("utf-8"))["dtype"] == written
    notes = [f for f in check(merge.plan(folder, None)) if "float16 does not hold" in f.what]
    assert len(notes) == (said != written)


def test_shards_side_by_side_are_those_of_one_after_the_other(
    llama: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for cores in (1, 8):
        monkeypatch.setattr(
            "uploader_merged.sixteen_bit.side_by_side.processors", lambda n=cores: n
        )
        merge = Merge(tmp_path / str(cores))
        merge(llama, adapter, shard_size=Size("30KB"))
        made.append(digests(merge))
    assert made[0] == made[1]


def test_shard_that_fails_stops_those_beside_it(
    llama: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader_merged.sixteen_bit.side_by_side.processors", lambda: 8)
    base = Path(shutil.copytree(llama, tmp_path / "base"))
    tensors = load_all(llama)
    tensors["model.layers.0.self_attn.q_proj.weight"][3, 5] = float("nan")
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    merge = Merge(tmp_path / "release")
    with pytest.raises(SourceError, match="q_proj.weight would hold NaN or infinity"):
        merge(base, adapter, shard_size=Size("30KB"))
    assert not list(merge.root.rglob("*.partial"))


def test_shards_side_by_side_are_in_the_estimate_of_memory(
    llama: Path, adapter: Path, merge: Merge, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = []
    for cores in (1, 8):
        monkeypatch.setattr(
            "uploader_merged.sixteen_bit.side_by_side.processors", lambda n=cores: n
        )
        plan = merge.plan(llama, adapter, shard_size=Size("30KB"))
        peaks.append(estimate(plan).peak_memory)
    assert peaks[1] > peaks[0]


def test_full_fine_tune_that_diverged(llama: Path, tmp_path: Path, merge: Merge) -> None:
    base = copied(llama, tmp_path / "base")
    tensors = load_all(base)
    name = "model.layers.1.mlp.down_proj.weight"
    tensors[name][3, 3] = float("nan")
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(SourceError, match=f"{name} holds NaN"):
        merge(base, None)
