"""The proof of a 4-bit model: equal to what bitsandbytes computes, whatever the weights are.

Seen: torch and MKL with AVX2 and on their plain paths; AVX-512 in CI.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from merged_models import save as save_model
from merged_tools import save_llama
from saved_models import checkpoint_artifact
from uploader_core.plugin import (
    IntegrityError,
    OutputFolder,
    ReleaseInfo,
    SourceError,
    StepContext,
)
from uploader_lora import read_header
from uploader_merged import open_checkpoint
from uploader_merged.four_bit.proof import prove
from uploader_merged.four_bit.save import save
from uploader_merged.settings import Merged4Settings

pytestmark = pytest.mark.bits

Q = "model.layers.0.self_attn.q_proj.weight"
Tensors = dict[str, torch.Tensor]


def quantise(base: Path, root: Path, **settings: Any) -> dict[str, Any]:
    """Quantise a model folder, the proof included; return the proof."""
    made = save(
        StepContext(
            step="merged:4bit",
            inputs=(checkpoint_artifact(base, None),),
            settings=Merged4Settings(**settings),
            release=ReleaseInfo(name="tiny", source="adapter"),
            output=OutputFolder(root / "merged-4bit", root / "scratch", root / "units"),
            work=root / "scratch",
            produces="merged-4bit",
        )
    )
    proof: Any = made.metadata["proof"]
    return dict(proof)


def prove_again(base: Path, root: Path, **settings: Any) -> None:
    file = root / "merged-4bit" / "model.safetensors"
    prove(open_checkpoint(base), read_header(file).tensors, Merged4Settings(**settings))


def damage(root: Path, change: Callable[[Tensors], None]) -> None:
    file = root / "merged-4bit" / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    """A model whose blocks have largest weights of very different size, as real ones have."""
    base = save_model("llama", tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    torch.manual_seed(4)
    for name, tensor in tensors.items():
        if "proj" in name:
            rows = torch.exp(1.5 * torch.randn(tensor.shape[0], 1))
            tensors[name] = (tensor.float() * rows).to(tensor.dtype)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    return base


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_what_double_quantisation_loses_is_no_fault(
    kind: str, uneven: Path, tmp_path: Path
) -> None:
    proof = quantise(uneven, tmp_path, bnb_type=kind)
    assert proof["recomputed_tensors"] == 14
    # Farther from the weights than any code of an exact scale could be.
    assert proof["largest_error_of_a_block"] > 0.2
    prove_again(uneven, tmp_path, bnb_type=kind)


@pytest.mark.parametrize("block", [32, 4096])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_blocks_that_cross_rows_and_end_early(
    architecture: str, block: int, tmp_path: Path
) -> None:
    base = save_model(architecture, tmp_path / "base")
    for nested in (True, False):
        root = tmp_path / str(nested)
        proof = quantise(base, root, bnb_block_size=block, bnb_double_quant=nested)
        assert proof["recomputed_tensors"] > 0


def flip_a_code(tensors: Tensors) -> None:
    tensors[Q][17] ^= 0x10


def exchange_blocks(tensors: Tensors) -> None:
    """Let two blocks of 64 change places with all that belongs to them."""
    packed, scales = tensors[Q], tensors[f"{Q}.absmax"]
    codes = packed.view(-1)[: 32 * (len(packed) // 32)].view(-1, 32)
    a, b = 0, next(n for n in range(1, len(codes)) if scales[n] != scales[0])
    for part in (codes, scales):
        part[a], part[b] = part[b].clone(), part[a].clone()


def nudge_a_scale(tensors: Tensors) -> None:
    tensors[f"{Q}.absmax"][3] += 1


def nudge_the_scale_of_scales(tensors: Tensors) -> None:
    scale = tensors[f"{Q}.nested_absmax"]
    scale[0] = torch.nextafter(scale[0], torch.tensor(9.0))


def change_state(**values: object) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        name = next(n for n in tensors if n.startswith(f"{Q}.quant_state"))
        state = {**json.loads(bytes(tensors[name].tolist())), **values}
        tensors[name] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)

    return change


def change_table(ending: str) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[f"{Q}.{ending}"][5] *= 1.001

    return change


DAMAGES = {
    "a code": (flip_a_code, "code of weight 34"),
    "two blocks": (exchange_blocks, "scale of block 0"),
    "a scale": (nudge_a_scale, "scale of block 3"),
    "a scale of scales": (nudge_the_scale_of_scales, "scale of scales 0"),
    "the offset": (change_state(nested_offset=0.01), "scale of scales 0"),
    "the shape": (change_state(shape=[48, 49]), "state"),
    "the block size": (change_state(blocksize=128), "state"),
    "the code table": (change_table("quant_map"), "code table 5"),
    "the table of scales": (change_table("nested_quant_map"), "table of scales 5"),
}


@pytest.mark.parametrize(("change", "what"), DAMAGES.values(), ids=list(DAMAGES))
def test_damage_is_found(
    change: Callable[[Tensors], None], what: str, uneven: Path, tmp_path: Path
) -> None:
    quantise(uneven, tmp_path)
    damage(tmp_path, change)
    with pytest.raises(IntegrityError, match=rf"q_proj\.weight: .*{what}"):
        prove_again(uneven, tmp_path)


def last_bit_of_a_scale(tensors: Tensors) -> None:
    scale = tensors[f"{Q}.absmax"]
    scale[3] = torch.nextafter(scale[3], torch.tensor(9.0))


@pytest.mark.parametrize("change", [flip_a_code, exchange_blocks, last_bit_of_a_scale])
def test_damage_is_found_without_double_quantisation(
    change: Callable[[Tensors], None], uneven: Path, tmp_path: Path
) -> None:
    quantise(uneven, tmp_path, bnb_double_quant=False)
    damage(tmp_path, change)
    with pytest.raises(IntegrityError, match="q_proj"):
        prove_again(uneven, tmp_path, bnb_double_quant=False)


def test_a_matrix_of_several_pieces(tmp_path: Path) -> None:
    base = save_llama(tmp_path / "base", hidden_size=512, intermediate_size=4352)
    quantise(base, tmp_path)
    name = "model.layers.0.mlp.up_proj.weight"  # of which the second piece is looked at

    def change(tensors: Tensors) -> None:
        tensors[name][-1] ^= 1

    damage(tmp_path, change)
    with pytest.raises(IntegrityError, match="code of weight 2228223"):
        prove_again(base, tmp_path)


def test_nan_has_no_4_bit_form(uneven: Path, tmp_path: Path) -> None:
    tensors = load_file(uneven / "model.safetensors")
    tensors[Q][2, 3] = torch.nan
    save_file(tensors, uneven / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SourceError, match=r"q_proj\.weight holds NaN"):
        quantise(uneven, tmp_path)


def test_another_weight_is_found(uneven: Path, tmp_path: Path) -> None:
    quantise(uneven, tmp_path)
    tensors = load_file(uneven / "model.safetensors")
    tensors[Q][2, 3] = tensors[Q][2].abs().max()
    save_file(tensors, uneven / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(IntegrityError, match="q_proj"):
        prove_again(uneven, tmp_path)
