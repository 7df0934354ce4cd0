"""What would not load is refused before it is written, and what is wrong in the files is found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from compressed_models import KINDS, save
from compressed_tools import compress, plan
from uploader_compressed.folder import plan_folder
from uploader_compressed.proof import prove, prove_written
from uploader_compressed.schemes import DATA_FREE
from uploader_compressed.settings import Settings
from uploader_core.plugin import IntegrityError
from uploader_merged import open_checkpoint


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_model_is_proved_to_load(kind: str, tmp_path: Path) -> None:
    assert list(prove(plan(save(kind, tmp_path / "base"), None, "w4a16"))) == []


def test_a_layer_that_is_not_linear_refuses_the_plan(tmp_path: Path) -> None:
    """CTRL's table of tokens has a name that says nothing of an embedding."""
    import transformers as t

    torch.manual_seed(1)
    config = t.CTRLConfig(vocab_size=96, n_embd=64, dff=128, n_layer=1, n_head=2)
    t.CTRLLMHeadModel(config).save_pretrained(tmp_path / "base")
    errors = [f for f in prove(plan(tmp_path / "base", None, "w4a16")) if f.level == "error"]
    assert len(errors) == 1
    assert "would not load the compressed CTRLLMHeadModel complete" in errors[0].what
    assert "transformer.w" in errors[0].what


@pytest.mark.parametrize("scheme", DATA_FREE)
def test_a_code_that_changed_is_found(scheme: str, llama: Path, tmp_path: Path) -> None:
    compress(tmp_path, llama, None, scheme)
    path = tmp_path / f"compressed-{scheme}"
    checkpoint = open_checkpoint(llama)
    folder = plan_folder(checkpoint, scheme, Settings(kinds=(scheme,)))
    assert prove_written(checkpoint, folder, path)["recomputed_tensors"] == 14
    tensors = load_file(path / "model.safetensors")
    for name, tensor in tensors.items():
        if name.endswith(("weight_packed", "proj.weight")):
            tensor.view(torch.uint8)[:, ::7] ^= 0x55
            tensors[name] = tensor
    save_file(tensors, path / "model.safetensors")
    with pytest.raises(IntegrityError, match=f"the proof of {scheme} failed|header"):
        prove_written(checkpoint, folder, path)
