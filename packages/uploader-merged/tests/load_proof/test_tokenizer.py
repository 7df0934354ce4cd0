"""The tokenizer that transformers makes of the same files beside an adapter and beside a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers

from merged_tools import LLAMA, train
from saved_models import checkpoint_artifact
from uploader_core.plugin import Finding
from uploader_merged import open_checkpoint
from uploader_merged.load_proof import prove_checkpoint

pytestmark = pytest.mark.skipif(
    transformers.__version__.startswith("4."), reason="transformers 4 goes by the files alone"
)


def tokenizer(*merges: tuple[str, str]) -> Any:
    """A byte-level tokenizer that may join digits, which Qwen2's own rules keep apart."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|endoftext|>", *alphabet, *("".join(pair) for pair in merges)]
    made = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[*merges]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen2")
    config = transformers.Qwen2Config(**{**LLAMA, "vocab_size": 260})
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    return train(base, tmp_path / "adapter", target_modules=["q_proj"], r=2)


def found(base: Path, adapter: Path | None) -> list[Finding]:
    checkpoint = open_checkpoint(checkpoint_artifact(base, adapter))
    return [f for f in prove_checkpoint(checkpoint) if "tokenizer" in f.what]


def test_one_that_the_type_of_the_model_makes_another_is_warned_of(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    own = tokenizer(("1", "2"))
    own.save_pretrained(adapter)
    (warning,) = found(base, adapter)
    assert warning.level == "warning"
    assert "makes a Qwen2Tokenizer" in warning.what
    assert "TokenizersBackend.from_pretrained(FOLDER)" in (warning.next or "")
    # What it says is so.
    merged = tmp_path / "merged"
    own.save_pretrained(merged)
    (merged / "config.json").write_bytes((base / "config.json").read_bytes())
    text = "it's 12345"
    beside = transformers.AutoTokenizer.from_pretrained(merged)(text)["input_ids"]
    assert beside != transformers.AutoTokenizer.from_pretrained(adapter)(text)["input_ids"]
    loaded = transformers.TokenizersBackend.from_pretrained(merged)
    assert loaded(text)["input_ids"] == own(text)["input_ids"]


def test_found_out_once_and_remembered(
    base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer(("1", "2")).save_pretrained(adapter)
    first = found(base, adapter)

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", never)
    assert found(base, adapter) == first


def test_nothing_is_said_of_the_class_of_the_type(base: Path, adapter: Path) -> None:
    transformers.Qwen2Tokenizer.from_pretrained(base).save_pretrained(adapter)
    assert found(base, adapter) == []


def test_nothing_is_said_of_a_model_without_an_adapter(base: Path) -> None:
    assert found(base, None) == []
