"""Damaged inputs and releases: a refusal or the right release, never a traceback.

A bit of a weight that flips before anybody has hashed it cannot be known to be wrong; the release
then is exactly what these bytes give. Everything else is refused, or made anew.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_tools import publish
from make_fine_tune import make_fine_tune
from safetensors import safe_open

from uploader_core.testing.faults import digests
from uploader_core.verify import verify_folder

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


@pytest.fixture(scope="session")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fine-tune, on a base in two shards."""
    from safetensors.torch import load_file, save_file

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


def seeds(count: int, quick: int) -> list[object]:
    return [pytest.param(n, marks=[] if n < quick else [pytest.mark.slow]) for n in range(count)]


@pytest.mark.parametrize("seed", seeds(CASES * 3 // 5, QUICK))
def test_damaged_input(seed: int, sharded: Path, calm: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    root, release = tmp_path / "in", tmp_path / "release"
    shutil.copytree(sharded, root)
    if seed % 10 == 9:
        one, two = root / "base" / "model-1.safetensors", root / "base" / "model-2.safetensors"
        one.rename(root / "x")
        two.rename(one)
        (root / "x").rename(two)
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


@pytest.mark.parametrize("seed", seeds(CASES * 2 // 5, len(RELEASES) * 2))
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
        whole, stat = file.read_bytes(), file.stat()
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        problems = verify_folder(release).problems
        found += [p.path for p in problems] == [name]
        file.write_bytes(whole)
    assert found == 100
