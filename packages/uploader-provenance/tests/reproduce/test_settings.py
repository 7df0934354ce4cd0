"""The settings of a release, as far as its manifest has them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from uploader_core.plugin import SourceError, UsageError
from uploader_provenance.reproduce.published import Published
from uploader_provenance.reproduce.settings import Known, restore

FIELDS = {
    "text": Known(default="builtin", reads=True),
    "size": Known(default=1, reads=False),
}


def release(settings: dict[str, Any], **step: Any) -> Published:
    about = {
        "id": "acme:thing", "kind": "thing", "plugin": "acme", "distribution": "acme",
        "version": "1", "settings": settings, "inputs": [], **step,
    }  # fmt: skip
    return Published(
        reference="it", folder=Path(), complete=False, manifest={"steps": [about]}, release_id=""
    )


def test_recorded_settings_are_given_again_defaults_too() -> None:
    found = restore(release({"text": "builtin", "size": 7}), {}, lambda _: FIELDS)
    assert found.values == {"acme": {"text": "builtin", "size": 7}}


def test_file_of_the_maker_is_asked_for() -> None:
    made = release({"text": "mine.txt"}, contents={"text": [["mine.txt", "0" * 64]]})
    with pytest.raises(SourceError, match=r"acme\.text = mine\.txt") as caught:
        restore(made, {}, lambda _: FIELDS)
    assert caught.value.next == "get that file and name it: --setting acme.text=FILE"


def test_words_that_could_be_a_file_and_were_none_are_taken() -> None:
    found = restore(release({"text": "some words"}, contents={}), {}, lambda _: FIELDS)
    assert found.values == {"acme": {"text": "some words"}}


def test_manifest_of_an_older_version_does_not_say_what_was_a_file() -> None:
    with pytest.raises(SourceError, match="only its maker has"):
        restore(release({"text": "some words"}), {}, lambda _: FIELDS)


def test_file_that_is_given_has_to_be_the_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    made = release({"text": "mine.txt"}, contents={"text": [["mine.txt", digest]]})
    given = {"acme.text": str(file)}
    assert restore(made, given, lambda _: FIELDS).values == {"acme": {"text": str(file)}}
    file.write_text("other")
    with pytest.raises(SourceError, match="is not the file"):
        restore(made, given, lambda _: FIELDS)


def test_setting_that_is_not_known_any_more_is_named() -> None:
    found = restore(release({"size": 7, "gone": True}), {}, lambda _: FIELDS)
    assert found.lost == ("acme has no setting gone any more (True then)",)


def test_setting_that_the_release_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"acme\.other"):
        restore(release({"size": 7}), {"acme.other": "x"}, lambda _: FIELDS)


@pytest.mark.parametrize("contents", [{}, {"code": []}, None])
def test_path_in_a_manifest_of_somebody_else_is_never_followed(
    tmp_path: Path, contents: dict[str, Any] | None
) -> None:
    (tmp_path / "llama.cpp").mkdir()
    more = {} if contents is None else {"contents": contents}
    made = release({"code": str(tmp_path / "llama.cpp")}, **more)
    fields = {"code": Known(default=None, reads=True, path=True)}
    with pytest.raises(SourceError, match="only its maker has"):
        restore(made, {}, lambda _: fields)


def test_word_that_is_the_name_of_a_file_here_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text("mine")
    with pytest.raises(SourceError, match="only its maker has"):
        restore(release({"text": "secret.txt"}, contents={}), {}, lambda _: FIELDS)
