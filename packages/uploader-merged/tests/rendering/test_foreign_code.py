"""Code beside a model is not run, even by a library that trusts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uploader_merged.foreign_code import without_foreign_code


@pytest.mark.parametrize("said", [{"trust_remote_code": True}, {}])
def test_tokenizer_of_a_stranger_is_not_imported(
    said: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    canary, folder = tmp_path / "canary", tmp_path / "model"
    folder.mkdir()
    code = f"open({str(canary)!r}, 'w').close()\nclass Own: pass\n"
    (folder / "tokenization_own.py").write_text(code)
    mapped = {"auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Own", **mapped}))
    (folder / "config.json").write_text('{"model_type": "llama"}')

    with without_foreign_code(), pytest.raises(ValueError):
        AutoTokenizer.from_pretrained(folder, **said)

    assert not canary.exists()
