"""Which files of a model are fetched, and what an outline of weights holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uploader_core.plugin import shards_of, small_files, weights_of, write_outline

BOTH = {
    "config.json", "adapter_config.json", "adapter_model.safetensors", "model.safetensors",
    "model.safetensors.index.json", "consolidated.safetensors", "pytorch_model.bin",
}  # fmt: skip


@pytest.mark.parametrize(
    ("names", "purpose", "wanted"),
    [
        (BOTH, "source", ("adapter_model.safetensors",)),
        (BOTH, "base", ("model.safetensors",)),
        (BOTH - {"model.safetensors"}, "base", ("model.safetensors.index.json",)),
        (BOTH - {"adapter_config.json"}, "source", ("model.safetensors",)),
        ({"config.json", "pytorch_model.bin"}, "source", ()),
        ({"adapter_config.json", "adapters.safetensors"}, "source", ("adapters.safetensors",)),
    ],
)
def test_one_set_of_weights_is_chosen(
    names: set[str], purpose: str, wanted: tuple[str, ...]
) -> None:
    assert weights_of(names, purpose) == wanted


def test_small_files_are_data_that_a_release_can_depend_on() -> None:
    wanted = ["LICENSE.md", "README.md", "additional_chat_templates/tools.jinja",
              "chat_template.jinja", "merges.txt", "tokenizer.json", "tokenizer.model"]  # fmt: skip
    others = ["modeling_x.py", "pytorch_model.bin", "onnx/config.json", "model.gguf", "logo.png",
              ".env", "checkpoint-1/tokenizer.json"]  # fmt: skip
    assert small_files([*others, *wanted]) == wanted


@pytest.mark.parametrize("index", ["", "[]", '{"weight_map": []}', '{"weight_map": null}'])
def test_index_that_is_none_names_no_shards(index: str) -> None:
    assert shards_of(index) == []


@pytest.mark.parametrize("tensors", [1, 5000])
def test_outline_is_the_header_and_a_hole(tmp_path: Path, tensors: int) -> None:
    header = {
        f"model.layers.{n}.weight": {"dtype": "U8", "shape": [1000], "data_offsets": [0, 1000]}
        for n in range(tensors)
    }
    text = json.dumps(header).encode()
    head = len(text).to_bytes(8, "little") + text
    content = head + b"\1" * 3_000_000
    asked = []

    def read(start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return content[start:stop]

    path = tmp_path / "sub" / "model.safetensors"
    write_outline(path, len(content), read)
    assert path.stat().st_size == len(content)
    assert path.read_bytes().rstrip(b"\0") == head
    assert len(asked) == (1 if tensors == 1 else 2)  # the rest of a header that is large
    assert asked[-1][1] <= max(len(head), 128 << 10)


def test_outline_of_what_is_no_weights_has_its_length(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_outline(path, 100, lambda start, stop: (b"\xff" * 100)[start:stop])
    assert path.read_bytes() == b"\xff" * 100


def test_modules_around_a_transformer_are_wanted_with_their_weights() -> None:
    names = ["modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors"]
    others = ["2_Dense/pytorch_model.bin", "onnx/model.onnx", "checkpoint-5/model.safetensors"]
    assert small_files([*names, *others]) == sorted(names)


@pytest.mark.parametrize(
    "name",
    ["../config.json", "/etc/x.json", "..\\x.json", "C:x.json", "a/../../x.json", "x\n.json"],
)
def test_name_that_would_leave_its_folder_is_never_fetched(name: str) -> None:
    assert small_files([name, "config.json"]) == ["config.json"]
    shard = name.replace("json", "safetensors")
    index = json.dumps({"weight_map": {"a": shard, "b": "model-1.safetensors"}})
    assert shards_of(index) == ["model-1.safetensors"]
