"""A hostile set: every damaged or lying file stops the merge in words, at once, with no output."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from json_files import edit_json
from merged_tools import Merge, save_llama
from quickness import at_best
from uploader_core.plugin import UploaderError
from uploader_merged.preflight import check

WEIGHTS = {"adapter": "adapter_model.safetensors", "base": "model-00001-of-00002.safetensors"}
CONFIG = {"adapter": "adapter_config.json", "base": "config.json"}
INDEX = "model.safetensors.index.json"
Damage = Callable[[Path], object]


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("sharded"), shards="60KB")


@pytest.fixture
def base(sharded: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(sharded, tmp_path / "base"))
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    for old in shards:
        number = old.name.split("-")[1]
        old.rename(folder / f"model-{number}-of-00002.safetensors")
    index = json.loads((folder / INDEX).read_text())
    for name, file in index["weight_map"].items():
        index["weight_map"][name] = f"model-{file.split('-')[1]}-of-00002.safetensors"
    (folder / INDEX).write_text(json.dumps(index))
    return folder


@pytest.fixture
def mine(adapter: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(adapter, tmp_path / "mine"))


# -- damage to any safetensors file ------------------------------------------------------------


def cut(keep: Callable[[int], int]) -> Damage:
    def damage(file: Path) -> None:
        content = file.read_bytes()
        file.write_bytes(content[: keep(len(content))])

    return damage


def header(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(file: Path) -> None:
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        table = json.loads(content[8 : 8 + length])
        changed = change(table)
        text = changed if isinstance(changed, bytes) else json.dumps(table).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return damage


def first(table: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = table[next(name for name in table if name != "__metadata__")]
    return entry


def shift(by: int) -> Callable[[dict[str, Any]], object]:
    def change(table: dict[str, Any]) -> None:
        entry = first(table)
        entry["data_offsets"] = [offset + by for offset in entry["data_offsets"]]

    return change


def twice(table: dict[str, Any]) -> bytes:
    name = next(n for n in table if n != "__metadata__")
    text = json.dumps(table)
    return (text[:-1] + f', "{name}": {json.dumps(table[name])}}}').encode()


FILES: dict[str, Damage] = {
    "empty": cut(lambda size: 0),
    "four bytes": cut(lambda size: 4),
    "only the length": cut(lambda size: 8),
    "half a header": cut(lambda size: 200),
    "half the data": cut(lambda size: size // 2),
    "a byte missing": cut(lambda size: size - 1),
    "bytes added": lambda file: file.write_bytes(file.read_bytes() + b"PK\x05\x06"),
    "a zip": lambda file: file.write_bytes(b"PK\x03\x04" + bytes(500)),
    "a pickle": lambda file: file.write_bytes(b"\x80\x04\x95" + bytes(500)),
    "HTML of a login page": lambda file: file.write_text("<!doctype html><title>Sign in</title>"),
    "a Git LFS pointer": lambda file: file.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
    ),
    "a header of an exabyte": lambda file: file.write_bytes(struct.pack("<Q", 1 << 60) + bytes(99)),
    "a tensor before the data": header(shift(-64)),
    "a tensor on another one": header(shift(64)),
    "a tensor twice": header(twice),
    "more rows than there are": header(lambda table: first(table)["shape"].insert(0, 7)),
    "a type that is none": header(lambda table: first(table).update(dtype="BF17")),
    "a type of another width": header(lambda table: first(table).update(dtype="F64")),
    "a negative axis": header(lambda table: first(table).update(shape=[-1, -1])),
    "an entry without offsets": header(lambda table: first(table).pop("data_offsets")),
    "JSON that stops": header(lambda table: json.dumps(table).encode()[:-40]),
}

# -- damage to the meaning ---------------------------------------------------------------------


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        file = folder / WEIGHTS["adapter"]
        content = load_file(file)
        change(content)
        save_file({n: t.contiguous() for n, t in content.items()}, file)

    return damage


def one(part: str) -> str:
    return f"base_model.model.model.layers.0.self_attn.q_proj.{part}.weight"


def put(part: str, value: float) -> Damage:
    return tensors(lambda content: content[one(part)].view(-1)[3].fill_(value))


def swap(content: dict[str, torch.Tensor]) -> None:
    content[one("lora_A")] = content[one("lora_A")].T


def only_pickle(folder: Path, weights: str, pickle: str) -> None:
    (folder / weights).unlink()
    (folder / pickle).write_bytes(b"\x80\x04.")


ADAPTER: dict[str, Damage] = {
    "NaN in A": put("lora_A", float("nan")),
    "infinity in B": put("lora_B", float("inf")),
    "a B without its A": tensors(lambda content: content.pop(one("lora_A"))),
    "an A without its B": tensors(lambda content: content.pop(one("lora_B"))),
    "an A turned round": tensors(swap),
    "rows of B missing": tensors(
        lambda content: content.update({one("lora_B"): content[one("lora_B")][:-1]})
    ),
    "columns of A missing": tensors(
        lambda content: content.update({one("lora_A"): content[one("lora_A")][:, :-1]})
    ),
    "whole numbers": tensors(
        lambda content: content.update({one("lora_A"): content[one("lora_A")].to(torch.int32)})
    ),
    "no rank": tensors(lambda content: content.update({one("lora_A"): content[one("lora_A")][:0]})),
    "a key of nobody": tensors(lambda content: content.update({"surprise": torch.zeros(2)})),
    "a layer that is not there": tensors(
        lambda content: content.update(
            {one(p).replace(".0.", ".9."): content[one(p)].clone() for p in ("lora_A", "lora_B")}
        )
    ),
    "another rank than it says": lambda folder: edit_json(folder / CONFIG["adapter"], r=16),
    "a rank of zero": lambda folder: edit_json(folder / CONFIG["adapter"], r=0),
    "a rank as text": lambda folder: edit_json(folder / CONFIG["adapter"], r="8"),
    "a pattern of another rank": lambda folder: edit_json(
        folder / CONFIG["adapter"], rank_pattern={"q_proj": 4}
    ),
    "a pattern that is no expression": lambda folder: edit_json(
        folder / CONFIG["adapter"], rank_pattern={"(": 4}
    ),
    "an alpha that is NaN": lambda folder: edit_json(
        folder / CONFIG["adapter"], lora_alpha=float("nan")
    ),
    "DoRA without magnitudes": lambda folder: edit_json(folder / CONFIG["adapter"], use_dora=True),
    "another method": lambda folder: edit_json(folder / CONFIG["adapter"], peft_type="IA3"),
    "an activated LoRA": lambda folder: edit_json(
        folder / CONFIG["adapter"], alora_invocation_tokens=[1]
    ),
    "a flag from the future": lambda folder: edit_json(
        folder / CONFIG["adapter"], use_tomorrow=True
    ),
    "a configuration that is a list": lambda folder: (folder / CONFIG["adapter"]).write_text("[]"),
    "half a configuration": lambda folder: (folder / CONFIG["adapter"]).write_text('{"r": 8,'),
    "no configuration": lambda folder: (folder / CONFIG["adapter"]).unlink(),
    "no weights": lambda folder: (folder / WEIGHTS["adapter"]).unlink(),
    "only a pickle": lambda folder: only_pickle(folder, WEIGHTS["adapter"], "adapter_model.bin"),
}


def reindex(**changes: Any) -> Damage:
    def damage(folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text())
        index["weight_map"] |= changes
        (folder / INDEX).write_text(json.dumps(index))

    return damage


NAME = "model.embed_tokens.weight"
BASE: dict[str, Damage] = {
    "a shard missing": lambda folder: (folder / WEIGHTS["base"]).unlink(),
    "an index that leads outside": reindex(**{NAME: "../outside.safetensors"}),
    "an index to an absolute path": reindex(**{NAME: "/etc/passwd"}),
    "an index to a folder": reindex(**{NAME: "."}),
    "an index to a number": reindex(**{NAME: 7}),
    "an index to another shard": reindex(**{NAME: "model-00003-of-00002.safetensors"}),
    "a tensor that no shard has": reindex(surprise=WEIGHTS["base"]),
    "an index that is a list": lambda folder: (folder / INDEX).write_text("[]"),
    "half an index": lambda folder: (folder / INDEX).write_text('{"weight_map": {'),
    "an index without a map": lambda folder: (folder / INDEX).write_text("{}"),
    "no configuration": lambda folder: (folder / CONFIG["base"]).unlink(),
    "half a configuration": lambda folder: (folder / CONFIG["base"]).write_text('{"a":'),
    "a configuration that is a list": lambda folder: (folder / CONFIG["base"]).write_text("[1]"),
    "a quantisation of nobody": lambda folder: edit_json(
        folder / CONFIG["base"], quantization_config={"quant_method": "tomorrow"}
    ),
    "only pickles": lambda folder: [
        [file.unlink() for file in folder.glob("model*")],
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04."),
    ],
}
CASES = [
    *((whose, what, damage) for whose in WEIGHTS for what, damage in FILES.items()),
    *(("adapter", what, damage) for what, damage in ADAPTER.items()),
    *(("base", what, damage) for what, damage in BASE.items()),
]


def test_the_set_is_large_enough() -> None:
    assert len(CASES) >= 60


def test_what_is_not_damaged_is_merged(base: Path, mine: Path, merge: Merge) -> None:
    assert merge(base, mine).path.is_dir()


@pytest.mark.parametrize(
    ("whose", "what", "damage"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_refused(
    whose: str, what: str, damage: Damage, base: Path, mine: Path, merge: Merge
) -> None:
    folder = mine if whose == "adapter" else base
    damage(folder / WEIGHTS[whose] if what in FILES else folder)

    def refused() -> None:
        with pytest.raises(UploaderError) as caught:
            list(check(merge.plan(base, mine)))
            merge(base, mine)
        assert caught.value.next
        assert caught.value.owner

    assert at_best(refused, enough=1) < 1
    assert not list(merge.root.rglob("*.safetensors"))
