"""Digests of tensors: against the libraries that write the files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from uploader_core.plugin import SourceError
from uploader_provenance.tensors.digests import digest_weights

RANDOM = np.random.default_rng(1)
TENSORS = {
    f"layers.{n}.weight": RANDOM.standard_normal((n + 1, 64)).astype(np.float32) for n in range(5)
} | {"scalar": np.array(3.0, np.float16), "empty": np.zeros((0, 4), np.float32)}


def test_each_tensor_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    found = digest_weights(tmp_path, ["model.safetensors", "config.json"])["model"]
    assert {t.name: t.sha256 for t in found.tensors} == {
        name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in TENSORS.items()
    }
    assert {t.name: t.shape for t in found.tensors} == {n: t.shape for n, t in TENSORS.items()}


def test_same_weights_in_other_shards_have_the_same_digest(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "model.safetensors")
    names = sorted(TENSORS)
    shards = {"model-00001-of-00002.safetensors": names[::2],
              "model-00002-of-00002.safetensors": names[1::2]}  # fmt: skip
    (tmp_path / "cut").mkdir()
    for shard, mine in shards.items():
        save_file({n: TENSORS[n] for n in mine}, tmp_path / "cut" / shard, {"other": "metadata"})
    whole = digest_weights(tmp_path, ["model.safetensors"])["model"]
    cut = digest_weights(tmp_path / "cut", shards)["model"]
    assert cut.digest == whole.digest
    assert cut.files == tuple(shards)


@pytest.mark.parametrize("change", ["value", "shape", "type", "name"])
def test_anything_of_a_tensor_changes_the_digest(tmp_path: Path, change: str) -> None:
    tensor = np.arange(4, dtype=np.int32)
    other = {
        "value": {"x": tensor + 1},
        "shape": {"x": tensor.reshape(2, 2)},
        "type": {"x": tensor.view(np.float32)},
        "name": {"y": tensor},
    }[change]
    save_file({"x": tensor}, tmp_path / "model.safetensors")
    save_file(other, tmp_path / "other.safetensors")
    found = digest_weights(tmp_path, ["model.safetensors", "other.safetensors"])
    assert found["model"].digest != found["other"].digest


def test_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for name in names:
        save_file({"x": np.zeros(2)}, tmp_path / name)
    with pytest.raises(SourceError, match="'x' twice"):
        digest_weights(tmp_path, names)


WRITE_AND_READ = """
import hashlib, json, sys
import gguf, numpy

writer = gguf.GGUFWriter(sys.argv[1], "llama")
writer.add_array("tokenizer.ggml.tokens", ["a", "b", "c"])
writer.add_array("numbers", [1, 2, 3])
writer.add_custom_alignment(64)
for n in range(5):
    writer.add_tensor(f"layers.{n}.weight", numpy.full((n + 1, 64), n, numpy.float32))
writer.add_tensor("q", numpy.zeros((4, 34), numpy.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print(json.dumps({
    t.name: [t.tensor_type.name, [int(n) for n in reversed(t.shape)],
             hashlib.sha256(t.data.tobytes()).hexdigest()]
    for t in gguf.GGUFReader(sys.argv[1]).tensors
}))
"""


def test_gguf_is_read_as_its_own_library_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    # In a process of its own: in one where it was imported, no GGUF can be made any more.
    command = [sys.executable, "-c", WRITE_AND_READ, str(path)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found = digest_weights(tmp_path, [path.name])["model"].tensors
    assert {t.name: [t.dtype, [*t.shape], t.sha256] for t in found} == theirs
