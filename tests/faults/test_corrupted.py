"""Damaged inputs and releases: a refusal or the right release, never a traceback.

A bit of a weight that flips before anybody has hashed it cannot be known to be wrong; the release
then is exactly what these bytes give. Everything else is refused, or made anew.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from campaigns import seeds
from fault_tools import publish, uploader
from make_fine_tune import make_fine_tune
from saved_models import same_bits
from uploader_core.destinations.verify import verify_folder
from uploader_kit.faults import digests, flip_byte

CASES = int(os.environ.get("UPLOADER_FAULT_INPUTS", "500"))
QUICK = 15
KINDS = ("lora", "merged-16bit")
EXPECTED = {0, 2, 3, 4, 7, 8}
"""Exit codes that say what is wrong; 1 is for what nobody thought of."""

Damage = Callable[[random.Random, Path], None]


def flip(chance: random.Random, file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)


def flip_head(chance: random.Random, file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[chance.randrange(min(len(data), 600))] ^= 1 << chance.randrange(8)
    file.write_bytes(data)


def truncate(chance: random.Random, file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: chance.randrange(len(data))])


def lengthen(chance: random.Random, file: Path) -> None:
    file.write_bytes(file.read_bytes() + chance.randbytes(chance.randrange(1, 64)))


def blank(chance: random.Random, file: Path) -> None:
    data = bytearray(file.read_bytes())
    start = chance.randrange(len(data))
    data[start : start + 4096] = bytes(len(data[start : start + 4096]))
    file.write_bytes(data)


def other_json(chance: random.Random, file: Path) -> None:
    file.write_text(chance.choice(["", "[]", "null", "{}", '"x"', "[" * 5000, '{"a": 1e999}']))


ANY: tuple[Damage, ...] = (flip, flip_head, truncate, lengthen, blank)
TEXTS: tuple[Damage, ...] = (flip, truncate, other_json)
INPUTS: dict[str, tuple[Damage, ...]] = {
    "run/final_model/adapter_model.safetensors": ANY,
    "run/final_model/adapter_config.json": TEXTS,
    "base/model-1.safetensors": ANY,
    "base/model.safetensors.index.json": TEXTS,
    "base/config.json": TEXTS,
}


def swap_shards(chance: random.Random, root: Path) -> None:
    one, two = root / "base" / "model-1.safetensors", root / "base" / "model-2.safetensors"
    swap_files(one, two)


def swap_adapter_and_shard(chance: random.Random, root: Path) -> None:
    shard = root / "base" / f"model-{chance.choice('12')}.safetensors"
    swap_files(root / "run" / "final_model" / "adapter_model.safetensors", shard)


def swap_files(one: Path, two: Path) -> None:
    between = one.with_name("between")
    one.rename(between)
    two.rename(one)
    between.rename(two)


def swap_names(chance: random.Random, root: Path) -> None:
    """Two tensors of one file exchange their names: the data of each is where the other's was."""
    files = ["base/model-1", "base/model-2", "run/final_model/adapter_model"]
    file = root / f"{chance.choice(files)}.safetensors"
    data = file.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    one, two = chance.sample([name for name in header if name != "__metadata__"], 2)
    header[one], header[two] = header[two], header[one]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])


def swap_in_index(chance: random.Random, root: Path) -> None:
    """Two names of the index point at each other's shard."""
    index = root / "base" / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    places = data["weight_map"]
    one = chance.choice([name for name, shard in places.items() if "-1" in shard])
    two = chance.choice([name for name, shard in places.items() if "-2" in shard])
    places[one], places[two] = places[two], places[one]
    index.write_text(json.dumps(data))


SWAPS = (swap_shards, swap_adapter_and_shard, swap_names, swap_in_index)


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fine-tune, on a base in two shards."""
    root = make_fine_tune(tmp_path_factory.mktemp("sharded"))
    base = root / "base"
    tensors = load_file(base / "model.safetensors")
    names = sorted(tensors)
    index = {}
    for number, part in ((1, names[::2]), (2, names[1::2])):
        save_file(
            {n: tensors[n] for n in part}, base / f"model-{number}.safetensors", {"format": "pt"}
        )
        index |= dict.fromkeys(part, f"model-{number}.safetensors")
    (base / "model.safetensors").unlink()
    total = sum(t.nbytes for t in tensors.values())
    (base / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    )
    return root


@pytest.fixture(scope="session")
def calm(sharded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    release = tmp_path_factory.mktemp("calm") / "release"
    assert run(sharded, release).returncode == 0
    return release


def run(root: Path, release: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        publish(root / "run" / "final_model", KINDS, release, None),
        capture_output=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip


def shapes(folder: Path) -> dict[str, list[int]]:
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            found |= {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    return found


def tensors(*files: Path) -> dict[str, torch.Tensor]:
    found = {}
    for file in files:
        found |= load_file(file)
    return found


def differences(merged: Path, root: Path) -> list[str]:
    """Merge what lies in ``root`` another way and return the tensors that are not the same bits."""
    final = root / "run" / "final_model"
    config = json.loads((final / "adapter_config.json").read_text())
    adapter = tensors(final / "adapter_model.safetensors")
    base = tensors(*(root / "base").glob("*.safetensors"))
    scale = config["lora_alpha"] / config["r"]
    if config.get("use_rslora"):
        scale = config["lora_alpha"] / math.sqrt(config["r"])
    for key in sorted(adapter):
        if key.endswith(".lora_A.weight"):
            name = key.removeprefix("base_model.model.").replace(".lora_A", "")
            product = adapter[key.replace("lora_A", "lora_B")].float() @ adapter[key].float()
            base[name] = (base[name].float() + product * scale).to(base[name].dtype)
    made = tensors(*merged.glob("*.safetensors"))
    return [
        name
        for name in sorted({*made, *base})
        if name not in made or name not in base or not same_bits(made[name], base[name])
    ]


@pytest.mark.parametrize("seed", seeds(range(CASES * 3 // 5), range(QUICK)))
def test_damaged_input(seed: int, sharded: Path, calm: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    root, release = tmp_path / "in", tmp_path / "release"
    shutil.copytree(sharded, root)
    if seed % 10 == 9:
        SWAPS[seed // 10 % len(SWAPS)](chance, root)
    else:
        name = chance.choice(sorted(INPUTS))
        chance.choice(INPUTS[name])(chance, root / name)
    result = run(root, release)
    said = result.stdout + result.stderr
    assert result.returncode in EXPECTED, said
    assert "Traceback" not in said
    if result.returncode:
        assert "next" in said or "id " in said, said
    if (release / "upload_manifest.json").exists():
        assert verify_folder(release).problems == ()
    if (release / "merged-16bit" / "config.json").exists() and result.returncode == 0:
        assert shapes(release / "merged-16bit") == shapes(calm / "merged-16bit")
        assert differences(release / "merged-16bit", root) == []
    adapter = release / "lora" / "adapter_model.safetensors"
    if adapter.exists():
        source = root / "run" / "final_model" / "adapter_model.safetensors"
        assert adapter.read_bytes() == source.read_bytes()


def hostile_record(chance: random.Random, release: Path) -> None:
    """A record that names a file outside of the release."""
    record = chance.choice(sorted((release / ".uploader" / "steps").glob("*.json")))
    data = json.loads(record.read_text())
    data["folder"] = chance.choice(["../..", "/tmp", "lora/../../x"])
    for file in (data["artifact"] or {}).get("files", []):
        file["name"] = "../../precious.txt"
    record.write_text(json.dumps(data))


def swapped_records(chance: random.Random, release: Path) -> None:
    one, two = chance.sample(sorted((release / ".uploader" / "steps").glob("*.json")), 2)
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)


def stale_records(chance: random.Random, release: Path) -> None:
    """Records that are believed by size and time, of files that are others now."""
    for file in chance.sample(sorted(release.glob("*/*.safetensors")), 1):
        stat = file.stat()
        flip(chance, file)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def damaged_memory(chance: random.Random, release: Path) -> None:
    files = sorted(p for p in (release / ".uploader").rglob("*.json"))
    chance.choice(TEXTS)(chance, chance.choice(files))


def damaged_file(chance: random.Random, release: Path) -> None:
    files = sorted(p for p in release.rglob("*") if p.is_file() and ".uploader" not in p.parts)
    files = [p for p in files if p.name != "report.html"]  # written anew by every run
    chance.choice((flip, truncate, lengthen))(chance, chance.choice(files))


RELEASES = (hostile_record, swapped_records, stale_records, damaged_memory, damaged_file)


@pytest.mark.parametrize("seed", seeds(range(CASES * 2 // 5), range(len(RELEASES) * 2)))
def test_damaged_release(seed: int, sharded: Path, calm: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    release = tmp_path / "place" / "release"
    shutil.copytree(calm, release)
    for path in calm.rglob("*"):
        os.utime(release / path.relative_to(calm), ns=(0, path.stat().st_mtime_ns))
    precious = tmp_path / "precious.txt"
    precious.write_text("untouched")
    RELEASES[seed % len(RELEASES)](chance, release)
    result = run(sharded, release)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert digests(release) == digests(calm)
    assert verify_folder(release).problems == ()
    assert precious.read_text() == "untouched"


def test_one_flipped_byte_is_found_a_hundred_times_of_a_hundred(calm: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    shutil.copytree(calm, release)
    listed = {
        f["path"] for f in json.loads((release / "upload_manifest.json").read_text())["files"]
    }
    chance = random.Random(1)
    found = 0
    for _ in range(100):
        name = chance.choice(sorted(listed))
        file = release / name
        whole = file.read_bytes()
        flip_byte(file, chance)
        problems = verify_folder(release).problems
        found += [p.path for p in problems] == [name]
        file.write_bytes(whole)
    assert found == 100


@pytest.mark.parametrize("kind", ["lora", "merged-16bit"])
def test_damage_that_no_time_tells_never_arrives(kind: str, sharded: Path, tmp_path: Path) -> None:
    """A bit flips on the disk after the release was made; the next run copies it elsewhere."""
    release, copy = tmp_path / "release", tmp_path / "copy"
    assert run(sharded, release).returncode == 0  # it remembers sizes and times
    file = next((release / kind).glob("*.safetensors"))
    flip_byte(file, random.Random(3))
    command = publish(sharded / "run" / "final_model", KINDS, release, copy)
    stopped = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert stopped.returncode in (3, 7), stopped.stderr
    assert "changed since it was recorded" in stopped.stderr and "Traceback" not in stopped.stderr
    assert not (copy / kind / file.name).exists()
    again = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert again.returncode == 0, again.stderr
    assert verify_folder(copy).problems == ()
    assert verify_folder(release).problems == ()


def test_damage_of_a_copy_is_mended_by_the_run_that_verify_names(
    sharded: Path, tmp_path: Path
) -> None:
    release, copy = tmp_path / "release", tmp_path / "copy"
    command = publish(sharded / "run" / "final_model", ("lora",), release, copy)
    assert subprocess.run(command, capture_output=True).returncode == 0
    flip_byte(copy / "lora" / "adapter_model.safetensors", random.Random(5))
    found = subprocess.run(uploader("verify", f"dir:{copy}"), capture_output=True, text=True)
    assert found.returncode == 7 and "--checksum" in found.stderr
    assert subprocess.run([*command, "--checksum"], capture_output=True).returncode == 0
    assert verify_folder(copy).problems == ()


def test_damage_that_verify_finds_is_mended_by_the_run_that_it_names(
    calm: Path, sharded: Path, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    assert run(sharded, release).returncode == 0
    file = release / "merged-16bit" / "config.json"
    whole = file.read_bytes()
    flip_byte(file, random.Random(4))
    damaged = file.read_bytes()
    found = subprocess.run(uploader("verify", release), capture_output=True, text=True)
    assert found.returncode == 7 and "--checksum" in found.stderr
    command = publish(sharded / "run" / "final_model", KINDS, release, None)
    mended = subprocess.run([*command, "--checksum"], capture_output=True, text=True)
    assert mended.returncode == 0, mended.stderr
    assert file.read_bytes() == whole
    (kept,) = (release / ".uploader" / "quarantine").iterdir()
    assert kept.read_bytes() == damaged
    assert digests(release) == digests(calm)
