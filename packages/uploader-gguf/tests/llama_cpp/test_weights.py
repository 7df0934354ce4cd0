"""From base and adapter: no merged folder, and the same file as from one.

Seen equal: torch and MKL with AVX2 and on their plain paths, in 1, 2 and 4 threads; AVX-512 in CI.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import save_file

from gguf_llamas import fine_tune
from gguf_oracles import Job, convert, llama_quantize, run_script, same
from uploader_merged import open_checkpoint

pytestmark = pytest.mark.bits


@pytest.fixture(scope="module")
def tuned(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return (adapter folder, folder that peft merged)."""
    return fine_tune(llama_folder, tmp_path_factory.mktemp("tuned"))


def test_every_kind_equals_llama_cpps_tools_on_the_merged_folder(
    llama_folder: Path, tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    adapter, merged = tuned
    kinds = ("F16", "BF16", "Q8_0")
    ours = convert(llama_folder, tmp_path, (*kinds, "Q4_K_M", "Q5_K_M"), adapter=adapter)
    jobs = {k: Job(folder=merged, target=tmp_path / f"{k}.gguf", kind=k) for k in kinds}
    run_script(list(jobs.values()))
    for kind, job in jobs.items():
        same(ours[kind], job.target)
    for kind in ("Q4_K_M", "Q5_K_M"):
        same(ours[kind], llama_quantize(jobs["F16"].target, tmp_path / "theirs.gguf", kind))


def test_the_adapter_is_in_the_file(
    llama_folder: Path, tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    plain = convert(llama_folder, tmp_path / "a", ("F16",), smoke_test=False)["F16"]
    with_adapter = convert(
        llama_folder, tmp_path / "b", ("F16",), adapter=tuned[0], smoke_test=False
    )["F16"]
    assert plain.read_bytes() != with_adapter.read_bytes()


def test_nothing_but_the_files_is_left_on_disk(
    llama_folder: Path, tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    convert(llama_folder, tmp_path, ("Q8_0",), adapter=tuned[0])
    weights = [p for p in tmp_path.rglob("*") if p.suffix in (".safetensors", ".bin", ".partial")]
    assert weights == []


def test_a_base_in_four_bits_is_widened(llama_folder: Path, tmp_path: Path) -> None:
    """The file is the one of the 16-bit model that its values make."""
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    packed, wide = tmp_path / "packed" / "Model", tmp_path / "wide" / "Model"
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    model = AutoModelForCausalLM.from_pretrained(
        llama_folder, quantization_config=config, dtype="auto"
    )
    model.save_pretrained(packed)
    widened = open_checkpoint(packed)  # its own tests compare the values with bitsandbytes
    wide.mkdir(parents=True)
    tensors = {name: widened.read(name) for name in widened.names}
    save_file(tensors, wide / "model.safetensors", metadata={"format": "pt"})
    (wide / "config.json").write_text(json.dumps(dict(widened.config)), "utf-8")
    for path in llama_folder.glob("tokenizer*"):
        shutil.copy(path, packed)
        shutil.copy(path, wide)
    from_packed, from_wide = (
        convert(folder, folder.parent, ("Q8_0",))["Q8_0"] for folder in (packed, wide)
    )
    assert same(from_packed, from_wide) > 20
