"""The step as core runs it: resume, metadata, refusals, the check of finished files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gguf_oracles
from gguf_oracles import context, convert, tensor_bytes
from uploader_core.plugin import IntegrityError, ReleaseInfo, Size, UsageError
from uploader_gguf import card, generate, step
from uploader_gguf.format.gguf_file import file_name, read_header
from uploader_gguf.format.quants import QUANTS, TensorType
from uploader_gguf.format.shapes import ModelShape
from uploader_gguf.importance import calibration
from uploader_gguf.llama_cpp import smoke, toolchain
from uploader_gguf.llama_cpp.converter import Conversion, Planned
from uploader_gguf.writing.layout import lay_out


def test_names_carry_model_and_kind(llama_folder: Path, tmp_path: Path) -> None:
    files = convert(llama_folder, tmp_path, ("Q8_0", "Q4_K_M"))
    assert sorted(path.name for path in files.values()) == [
        "Tiny-Llama-Q4_K_M.gguf",
        "Tiny-Llama-Q8_0.gguf",
    ]


def test_names_with_spaces_become_names_that_every_tool_takes() -> None:
    assert file_name("My model: v2 ü", "F16") == "My-model-v2-F16.gguf"


def test_the_same_input_gives_the_same_bytes(llama_folder: Path, tmp_path: Path) -> None:
    first = convert(llama_folder, tmp_path / "1", ("Q4_K_M",))["Q4_K_M"].read_bytes()
    assert convert(llama_folder, tmp_path / "2", ("Q4_K_M",))["Q4_K_M"].read_bytes() == first


def test_finished_files_are_not_made_again(llama_folder: Path, tmp_path: Path) -> None:
    first = convert(llama_folder, tmp_path, ("Q8_0",))["Q8_0"].stat()
    shutil.rmtree(tmp_path / "work")
    again = convert(llama_folder, tmp_path, ("Q8_0", "F16"))
    assert again["Q8_0"].stat().st_mtime_ns == first.st_mtime_ns
    assert again["F16"].is_file()


def test_a_hub_base_is_named_and_a_local_path_never(llama_folder: Path, tmp_path: Path) -> None:
    def keys(place: Path, release: ReleaseInfo) -> dict[str, object]:
        artifact = step.convert(
            context(llama_folder, place, release=release, quants=("F16",), smoke_test=False)
        )
        return read_header(place / "gguf" / artifact.files[0].name).keys

    public = keys(
        tmp_path / "a",
        ReleaseInfo(
            name="m",
            source="adapter",
            base_model="org/Base-1B",
            base_is_hub_id=True,
            base_revision="0123abc",
        ),
    )
    assert public["general.base_model.0.repo_url"] == "https://huggingface.co/org/Base-1B"
    assert public["general.base_model.0.version"] == "0123abc"
    assert public["general.base_model.0.organization"] == "org"
    assert public["general.name"] == "m"
    private = keys(
        tmp_path / "b", ReleaseInfo(name="m", source="adapter", base_model="/home/me/secret")
    )
    assert "secret" not in json.dumps({k: v for k, v in private.items() if "token" not in k})


def test_generation_is_repeatable(llama_folder: Path, tmp_path: Path) -> None:
    path = convert(llama_folder, tmp_path, ("F16",))["F16"]
    assert generate(path, "The quick", 8) == generate(path, "The quick", 8) != ""


def test_a_broken_file_does_not_pass(llama_folder: Path, tmp_path: Path) -> None:
    path = convert(llama_folder, tmp_path, ("Q8_0",))["Q8_0"]
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(IntegrityError, match=r"broken\.gguf"):
        smoke.check(broken)


def test_the_card_lists_files_with_bits_per_weight(llama_folder: Path, tmp_path: Path) -> None:
    artifact = step.convert(context(llama_folder, tmp_path, quants=("Q4_K_M", "Q8_0")))
    text = card.render(artifact)
    assert "| [`Tiny-Llama-Q8_0.gguf`](Tiny-Llama-Q8_0.gguf) | Q8_0 | 2.7 MB | 8.5" in text
    assert "llama-cli -m Tiny-Llama-Q4_K_M.gguf" in text
    assert "hf.co/<owner>/<repo>:Q4_K_M" in text


def test_the_licence_of_the_base_stays(llama_folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(llama_folder, base)
    (base / "README.md").write_text(
        "---\nlicense: gemma\nlanguage: [en, de]\ntags: [theirs]\n---\nText\n", "utf-8"
    )
    path = convert(base, tmp_path, ("F16",), quantized_by="me", smoke_test=False)["F16"]
    keys = read_header(path).keys
    assert keys["general.license"] == "gemma"
    assert keys["general.languages"] == ["en", "de"]
    assert keys["general.quantized_by"] == "me"
    assert "general.tags" not in keys


def test_cut_files_load_as_one_and_hold_the_same(llama_folder: Path, tmp_path: Path) -> None:
    whole = convert(llama_folder, tmp_path / "a", ("Q8_0",))["Q8_0"]
    artifact = step.convert(
        context(llama_folder, tmp_path / "b", quants=("Q8_0",), split_size=Size("1M"))
    )
    names = [file.name for file in artifact.files]
    assert names == [f"Tiny-Llama-Q8_0-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert generate(artifact.path / names[0], "The", 8) == generate(whole, "The", 8)
    cut: dict[str, bytes] = {}
    for name in names:
        cut |= tensor_bytes(artifact.path / name, read_header(artifact.path / name))
    assert cut == tensor_bytes(whole, read_header(whole))
    assert all(file.size < 1_100_000 for file in artifact.files)
    assert "Q8_0-00001-of-00003.gguf" in card.render(artifact)


def test_a_cut_file_is_finished_where_it_was_interrupted(
    llama_folder: Path, tmp_path: Path
) -> None:
    given = context(llama_folder, tmp_path, quants=("Q8_0", "F16"), split_size=Size("1M"))
    first = step.convert(given)
    lost = given.output.path / "Tiny-Llama-Q8_0-00002-of-00003.gguf"
    before, kept = lost.read_bytes(), given.output.path / "Tiny-Llama-Q8_0-00001-of-00003.gguf"
    lost.unlink()
    time = kept.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "work")
    again = step.convert(
        context(llama_folder, tmp_path, quants=("Q8_0", "F16"), split_size=Size("1M"))
    )
    assert lost.read_bytes() == before
    assert kept.stat().st_mtime_ns == time
    assert again.files == first.files


def test_a_wrong_size_is_refused(llama_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        convert(llama_folder, tmp_path, ("Q8_0",), split_size=Size(0))


def test_nothing_is_cut_that_the_hub_takes(llama_folder: Path) -> None:
    """A file of 400 GB stays whole, one of 800 GB is cut although nobody asked."""

    def shards(width: int) -> int:
        tensors = [
            Planned(
                name=f"blk.{i}.ffn_up.weight",
                shape=(width, 1_000_000),
                stored={"F16": TensorType.F16},
                values=None,
                fixed=None,
            )
            for i in range(4)
        ]
        model = ModelShape(architecture="llama", layers=4)
        whole = Conversion(
            keys={},
            tensors=tensors,
            model=model,
            alignment=32,
            blocks=iter,
            sample=lambda *_: iter(()),
        )
        files = lay_out(QUANTS["F16"], "m-F16.gguf", whole).shards
        assert all(file.nbytes <= 500_000_000_000 for file in files)
        return len(files)

    assert shards(50_000) == 1
    assert shards(100_000) == 2


def test_folders_with_spaces_and_letters_of_all_kinds(llama_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "mein Ordner — 模型 ñ"
    shutil.copytree(llama_folder, place / "Tiny Llama ü")
    text = place / "mein Text.txt"
    text.write_text(calibration.text_of("builtin").read_text("utf-8")[:3000], "utf-8")
    files = convert(place / "Tiny Llama ü", place, ("Q8_0",), calibration=str(text))
    assert files["Q8_0"].name == "Tiny-Llama-Q8_0.gguf"
    assert generate(files["Q8_0"], "The", 4) != ""
    assert (files["Q8_0"].parent / "Tiny-Llama-imatrix.gguf").is_file()


def test_a_checkout_of_the_users_own_converts(llama_folder: Path, tmp_path: Path) -> None:
    """Its code runs, not ours; in a process of its own, because ours was imported here."""
    own = tmp_path / "my llama.cpp"
    shutil.copytree(toolchain.find().root, own, ignore=shutil.ignore_patterns("__pycache__"))
    (own / "origin.json").unlink()  # a checkout has none
    script = own / "conversion" / "base.py"
    script.write_text(
        script.read_text("utf-8").replace(
            "    def prepare_metadata(self, vocab_only: bool):\n",
            "    def prepare_metadata(self, vocab_only: bool):\n"
            "        self.gguf_writer.add_string('general.made_with', 'my checkout')\n",
            1,
        ),
        "utf-8",
    )
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(gguf_oracles.__file__).parent)!r})
from gguf_oracles import context
from uploader_gguf import step
given = context(
    Path({str(llama_folder)!r}), Path({str(tmp_path)!r}), quants=("Q8_0",),
    llama_cpp=Path({str(own)!r}),
)
print(step.convert(given).metadata["llama_cpp"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"llama.cpp at {own}"
    keys = read_header(tmp_path / "gguf" / "Tiny-Llama-Q8_0.gguf").keys
    assert keys["general.made_with"] == "my checkout"
