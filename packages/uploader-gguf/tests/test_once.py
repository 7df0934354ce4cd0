"""What a step does once, although several of its parts need it."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gguf_llamas import fine_tune
from gguf_oracles import context
from uploader_core.plugin import IntegrityError
from uploader_gguf import step
from uploader_gguf.format.gguf_file import read_header
from uploader_gguf.llama_cpp import smoke
from uploader_merged import open_checkpoint


class _Watch:
    """Counts the files that are opened, by name, and the processes that are started."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.started = 0
        self._on = False
        sys.addaudithook(self._hear)

    def __enter__(self) -> _Watch:
        self._on = True
        return self

    def __exit__(self, *error: object) -> None:
        self._on = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open" and isinstance(arguments[0], str):
            self.opened[Path(arguments[0]).name] += 1
        elif event == "subprocess.Popen":
            self.started += 1


def test_a_step_opens_its_checkpoint_once_and_starts_llama_cpp_for_prompts_and_for_files(
    llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NODE_PATH", raising=False)  # or transformers.js would be asked as well
    adapter, _ = fine_tune(llama_folder, tmp_path)
    with _Watch() as opening:
        open_checkpoint(llama_folder, adapter)
    assert opening.opened["adapter_config.json"] > 0
    given = context(
        llama_folder,
        tmp_path,
        adapter=adapter,
        quants=("F16", "Q8_0", "Q4_K_M"),
        template_check=True,
    )
    with _Watch() as whole:
        step.convert(given)
    assert whole.opened["adapter_config.json"] == opening.opened["adapter_config.json"]
    assert whole.started == 3  # and a child that renders templates, once for all of them


def test_one_process_answers_for_several_files_and_names_the_one_that_is_broken(
    llama_folder: Path, tmp_path: Path
) -> None:
    artifact = step.convert(
        context(llama_folder, tmp_path, quants=("F16", "Q8_0"), smoke_test=False)
    )
    first, second = (artifact.file(file.name) for file in artifact.files)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(first.read_bytes()[:-100_000])
    with smoke.LlamaCpp() as llama:
        for path in (first, second):
            alone = smoke.ask(path, "The quick", 4)
            assert llama.ask(path, "The quick", 4) == alone
            assert read_header(path).keys
        with pytest.raises(IntegrityError, match=r"broken\.gguf: .*(load|read|bounds)"):
            llama.check(broken)
