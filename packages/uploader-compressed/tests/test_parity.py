"""The folders are what llm-compressor makes of the merged model without data, bit for bit.

``nox -s parity_compressed`` gives it an environment of its own: it pins transformers and
compressed-tensors. Seen equal with llm-compressor 0.14.0.1, compressed-tensors 0.19.0 and
transformers 5.17.0 there.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from compressed_models import (
    EXPERTS,
    FOR_VLLM,
    KINDS,
    UNREAD,
    build,
    model_class,
    save,
    train,
)
from compressed_tools import compress, quantization, save_merged
from saved_models import load_all, same_bits
from uploader_compressed.schemes import DATA_FREE

PYTHON = os.environ.get("UPLOADER_LLM_COMPRESSOR")
"""The Python of an environment with llm-compressor."""

SCRIPT = Path(__file__).parent / "support" / "llm_compressor.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="UPLOADER_LLM_COMPRESSOR names no Python"),
]


@pytest.fixture(scope="module", params=KINDS)
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ours and llm-compressor's of one fine-tune, all schemes: (architecture, root)."""
    kind, root = request.param, tmp_path_factory.mktemp(request.param)
    base = save(kind, root / "base")
    adapter = train(kind, base, root / "adapter")
    compress(root, base, adapter, *DATA_FREE)
    merged = save_merged(root, base, adapter)
    jobs = [
        [type(build(kind)).__name__, str(merged), str(root / f"theirs-{scheme}"),
         scheme.upper().replace("-", "_")]
        for scheme in DATA_FREE
    ]  # fmt: skip
    done = subprocess.run(
        [str(PYTHON), str(SCRIPT), json.dumps(jobs)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return kind, root


@pytest.mark.parametrize("scheme", DATA_FREE)
def test_every_tensor_is_that_of_llm_compressor(folders: Any, scheme: str) -> None:
    kind, root = folders
    ours, theirs = load_all(root / f"compressed-{scheme}"), renamed(kind, root / f"theirs-{scheme}")
    assert ours.keys() == theirs.keys()
    differing = [name for name in ours if not same_bits(ours[name], theirs[name])]
    if kind == "gemma3":
        # It stores 1 + weight while it calibrates, rounded to 16 bits, and takes 1 off again.
        differing = [name for name in differing if "norm" not in name]
    assert differing == []


@pytest.mark.parametrize("scheme", DATA_FREE)
def test_logits_are_those_of_the_folder_of_llm_compressor(folders: Any, scheme: str) -> None:
    kind, root = folders
    if kind in EXPERTS and scheme in UNREAD:
        pytest.skip("refused by the plan")
    if kind in FOR_VLLM:
        pytest.skip("transformers loads neither folder")
    ours, theirs = root / f"compressed-{scheme}", root / f"theirs-{scheme}"
    tensors = renamed(kind, theirs)
    if kind == "gemma3":
        tensors |= {n: t for n, t in load_all(ours).items() if "norm" in n}
    save_file(tensors, theirs / "model.safetensors", metadata={"format": "pt"})
    if kind == "qwen2-vl":
        # Its list of ignored modules has names of the checkpoint (visual.), which transformers
        # compares with its own (model.visual.): it makes scales of random memory for the tower.
        config = json.loads((theirs / "config.json").read_text("utf-8"))
        config["quantization_config"]["ignore"] = quantization(ours)["ignore"]
        (theirs / "config.json").write_text(json.dumps(config), "utf-8")
    found, expected = (logits(kind, folder) for folder in (ours, theirs))
    assert torch.equal(found, expected)


def renamed(kind: str, folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of llm-compressor's folder by the names of the checkpoint.

    It writes Mixtral's w1, w2 and w3 as gate_proj, down_proj and up_proj.
    """
    names = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
    found = {}
    for name, tensor in load_all(folder).items():
        if kind == "mixtral" and "block_sparse_moe.experts" in name:
            for theirs, stored in names.items():
                name = name.replace(f".{theirs}.", f".{stored}.")
        found[name] = tensor
    return found


def logits(kind: str, folder: Path) -> torch.Tensor:
    model, info = model_class(kind).from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(2, 42).reshape(2, 20)).logits
    return found
