"""Hostile files of tensors: safetensors, indexes of shards, GGUF and importance matrices."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from hostile_place import Damage, Hostile, Place, cases, nested

INDEX = "model.safetensors.index.json"
F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def _file(header: bytes, data: bytes = bytes(4), length: int | None = None) -> Damage:
    """Replace the adapter's weights by a file of this header."""

    def damage(place: Place) -> None:
        size = len(header) if length is None else length
        place.weights.write_bytes(struct.pack("<Q", size) + header + data)

    return damage


def _header(**tensors: Any) -> Damage:
    return _file(json.dumps(tensors).encode())


def _entry(**changes: Any) -> Damage:
    return _header(**{NAME: {**F32, **changes}})


def _many(count: int) -> Damage:
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return _file(("{" + ",".join(f'"t{n}":{entry}' for n in range(count)) + "}").encode(), b"")


def _sparse(place: Place) -> None:
    """A petabyte that takes no room: the header says it is one tensor."""
    size = 1 << 42
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    header = json.dumps({NAME: entry}).encode()
    with place.weights.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)


_J = json.dumps(F32)
SAFETENSORS: dict[str, Damage] = {
    "a header of 2^40 bytes": _file(b"{}", length=1 << 40),
    "a header of 2^63 bytes": _file(b"{}", length=1 << 63),
    "a header of 2^64-1 bytes": _file(b"{}", length=(1 << 64) - 1),
    "a header of no bytes": _file(b"", length=0),
    "a header of spaces, 40 MB": _file(b" " * (40 << 20)),
    "a hole": _entry(data_offsets=[4, 8]),
    "an overlap": _header(**{NAME: F32, NAME.replace("A", "B"): F32}),
    "the same name twice": _file(f'{{"{NAME}":{_J},"{NAME}":{_J}}}'.encode()),
    "metadata twice": _file(f'{{"__metadata__":{{}},"__metadata__":{{}},"{NAME}":{_J}}}'.encode()),
    "a member of a tensor twice": _file(
        f'{{"{NAME}":{{"dtype":"F64","dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}'.encode()
    ),
    "a name that leads outside": _header(**{"../../../etc/cron.d/x": F32}),
    "a name with a zero byte": _header(**{"a\0b": F32}),
    "a name of half a surrogate": _file(f'{{"\\ud800":{_J}}}'.encode()),
    "a name that turns the terminal round": _header(**{"\x1b]0;owned\x07\u202e": F32}),
    "a name of a megabyte": _header(**{"x" * (1 << 20): F32}),
    "no name": _header(**{"": F32}),
    "a shape of NaN": _file(f'{{"{NAME}":{_J.replace("[1]", "[NaN]")}}}'.encode()),
    "a shape of infinity": _file(f'{{"{NAME}":{_J.replace("[1]", "[1e999]")}}}'.encode()),
    "a shape of a fraction": _entry(shape=[1.0]),
    "a shape of truth": _entry(shape=[True]),
    "a shape below zero": _entry(shape=[-1]),
    "a shape that overflows": _entry(shape=[1 << 32, 1 << 32, 1 << 2]),
    "a shape of a number with 5,000 digits": _file(
        f'{{"{NAME}":{_J.replace("[1]", "[" + "9" * 5000 + "]")}}}'.encode()
    ),
    "a shape of 100,000 axes": _entry(shape=[1] * 100_000),
    "a shape that is nested": _entry(shape=[[1]]),
    "offsets of 2^63": _entry(data_offsets=[1 << 63, (1 << 63) + 4]),
    "offsets backwards": _entry(data_offsets=[4, 0]),
    "offsets below zero": _entry(data_offsets=[-4, 0]),
    "three offsets": _entry(data_offsets=[0, 2, 4]),
    "a type that is a list": _entry(dtype=["F32"]),
    "an entry that is a number": _header(**{NAME: 7}),
    "metadata of 30 MB": _header(__metadata__={"x": "y" * (30 << 20)}, **{NAME: F32}),
    "metadata that is a list": _header(__metadata__=["x"], **{NAME: F32}),
    "metadata that is nested": _header(__metadata__={"x": {"y": "z"}}, **{NAME: F32}),
    "a header that is nested 100,000 deep": _file(nested(100_000).encode()),
    "a header that is a list": _file(b"[]"),
    "a header in UTF-16": _file(json.dumps({NAME: F32}).encode("utf-16")),
    "a header that is no UTF-8": _file(b'{"\xff\xfe": 1}'),
    "250,000 tensors": _many(250_000),
    "four terabytes without content": _sparse,
}


def _index(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(place: Place) -> None:
        (place.base / "model.safetensors").rename(place.base / "model-00001-of-00001.safetensors")
        names = ("model.embed_tokens.weight", "lm_head.weight")
        table: dict[str, Any] = {
            "metadata": {"total_size": 1},
            "weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors"),
        }
        changed = change(table)
        text = changed if isinstance(changed, str) else json.dumps(table)
        (place.base / INDEX).write_text(text)

    return damage


def _to(target: Any) -> Damage:
    return _index(lambda table: table["weight_map"].update({"lm_head.weight": target}))


INDEXES: dict[str, Damage] = {
    "a shard outside": _to("../outside/secret.txt"),
    "a shard with an absolute path": _to("/etc/passwd"),
    "a shard with a drive": _to("C:\\Windows\\system.ini"),
    "a shard of a network": _to("\\\\host\\share\\x.safetensors"),
    "a shard that is a device": _to("CON"),
    "a shard with a zero byte": _to("a\0.safetensors"),
    "a shard that is the folder": _to("."),
    "a shard that is the index": _to(INDEX),
    "a shard that is missing": _to("model-00002-of-00001.safetensors"),
    "a shard that is a list": _to(["x"]),
    "a shard without a name": _to(""),
    "a million tensors": _index(
        lambda table: (
            '{"weight_map":{'
            + ",".join(f'"t{n}":"model-00001-of-00001.safetensors"' for n in range(1_000_000))
            + "}}"
        )
    ),
    "10,000 shards": _index(
        lambda table: table["weight_map"].update(
            {f"t{n}": f"model-{n:05}.safetensors" for n in range(10_000)}
        )
    ),
    "a map of lists, nested 100,000 deep": _index(
        lambda table: f'{{"weight_map": {nested(100_000)}}}'
    ),
    "a size of NaN": _index(lambda table: '{"metadata":{"total_size":NaN},"weight_map":{}}'),
}


def _text(text: bytes | str) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def gguf(keys: bytes = b"", count: int = 0, tensors: bytes = b"", tensor_count: int = 0) -> bytes:
    """Return a file of GGUF with any counts."""
    return b"GGUF" + struct.pack("<IQQ", 3, tensor_count, count) + keys + tensors


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


def _array(item: int, count: int, values: bytes = b"") -> bytes:
    return struct.pack("<IQ", item, count) + values


# What an importance matrix has: without them nobody looks at its tensors.
_KEYS = (
    _key("imatrix.datasets", 9, _array(8, 1, _text("a.txt")))
    + _key("imatrix.chunk_count", 4, struct.pack("<I", 1))
    + _key("imatrix.chunk_size", 4, struct.pack("<I", 512))
)


def _one(tensor: bytes) -> bytes:
    return gguf(_KEYS, 3, tensor, 1)


def _tensor(dims: int = 1, sizes: tuple[int, ...] = (32,), kind: int = 0, at: int = 0) -> bytes:
    packed = struct.pack(f"<{len(sizes)}Q", *sizes)
    return _text("t.in_sum2") + struct.pack("<I", dims) + packed + struct.pack("<IQ", kind, at)


def deep_array(depth: int) -> bytes:
    return _array(9, 1) * depth + _array(4, 0)


GGUF_FILES: dict[str, bytes] = {
    "no more than the magic": b"GGUF",
    "a version of 2^32-1": b"GGUF" + struct.pack("<IQQ", 2**32 - 1, 0, 0),
    "2^50 keys": gguf(count=1 << 50),
    "2^64-1 keys": gguf(count=(1 << 64) - 1),
    "2^50 tensors": gguf(tensor_count=1 << 50),
    "a key's name beyond the file": gguf(struct.pack("<Q", 1 << 40), 1),
    "a key's name of 2^64-1": gguf(struct.pack("<Q", (1 << 64) - 1), 1),
    "a text beyond the file": gguf(_key("x", 8, struct.pack("<Q", 1 << 40)), 1),
    "a type of key that is none": gguf(_key("x", 99, bytes(8)), 1),
    "an array of 2^60 numbers": gguf(_key("x", 9, _array(4, 1 << 60)), 1),
    "an array of 2^33 bytes": gguf(_key("x", 9, _array(0, 1 << 33)), 1),
    "an array of 2^60 texts": gguf(_key("x", 9, _array(8, 1 << 60)), 1),
    "an array of 2^60 arrays": gguf(_key("x", 9, _array(9, 1 << 60)), 1),
    "arrays nested 100,000 deep": gguf(_key("x", 9, deep_array(100_000)), 1),
    "an array of a type that is none": gguf(_key("x", 9, _array(99, 3)), 1),
    "an alignment of 0": gguf(_key("general.alignment", 4, struct.pack("<I", 0)), 1),
    "an alignment that is a text": gguf(_key("general.alignment", 8, _text("32")), 1),
    "an alignment of 2^31": gguf(_key("general.alignment", 4, struct.pack("<I", 1 << 31)), 1),
    "2^32-1 axes": _one(_tensor(dims=2**32 - 1)),
    "a tensor of 2^64 values": _one(_tensor(dims=4, sizes=(1 << 16, 1 << 16, 1 << 16, 1 << 16))),
    "a tensor type that is none": _one(_tensor(kind=9999)),
    "a tensor beyond the file": _one(_tensor(at=1 << 40)),
    "a tensor of no bytes of a block": _one(_tensor(sizes=(7,), kind=2)),
    "datasets that are a number": gguf(
        _KEYS.replace(_array(8, 1, _text("a.txt")), _array(4, 1, bytes(4))), 3
    ),
    "the same key twice": gguf(_key("x", 4, bytes(4)) * 2, 2),
    "a key that is no UTF-8": gguf(_text(b"\xff\xfe") + struct.pack("<I", 4) + bytes(4), 1),
}
OLD_MATRICES: dict[str, bytes] = {
    "entries of 2^31-1": struct.pack("<ii", 2**31 - 1, 5) + b"abcde",
    "a name below zero": struct.pack("<ii", 1, -5) + b"abcde",
    "values of 2^31-1": struct.pack("<ii", 1, 1) + b"a" + struct.pack("<ii", 1, 2**31 - 1),
    "values below zero": struct.pack("<ii", 1, 1) + b"a" + struct.pack("<ii", 1, -7),
    "not a number": struct.pack("<ii", 1, 1) + b"a" + struct.pack("<iif", 1, 1, float("nan")),
    "a pickle": b"\x80\x04\x95" + bytes(40),
}


def _matrix(content: bytes) -> Damage:
    def damage(place: Place) -> list[object]:
        (place.root / "imatrix").write_bytes(content)
        return place.run("--gguf-imatrix", place.root / "imatrix", plugins="gguf")

    return damage


def _listed(change: Callable[[Place], bytes]) -> Damage:
    """A GGUF as a source: somebody points at the folder."""

    def damage(place: Place) -> list[object]:
        folder = place.root / "files"
        folder.mkdir()
        (folder / "m-Q4_K_M.gguf").write_bytes(change(place))
        return ["run", folder, "--yes", "--output", place.output]

    return damage


WEIGHTS: list[Hostile] = [
    *cases("safetensors", SAFETENSORS),
    *cases("index", INDEXES),
    *cases("gguf", {what: _matrix(content) for what, content in GGUF_FILES.items()}),
    *cases("imatrix", {what: _matrix(content) for what, content in OLD_MATRICES.items()}),
    *cases("gguf source", {"as a source": _listed(lambda place: GGUF_FILES["2^50 keys"])}),
]
