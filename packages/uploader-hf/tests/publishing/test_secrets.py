"""Secrets in text files stop a release to the Hub; how they are found is core's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import LoopbackHub
from secret_files import SECRETS, sources_with_secrets
from uploader_core.plugin import Receipt, RefusedError, UploadFile
from uploader_hf.publishing.check import check


def test_upload_stops_before_the_first_byte(
    upload: Callable[..., Receipt], hub: LoopbackHub, release: list[UploadFile]
) -> None:
    secret = SECRETS["Hugging Face"]
    release[2].path.write_text(f'{{\n "a": 1,\n "key": "{secret}"\n}}')
    changed = dataclasses.replace(release[2], size=release[2].path.stat().st_size)
    with pytest.raises(RefusedError, match=r"config.json:3 a Hugging Face token, hf_A\*\*\*") as e:
        upload(files=[*release[:2], changed, release[3]])
    assert secret not in str(e.value.to_json())
    assert hub.requests == []


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    return sources_with_secrets(tmp_path)


def test_preflight_refuses_them(
    plan_context: Callable[..., Any], hub: LoopbackHub, sources: dict[str, Path]
) -> None:
    context = dataclasses.replace(plan_context(), sources=sources)
    errors = [finding for finding in check(context) if finding.level == "error"]
    assert len(errors) == 9
    assert errors[0].what.startswith(
        "what looks like a secret would be published: LICENSE:2 a GitHub token, ghp_*** "
    )
    assert all(SECRETS[kind] not in str(errors) for kind in ("GitHub", "Slack"))


def test_words_of_a_person_in_the_card_of_a_library_are_looked_at(
    plan_context: Callable[..., Any], hub: LoopbackHub, sources: dict[str, Path]
) -> None:
    card = sources["adapter"] / "README.md"
    context = dataclasses.replace(plan_context(), sources=sources)

    card.write_text("[More Information Needed]\n")
    assert not any("README.md" in finding.what for finding in check(context))

    card.write_text(f"[More Information Needed]\n{SECRETS['Slack']}\n")
    assert any("README.md" in finding.what for finding in check(context))
