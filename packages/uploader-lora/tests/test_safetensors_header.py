"""The header reader refuses what is not right to the byte, and reads what safetensors writes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from quickness import at_best
from uploader_core.plugin import SourceError
from uploader_lora import read_header, read_stored


def pack(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, shape: Any = (2,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


GOOD = pack({"a": entry(0, 8), "b": entry(8, 16)}, bytes(16))

HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "truncated"),
    "eight bytes": (struct.pack("<Q", 4), "truncated"),
    "length beyond the file": (pack({}, length=1000), "truncated"),
    "length of a terabyte": (pack({}, bytes(64), length=1 << 40), "truncated"),
    "length of 2**63": (pack({}, bytes(64), length=1 << 63), "truncated"),
    "length zero": (struct.pack("<Q", 0) + bytes(16), "truncated"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00" + bytes(64), "truncated"),
    "a zip": (b"PK\x03\x04" + bytes(100), "truncated"),
    "not JSON": (pack(b"{]" + b" " * 20), "not valid"),
    "not UTF-8": (pack(b'{"\xff\xfe":1}' + b" " * 9), "not valid"),
    "a list": (pack([1, 2, 3, 4]), "not a table"),
    "nesting of 100,000": (pack(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not valid"),
    "NaN": (pack(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}'), "NaN"),
    "a number of 10,000 digits": (
        pack(b'{"a":{"dtype":"F32","shape":[' + b"9" * 10_000 + b'],"data_offsets":[0,4]}}'),
        "not valid",
    ),
    "the same name twice": (
        pack(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
            bytes(8),
        ),
        "twice",
    ),
    "the same key twice": (
        pack(b'{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,4]}}', bytes(4)),
        "twice",
    ),
    "metadata twice": (pack(b'{"__metadata__":{},"__metadata__":{}}'), "twice"),
    "metadata of numbers": (pack({"__metadata__": {"format": 1}}), "__metadata__"),
    "metadata as a list": (pack({"__metadata__": ["pt"]}), "__metadata__"),
    "an unknown type": (pack({"a": entry(0, 8, dtype="F31")}, bytes(8)), "unknown type"),
    "a type that is no text": (pack({"a": entry(0, 8, dtype=["F32"])}, bytes(8)), "unknown type"),
    "a negative size": (pack({"a": entry(0, 8, shape=[-2])}, bytes(8)), "impossible shape"),
    "a size that is true": (pack({"a": entry(0, 4, shape=[True])}, bytes(4)), "impossible shape"),
    "a fractional size": (pack({"a": entry(0, 8, shape=[2.0])}, bytes(8)), "impossible shape"),
    "sizes whose product overflows": (
        pack({"a": entry(0, 8, shape=[1 << 40, 1 << 40])}, bytes(8)),
        "its shape",
    ),
    "sixty axes": (pack({"a": entry(0, 4, shape=[1] * 60)}, bytes(4)), "impossible shape"),
    "offsets backwards": (pack({"a": entry(8, 0)}, bytes(8)), "impossible place"),
    "a negative offset": (pack({"a": entry(-8, 0)}, bytes(8)), "impossible place"),
    "three offsets": (
        pack({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4, 8]}}, bytes(8)),
        "impossible place",
    ),
    "offsets as text": (
        pack({"a": {"dtype": "F32", "shape": [2], "data_offsets": ["0", "8"]}}, bytes(8)),
        "impossible place",
    ),
    "room for less than the shape": (pack({"a": entry(0, 4)}, bytes(4)), "its shape"),
    "room for more than the shape": (pack({"a": entry(0, 16)}, bytes(16)), "its shape"),
    "an overlap": (pack({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "overlaps"),
    "the same place twice": (pack({"a": entry(0, 8), "b": entry(0, 8)}, bytes(8)), "overlaps"),
    "a gap": (pack({"a": entry(0, 8), "b": entry(16, 24)}, bytes(24)), "gap"),
    "a gap at the start": (pack({"a": entry(8, 16)}, bytes(16)), "gap"),
    "bytes at the end": (GOOD + b"PK\x05\x06", "belong to no tensor"),
    "a byte missing": (GOOD[:-1], "truncated"),
    "half the data": (GOOD[:-8], "truncated"),
    "a path as name": (pack({"../../etc/passwd": entry(0, 8)}, bytes(8)), "tensor name"),
    "an empty name": (pack({"": entry(0, 8)}, bytes(8)), "tensor name"),
    "a name with a line end": (pack({"a\nb": entry(0, 8)}, bytes(8)), "tensor name"),
    "a name of 10,000 characters": (pack({"a" * 10_000: entry(0, 8)}, bytes(8)), "tensor name"),
    "a further key": (pack({"a": {**entry(0, 8), "x": 1}}, bytes(8)), "the entry"),
    "an entry without shape": (
        pack({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)),
        "the entry",
    ),
    "an entry that is text": (pack({"a": "F32"}, bytes(8)), "the entry"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused_in_words_and_at_once(what: str, tmp_path: Path) -> None:
    content, words = HOSTILE[what]
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)

    def refused() -> None:
        with pytest.raises(SourceError, match=words) as caught:
            read_header(file)
        assert caught.value.owner == str(file)
        assert caught.value.next

    assert at_best(refused, enough=1) < 1


def test_header_that_claims_more_than_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    with file.open("wb") as handle:
        handle.write(struct.pack("<Q", 90 << 20))
        handle.truncate(100 << 20)
    with pytest.raises(SourceError, match="more than"):
        read_header(file)


def test_what_safetensors_writes_is_read_to_the_byte(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    tensors = {
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 4),
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(2, 2, 2).bfloat16(),
        "numbers": torch.arange(7),
        "flags": torch.tensor([True, False]),
        "tiny": torch.randn(4).to(torch.float8_e4m3fn),
    }
    file = tmp_path / "x.safetensors"
    save_file(tensors, file, metadata={"format": "pt"})
    header = read_header(file)
    assert header.metadata == {"format": "pt"}
    assert {n: tuple(t.shape) for n, t in tensors.items()} == {
        n: t.shape for n, t in header.tensors.items()
    }
    content = file.read_bytes()
    for name, stored in header.tensors.items():
        ours = content[stored.offset : stored.offset + stored.nbytes]
        assert ours == bytes(tensors[name].contiguous().flatten().view(torch.uint8).tolist()), name


def shards(folder: Path, weight_map: Any) -> Path:
    (folder / "model-1.safetensors").write_bytes(pack({"a": entry(0, 8)}, bytes(8)))
    (folder / "model-2.safetensors").write_bytes(pack({"b": entry(0, 8)}, bytes(8)))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}), "utf-8")
    return folder


def test_index_with_its_shards(tmp_path: Path) -> None:
    folder = shards(tmp_path, {"a": "model-1.safetensors", "b": "model-2.safetensors"})
    assert list(read_stored(folder, "model")) == ["a", "b"]


@pytest.mark.parametrize(
    ("weight_map", "words"),
    [
        ({"a": "../model-1.safetensors"}, "no file name"),
        ({"a": "/etc/passwd"}, "no file name"),
        ({"a": "sub/model-1.safetensors"}, "no file name"),
        ({"a": "C:model-1.safetensors"}, "no file name"),
        ({"a": "..\\model-1.safetensors"}, "no file name"),
        ({"a": "model-1.bin"}, "no file name"),
        ({"a": 7}, "no file name"),
        ({"a": "model-3.safetensors"}, "not there"),
        ({"a": "model-1.safetensors", "c": "model-2.safetensors"}, "nowhere"),
        ({"a": "model-2.safetensors", "b": "model-2.safetensors"}, "'a'|'b'"),
        ({"a": "model-1.safetensors", "z": "model-1.safetensors"}, "'z'"),
        ({}, "no weight_map"),
        ([], "no weight_map"),
        (None, "no weight_map"),
    ],
)
def test_index_that_lies(weight_map: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=words):
        read_stored(shards(tmp_path, weight_map), "model")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_header(tmp_path / "model.safetensors")


def test_metadata_that_mlx_writes(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(pack(b'{"__metadata__":null}'))
    assert read_header(tmp_path / "a.safetensors").metadata == {}
