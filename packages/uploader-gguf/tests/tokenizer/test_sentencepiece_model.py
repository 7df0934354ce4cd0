"""Vocabularies of sentencepiece are cut as the fine-tune's own tokenizer cuts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gguf_checks import findings
from gguf_llamas import sentencepiece_tokenizer
from gguf_tokenizers import as_transformers_5_saves, keys_of, save_model, tokenised, with_spaces
from uploader_core.plugin import IntegrityError
from uploader_gguf.tokenizer.merge_order import scores_for
from uploader_gguf.tokenizer.own_tokenizer import read_own_tokenizer
from uploader_gguf.writing.roundtrip import TEXTS, probes_for

CORPUS = (
    *TEXTS,
    *(f"a{' ' * n}b{' ' * (n // 2)}c" for n in range(1, 60)),
    "def f(x):\n    if x:\n        return {\n            'a':  x,\n        }\n\n\n\treturn  None\n",
    "0 12 345 6789 3.14  1,000,000   0xFF",
)


def by_score(merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Order merges by the scores of Llama 2 and not by its ids: runs of spaces come last."""
    runs = [pair for pair in merges if set(pair[0] + pair[1]) == {"▁"}]
    return [pair for pair in merges if pair not in runs] + runs


@pytest.mark.parametrize("order", ["of ids", "of scores"])
@pytest.mark.parametrize("keep_model", [True, False])
def test_runs_of_spaces_are_cut_as_the_own_tokenizer_cuts_them(
    order: str, keep_model: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "Model"
    folder.mkdir()
    rows = with_spaces(folder)
    tokenizer = as_transformers_5_saves(folder, keep_model=keep_model)
    if order == "of scores":
        path = folder / "tokenizer.json"
        data = json.loads(path.read_text("utf-8"))
        merges = [tuple(pair) for pair in data["model"]["merges"]]
        data["model"]["merges"] = by_score(merges)
        path.write_text(json.dumps(data), "utf-8")
        tokenizer = type(tokenizer).from_pretrained(folder)
    assert ("▁▁" in tokenizer.tokenize("x  the")) == (order == "of ids")
    keys_of(save_model(folder, rows), tmp_path / "out")
    ours = [tokenizer.encode(text, add_special_tokens=False) for text in CORPUS]
    assert tokenised(tmp_path, *CORPUS) == ours


def test_scores_that_have_the_order_of_merges_stay(tmp_path: Path) -> None:
    sentencepiece_tokenizer(tmp_path)
    as_transformers_5_saves(tmp_path, keep_model=True)
    own = read_own_tokenizer(tmp_path)
    assert own is not None
    assert own.merges is not None
    ids = {text: i for i, text in enumerate(own.tokens) if text is not None}
    scores = [-float(i) for i in range(len(ids))]
    assert scores_for(own.merges, ids, scores, ()) is None
    first, second = (ids[a + b] for a, b in own.merges[:2])
    scores[first], scores[second] = scores[second], scores[first]
    changed = scores_for(own.merges, ids, scores, ())
    assert changed is not None
    assert changed[first] == 0 > changed[second]


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("Gemma2ForCausalLM", {"head_dim": 16}),
        ("Gemma3ForCausalLM", {"head_dim": 16}),
        ("MistralForCausalLM", {}),
        ("Phi3ForCausalLM", {"pad_token_id": 0}),
    ],
)
def test_a_vocabulary_without_tokenizer_model_is_the_same_as_with_it(
    architecture: str, config: dict[str, Any], tmp_path: Path
) -> None:
    """transformers 5 does not save the file that the converter reads."""
    keys = {}
    for name in ("with", "without"):
        folder = tmp_path / name / "Model"
        folder.mkdir(parents=True)
        gemma = architecture.startswith("Gemma")
        rows = sentencepiece_tokenizer(folder, prefix=not gemma)
        changes = {"tokenizer_class": "GemmaTokenizer"} if gemma else {}
        as_transformers_5_saves(folder, keep_model=name == "with", **changes)
        save_model(folder, rows + 8, architecture, **config)
        keys[name] = keys_of(folder, tmp_path / name / "out", tokenizer_check=True)
    tokens, types = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
    for key in (tokens, types):
        assert keys["with"][key] == keys["without"][key]
    assert keys["without"]["tokenizer.ggml.model"] == "llama"
    assert len(keys["without"][tokens]) == rows + 8


def test_a_vocabulary_without_a_space_before_a_text_says_so(tmp_path: Path) -> None:
    """For Llama the converter does not look whether sentencepiece puts one there."""
    folder = tmp_path / "Model"
    folder.mkdir()
    rows = sentencepiece_tokenizer(folder, prefix=False)
    keys = keys_of(save_model(folder, rows), tmp_path / "out", tokenizer_check=True)
    assert keys["tokenizer.ggml.add_space_prefix"] is False


def test_a_unigram_vocabulary_is_refused_with_the_cause(tmp_path: Path) -> None:
    """llama.cpp joins its pieces pair by pair, which no scores can make right."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path / "Model"
    folder.mkdir()
    rows = sentencepiece_tokenizer(folder)
    own = read_own_tokenizer(folder)
    assert own is not None
    pieces = [(token or "", -float(i % 7)) for i, token in enumerate(own.tokens)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_model(folder, rows)
    with pytest.raises(IntegrityError, match="unigram model") as error:
        keys_of(folder, tmp_path / "out", tokenizer_check=True)
    assert "pre-tokenizer" not in str(error.value.next)
    assert "check" not in str(error.value.next)


def test_a_normaliser_that_llama_cpp_lacks_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "Model"
    folder.mkdir()
    rows = sentencepiece_tokenizer(folder)
    as_transformers_5_saves(folder, keep_model=True)
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text("utf-8"))
    data["normalizer"] = {"type": "Lowercase"}
    path.write_text(json.dumps(data), "utf-8")
    save_model(folder, rows)
    with pytest.raises(IntegrityError, match=r"nothing like Lowercase of tokenizer\.json"):
        keys_of(folder, tmp_path / "out", tokenizer_check=True)


def test_a_space_that_llama_cpp_puts_behind_control_tokens_is_named(tmp_path: Path) -> None:
    """Older tokenizers have it as well; newer ones do not, and a GGUF cannot say so."""
    folder = tmp_path / "Model"
    folder.mkdir()
    rows = sentencepiece_tokenizer(folder)
    as_transformers_5_saves(folder, keep_model=False)
    save_model(folder, rows)
    assert [f.level for f in findings(folder)] == ["note"]
    assert "legacy: false" in findings(folder)[0].what
    as_before = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    as_before["pre_tokenizer"]["prepend_scheme"] = "always"
    (folder / "tokenizer.json").write_text(json.dumps(as_before), "utf-8")
    assert findings(folder) == []


def test_every_added_token_is_among_the_texts_that_are_compared(tmp_path: Path) -> None:
    sentencepiece_tokenizer(tmp_path)
    tokenizer = as_transformers_5_saves(tmp_path, keep_model=False)
    tokenizer.add_tokens([f"<t{i}>" for i in range(60)])
    tokenizer.save_pretrained(tmp_path)
    own = read_own_tokenizer(tmp_path)
    assert own is not None
    text = "\n".join(probe.text for probe in probes_for(own, tmp_path) if probe.special)
    for i in range(60):
        assert f"one<t{i}>two <t{i}> three" in text
