"""What people wrote into a card stays, here and on the Hub; only our block is replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from uploader_core.plugin import Receipt, UploadFile
from uploader_hf.model_card.own_text import Card, keep, take_apart

OURS = "license: mit\ntags: [uploader]"


def made(block: str, before: str = "", head: str = OURS) -> str:
    return str(Card(head=head, before=before, block=block).signed())


def test_a_card_taken_apart_is_put_together_the_same() -> None:
    text = made("ours", before="# Mine")
    card = take_apart(text)
    assert (card.head, card.before.strip(), card.block.strip()) == (OURS, "# Mine", "ours")
    assert str(card) == text


def test_a_card_that_nobody_touched_becomes_the_new_one() -> None:
    standing, new = take_apart(made("old", "# Mine")), take_apart(made("new", "# Mine, better"))
    assert str(keep(new, standing)) == str(new)


def test_words_around_the_block_stay_where_they_are() -> None:
    edited = made("old", "# Mine").replace("# Mine", "# Edited there") + "\nThanks!\n"
    text = str(keep(take_apart(made("new", "# Mine")), take_apart(edited)))
    assert text.index("# Edited there") < text.index("new") < text.index("Thanks!")
    assert "old" not in text
    assert "# Mine" not in text


def test_metadata_that_somebody_changed_stay_and_are_completed() -> None:
    edited = made("old").replace("mit", "apache-2.0").replace("[uploader]", "[mine]")
    new = take_apart(made("new", head=OURS + "\npipeline_tag: text-generation"))
    data = take_apart(str(keep(new, take_apart(edited)))).head
    assert data == ("license: apache-2.0\ntags:\n- mine\n- uploader\npipeline_tag: text-generation")


def test_metadata_that_the_hub_does_not_take_do_not_stay() -> None:
    edited = made("old").replace("mit", "Do What You Like")
    assert "license: mit" in str(keep(take_apart(made("new")), take_apart(edited)))


@pytest.mark.parametrize("text", ["# Old\n", "---\nlicense: mit\n---\n# Old\n", "# Old"])
def test_a_card_without_a_block_keeps_all_its_words(text: str) -> None:
    kept = str(keep(take_apart(made("ours")), take_apart(text)))
    assert kept.index("# Old") < kept.index("ours")


@pytest.fixture
def manifested(release: list[UploadFile], tmp_path: Path) -> Callable[[str], list[UploadFile]]:
    """The release with a card of ours and a manifest that lists every file."""

    def files(block: str) -> list[UploadFile]:
        found = {file.name: file for file in release}
        found["README.md"] = written("README.md", made(block), tmp_path)
        listed = [{"path": f.name, "size": f.size, "sha256": f.sha256} for f in found.values()]
        text = json.dumps({"schema": "uploader.manifest/1", "files": listed})
        return [*found.values(), written("upload_manifest.json", text, tmp_path)]

    return files


def written(name: str, text: str, folder: Path) -> UploadFile:
    path = folder / name
    path.write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    size = len(text.encode())
    return UploadFile(name=name, path=path, size=size, sha256=digest, role="document", kind="x")


def read(api: Any, name: str) -> str:
    return Path(api.hf_hub_download("me/tiny", name)).read_text()


def test_words_written_on_the_hub_survive_the_next_release(
    api: Any,
    upload: Callable[..., Receipt],
    manifested: Callable[[str], list[UploadFile]],
) -> None:
    upload(files=manifested("first"))
    edited = read(api, "README.md") + "\nWritten on the Hub.\n"
    api.upload_file(path_or_fileobj=edited.encode(), path_in_repo="README.md", repo_id="me/tiny")
    upload(files=manifested("second"))
    card = read(api, "README.md")
    assert card.index("second") < card.index("Written on the Hub.")
    assert "first" not in card
    listed = {f["path"]: f for f in json.loads(read(api, "upload_manifest.json"))["files"]}
    assert listed["README.md"]["sha256"] == hashlib.sha256(card.encode()).hexdigest()
    assert listed["README.md"]["size"] == len(card.encode())


def test_a_card_that_stood_there_before_the_first_release_keeps_its_words(
    api: Any,
    upload: Callable[..., Receipt],
    manifested: Callable[[str], list[UploadFile]],
) -> None:
    api.create_repo("me/tiny", private=True)
    api.upload_file(path_or_fileobj=b"# By hand\n", path_in_repo="README.md", repo_id="me/tiny")
    files = manifested("ours")
    upload(files=files)
    first = read(api, "README.md")
    assert first.index("# By hand") < first.index("ours")
    again = upload(files=[replace(f) for f in files])
    assert again.bytes_sent == 0
    assert read(api, "README.md") == first


def test_repository_of_several_formats_has_the_metadata_that_all_agree_on(
    upload: Callable[..., Receipt], api: Any, release: list[UploadFile], tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    shared = "base_model: acme/base\nlicense: mit\n"
    texts = {
        "README.md": "# tiny\n\n| folder | files |\n",
        "lora/README.md": f"---\n{shared}library_name: peft\ntags: [uploader, lora]\n---\n# a\n",
        "gguf/README.md": f"---\n{shared}library_name: gguf\ntags: [uploader, gguf]\n---\n# b\n",
    }
    files = list(release[:3])
    for name, text in texts.items():
        path = tmp_path / "cards" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        files.append(replace(release[3], name=name, path=path, size=len(text), sha256=digest))
    for _ in range(2):
        upload(files=files)
    there = ModelCard.load(api.hf_hub_download("me/tiny", "README.md"))
    assert there.data.to_dict() == {
        "base_model": "acme/base", "license": "mit", "tags": ["uploader", "lora", "gguf"]
    }  # fmt: skip
    assert there.text.strip() == texts["README.md"].strip()
    assert len(api.list_repo_commits("me/tiny")) == 2
