"""What the preflight is given, and what it finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gguf_oracles import context
from uploader_core.plugin import Finding, PlanContext, ReleaseInfo
from uploader_gguf import preflight
from uploader_gguf.settings import GgufSettings


def plan_context(folder: Path, **settings: Any) -> PlanContext:
    given = context(folder, folder)
    return PlanContext(
        inputs=given.inputs,
        settings=GgufSettings(**settings),
        release=ReleaseInfo(name=folder.name, source="checkpoint"),
        output=folder / "out",
    )


def findings(folder: Path, **settings: Any) -> list[Finding]:
    return list(preflight.check(plan_context(folder, **settings)))
