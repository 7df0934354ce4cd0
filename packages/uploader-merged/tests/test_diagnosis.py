"""Lines of ``uploader doctor`` about torch, and what the estimate offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from merged_tools import Merge
from uploader_merged.diagnosis import diagnose, torch_line
from uploader_merged.preflight import estimate

VERSION = """
__version__ = '2.13.0{suffix}'
debug = False
cuda: Optional[str] = {cuda}
hip: Optional[str] = {hip}
"""


@pytest.mark.parametrize(
    ("cuda", "hip", "said"),
    [
        ("'12.8'", "None", "CUDA 12.8"),
        ("None", "'6.4'", "ROCm 6.4"),
        ("None", "None", "for the processor alone"),
    ],
)
def test_build_of_torch(cuda: str, hip: str, said: str) -> None:
    line = torch_line(VERSION.format(suffix="", cuda=cuda, hip=hip))
    assert (line.level, line.what) == ("ok", f"2.13.0, {said}")


def test_without_torch() -> None:
    assert torch_line(None).level == "fail"


def test_here() -> None:
    lines = {line.name: line for line in diagnose()}
    assert lines["torch"].level == "ok"
    assert lines["engines"].what.startswith("streaming")


def test_less_disk(llama: Path, adapter: Path, tmp_path: Path, merge: Merge) -> None:
    def levers(base: Path, **settings: str) -> dict[str, int]:
        said = estimate(merge.plan(base, adapter, **settings))
        return {lever.option: lever.saves for lever in said.levers}

    assert "--merged-dtype bfloat16" not in levers(llama, dtype="bfloat16")
    by_peft = estimate(merge.plan(llama, adapter, engine="peft"))
    assert levers(llama, engine="peft")["--merged-engine streaming"] == by_peft.bytes_scratch
