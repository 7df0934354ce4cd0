"""Lines of ``uploader doctor`` about llama.cpp."""

from __future__ import annotations

from uploader_gguf.diagnosis import diagnose


def test_tool_chain() -> None:
    lines = {line.name: line for line in diagnose()}
    assert {*lines} == {"conversion", "llama.cpp"}
    assert all(line.level == "ok" for line in lines.values())
    assert "architectures" in lines["conversion"].what
