"""What is said before anything runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gguf_checks import findings, plan_context
from gguf_oracles import convert
from uploader_core.plugin import IntegrityError, RefusedError, UsageError
from uploader_gguf import preflight
from uploader_gguf.llama_cpp import toolchain
from uploader_gguf.settings import GgufSettings


def changed(folder: Path, place: Path, **config: Any) -> Path:
    copy = place / "copy"
    shutil.copytree(folder, copy)
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | config), "utf-8")
    return copy


def test_a_good_model_passes(llama_folder: Path) -> None:
    assert findings(llama_folder) == []


def test_an_unknown_architecture_is_refused_with_near_names(
    llama_folder: Path, tmp_path: Path
) -> None:
    folder = changed(llama_folder, tmp_path, architectures=["LlamaForCausalLN"])
    (finding,) = findings(folder)
    assert finding.level == "error"
    assert "LlamaForCausalLM" in finding.what
    assert "--gguf-llama-cpp" in str(finding.next)


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq"])
def test_a_quantised_base_is_refused(method: str, llama_folder: Path) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "quantization_config": {"quant_method": method},
    }
    (finding,) = preflight.quantization(config)
    assert method in finding.what
    assert "--base" in str(finding.next)


def test_a_quantised_part_of_a_larger_model_is_seen() -> None:
    nested = {"text_config": {"quantization_config": {"quant_method": "bitsandbytes"}}}
    assert [f.level for f in preflight.quantization(nested)] == ["error"]


def test_few_bits_need_a_matrix(llama_folder: Path, tmp_path: Path) -> None:
    (finding,) = findings(llama_folder, quants=("IQ1_S", "Q4_K_M"))
    assert "IQ1_S" in finding.what
    (tmp_path / "m.dat").write_bytes(b"no matrix at all")
    with pytest.raises(RefusedError, match="not an importance matrix"):
        findings(llama_folder, quants=("IQ1_S",), imatrix=tmp_path / "m.dat")


def test_a_folder_that_is_no_llama_cpp_is_refused(llama_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a llama"):
        findings(llama_folder, llama_cpp=tmp_path)


def test_an_own_checkout_is_used(llama_folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "llama.cpp"
    # Another process may be about to compile a module of it.
    shutil.copytree(toolchain.find().root, own, ignore=shutil.ignore_patterns("__pycache__"))
    assert findings(llama_folder, llama_cpp=own) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [("ffn_down=Q9_K", "is not a type"), ("ffn(=Q6_K", "regular expression"), ("Q6_K", "type")],
)
def test_a_wrong_type_for_a_tensor_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        GgufSettings(tensor_types=(text,)).overrides()


def test_checking_imports_nothing_heavy(llama_folder: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from uploader_core.plugin import Artifact, PlanContext, ReleaseInfo
from uploader_gguf import plugin, preflight
from uploader_gguf.settings import GgufSettings
folder = {str(llama_folder)!r}
checkpoint = Artifact(
    kind="checkpoint", path=Path(folder), metadata=dict(base=folder, adapters=[])
)
context = PlanContext(
    inputs=(checkpoint,), settings=GgufSettings(), output=Path(folder),
    release=ReleaseInfo(name="m", source="checkpoint"),
)
list(preflight.check(context)), preflight.estimate(context)
heavy = set(sys.modules) & {{"torch", "transformers", "numpy", "gguf", "huggingface_hub", "peft"}}
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("folder", ["llama_folder", "odd_folder"])
def test_the_estimate_is_within_one_percent(
    folder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(folder)
    quants = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_S", "IQ4_XS")
    files = convert(model, tmp_path, quants, smoke_test=False, tokenizer_check=False)
    real = {path.name: path.stat().st_size for path in files.values()}
    said = dict(preflight.estimate(plan_context(model, quants=quants)).files)
    assert said == {name: pytest.approx(size, rel=0.01) for name, size in real.items()}


def test_a_wrong_pre_tokenizer_fails_the_step(odd_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="otherwise than the model"):
        convert(odd_folder, tmp_path, ("Q8_0",), pre_tokenizer="command-r")


def test_the_architectures_of_the_tool_chain_are_many() -> None:
    known = toolchain.find().architectures()
    assert len(known["text"]) > 200
    assert len(known["mmproj"]) > 50


def test_the_estimate_names_the_parts_of_files_that_will_be_cut(llama_folder: Path) -> None:
    context = plan_context(llama_folder, quants=("Q8_0",), split_size=1_000_000)
    names = [name for name, _ in preflight.estimate(context).files if "Q8_0" in name]
    assert len(names) > 1 and names[0].endswith(f"-Q8_0-00001-of-{len(names):05d}.gguf")
