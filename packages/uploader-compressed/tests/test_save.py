"""The files of a run: every tensor is the library's, and transformers loads them complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from compressed_tensors.quantization import QuantizationConfig, preset_name_to_scheme

from compressed_models import EXPERTS, FOR_VLLM, KINDS, UNREAD, model_class, save, train
from compressed_tools import by_the_library, compress, merged, plan, quantization, save_merged
from saved_models import load_all, same_bits
from uploader_compressed.preflight import estimate
from uploader_compressed.schemes import DATA_FREE, SCHEMES
from uploader_compressed.selection import FUSED
from uploader_merged.weight_files import INDEX

pytestmark = pytest.mark.bits  # equal with AVX-512, with AVX2 alone and without either


@pytest.fixture(scope="module", params=KINDS)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All schemes of a fine-tune in one pass: (architecture, folder, base, adapter)."""
    kind, root = request.param, tmp_path_factory.mktemp(request.param)
    base = save(kind, root / "base")
    adapter = train(kind, base, root / "adapter")
    compress(root, base, adapter, *DATA_FREE)
    save_merged(root, base, adapter)
    return kind, root, base, adapter


def taken_apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Fused experts cut as llm-compressor's ``ExpertMLPWithGate.copy_from_experts_module`` does."""
    found = {}
    for name, tensor in tensors.items():
        for ending, parts in _STACKS.items():
            if name.endswith(ending):
                module = f"{name.removesuffix(ending)}.experts"
                for number, expert in enumerate(tensor):
                    # Of Llama 4 they lie as (in, out).
                    outputs = expert.T if "feed_forward" in name else expert
                    for part, cut in zip(parts, outputs.chunk(len(parts)), strict=True):
                        found[f"{module}.{number}.{part}.weight"] = cut.contiguous()
                break
        else:
            found[name] = tensor
    return found


_STACKS = {
    ".experts.gate_up_proj": ("gate_proj", "up_proj"),
    ".experts.down_proj": ("down_proj",),
    ".input_linear.weight": ("gate_proj", "up_proj"),
    ".output_linear.weight": ("down_proj",),
}


def expected(scheme: str, stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The library's own result for every matrix that a recipe of llm-compressor quantises."""
    found, tensors = {}, taken_apart(stored)
    for name, tensor in tensors.items():
        module = name.removesuffix(".weight")
        parent, _, last = module.rpartition(".")
        stays = ("norm", "embed", "lm_head", "visual", ".gate.", "router")
        if tensor.dim() != 2 or any(word in name for word in stays):
            found[name] = tensor
            continue
        group = next((g for g in FUSED if last in g), ())
        together = tuple(tensors[f"{parent}.{other}.weight"] for other in group)
        parts = by_the_library(scheme, tensor, together)
        found |= {f"{module}.{ending}": part for ending, part in parts.items()}
    return found


@pytest.mark.parametrize("scheme", DATA_FREE)
def test_every_tensor_is_the_librarys(release: Any, scheme: str) -> None:
    _, root, base, adapter = release
    ours = load_all(root / f"compressed-{scheme}")
    theirs = expected(scheme, merged(base, adapter))
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not same_bits(ours[name], theirs[name])] == []


def test_transformers_loads_it_and_says_nearly_the_same(release: Any) -> None:
    kind, root, *_ = release
    if kind in FOR_VLLM:
        pytest.skip("transformers does not load it, as the plan says")
    tokens = torch.arange(2, 42).reshape(2, 20)
    reference = logits(kind, root / "merged-16bit", tokens)
    for scheme in DATA_FREE if kind in ("llama", "qwen3-moe") else ("fp8-dynamic", "w4a16"):
        if kind in EXPERTS and scheme in UNREAD:
            continue  # refused by the plan
        found = logits(kind, root / f"compressed-{scheme}", tokens)
        cosine = torch.nn.functional.cosine_similarity(found, reference, dim=-1)
        assert cosine.mean() > (0.9 if SCHEMES[scheme].bits == 4 else 0.98), scheme


def logits(kind: str, folder: Path, tokens: torch.Tensor) -> torch.Tensor:
    model, info = model_class(kind).from_pretrained(folder, dtype="auto", output_loading_info=True)
    assert not any(info.values())
    with torch.no_grad():
        found: torch.Tensor = model(tokens).logits.float()
    return found


def test_sizes_of_the_plan_are_exact(release: Any) -> None:
    _, root, base, adapter = release
    for scheme in DATA_FREE:
        folder = root / f"compressed-{scheme}"
        files = {p.name: p.stat().st_size for p in folder.iterdir()}
        assert dict(estimate(plan(base, adapter, scheme)).files) == files


@pytest.mark.parametrize("scheme", DATA_FREE)
def test_configuration_is_the_preset(scheme: str, llama: Path, tmp_path: Path) -> None:
    compress(tmp_path, llama, None, scheme)
    stated = QuantizationConfig.model_validate(quantization(tmp_path / f"compressed-{scheme}"))
    preset = preset_name_to_scheme(scheme.upper().replace("-", "_"), ["Linear"])
    found = stated.config_groups["group_0"]
    assert found.model_dump(exclude={"format"}) == preset.model_dump(exclude={"format"})
    assert stated.ignore == ["lm_head", r"re:(.*\.)?(lm_head|embed_out|output_projection)$"]
    assert stated.quantization_status == "compressed"


def test_shards_are_cut_where_those_of_the_16_bit_model_are(llama: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    compress(whole, llama, None, "w4a16", "fp8-dynamic")
    compress(cut, llama, None, "w4a16", "fp8-dynamic", shard_size=200_000)
    for scheme in ("w4a16", "fp8-dynamic"):
        folder = cut / f"compressed-{scheme}"
        index = json.loads((folder / INDEX).read_text("utf-8"))
        assert len(set(index["weight_map"].values())) > 2
        assert sorted(index["weight_map"]) == sorted(load_all(folder))
        ours, theirs = load_all(folder), load_all(whole / f"compressed-{scheme}")
        assert all(same_bits(ours[name], theirs[name]) for name in theirs)


def test_files_are_the_same_whoever_makes_them(llama: Path, tmp_path: Path) -> None:
    kinds, size = ("w4a16", "fp8-dynamic", "nvfp4a16"), 200_000
    whole = compress(tmp_path / "whole", llama, None, *kinds, shard_size=size)
    names = [p.name for p in estimate(plan(llama, None, kinds[0], shard_size=size)).pieces]
    root = tmp_path / "divided"
    for pieces in (names[:1], names[1:]):
        made = compress(root, llama, None, *kinds, pieces=tuple(pieces), shard_size=size)
        assert [[f.name for f in artifact.files] for artifact in made.values()] == [pieces] * 3
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}
    divided = compress(root, llama, None, *kinds, shard_size=size)
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}
    for kind in kinds:
        assert divided[kind].files == whole[kind].files
        assert divided[kind].metadata == whole[kind].metadata


def test_neighbours_are_grouped_alike_in_all_schemes(llama: Path) -> None:
    plans = [plan(llama, None, kind, shard_size=200_000) for kind in DATA_FREE]
    assert len({estimate(each).pieces for each in plans}) == 1


def test_a_calibrated_scheme_is_not_divided(llama: Path) -> None:
    scheme = next(name for name in SCHEMES if name not in DATA_FREE)
    assert estimate(plan(llama, None, scheme, shard_size=200_000)).pieces == ()


def test_one_scheme_does_not_depend_on_the_others(llama: Path, tmp_path: Path) -> None:
    compress(tmp_path / "one", llama, None, "w8a16")
    compress(tmp_path / "all", llama, None, *DATA_FREE)
    one, all_ = (tmp_path / n / "compressed-w8a16" for n in ("one", "all"))
    assert [p.read_bytes() for p in sorted(one.iterdir())] == [
        p.read_bytes() for p in sorted(all_.iterdir())
    ]


def test_what_the_user_ignores_stays(llama: Path, tmp_path: Path) -> None:
    made = compress(tmp_path, llama, None, "fp8-dynamic", ignore=(r".*down_proj$",))
    folder = tmp_path / "compressed-fp8-dynamic"
    tensors = load_all(folder)
    assert tensors["model.layers.0.mlp.down_proj.weight"].dtype == torch.bfloat16
    assert tensors["model.layers.0.mlp.up_proj.weight"].dtype == torch.float8_e4m3fn
    assert "re:.*down_proj$" in quantization(folder)["ignore"]
    kept = made["fp8-dynamic"].metadata["kept_in_16_bit"]
    assert isinstance(kept, list)
    assert "model.layers.1.mlp.down_proj" in kept
    _, info = model_class("llama").from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
