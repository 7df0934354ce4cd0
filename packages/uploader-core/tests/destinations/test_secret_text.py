"""Secrets in files as they are on a disk: encodings, escapes, colours, base64, any size."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from uploader_core.destinations.secret_text import LARGEST_BINARY, find_in_file

# Put together here, so that no scanner of this repository takes it for a real one.
TOKEN = "hf" + "_QwErTzUiOpAsDfGhJkLyXcVbNmQaWsEdRf"
KEY = "93b1f7a0c45d28e6f0917ab3c4d58e62f1a7093b"


def found(path: Path, content: bytes) -> list[tuple[int, str]]:
    path.write_bytes(content)
    return [(hit.line, hit.secret) for hit in find_in_file(path)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    text = f"für die Übung\r\nHF_TOKEN={TOKEN}\r\n" + "and so on\r\n" * 9
    assert found(tmp_path / "env.txt", text.encode(encoding)) == [(2, TOKEN)]


@pytest.mark.parametrize(
    "text",
    [
        f"COMET_API_KEY\x1b[0m\x1b[2m=\x1b[0m\x1b[33m{KEY}\x1b[0m",
        json.dumps({"out": f"api_key\x1b[0m=\x1b[33m{KEY}"}),
        json.dumps(json.dumps({"api_key": KEY})),
        json.dumps(["--api-key", KEY], indent=2),
        f"<tr><td>api_key</td><td>{KEY}</td></tr>",
        f"- name: API_KEY\n  value: '{KEY}'",
        f"Set `API_KEY` to\n`{KEY}` and start.",
    ],
)
def test_key_is_known_by_its_name_whatever_stands_between(tmp_path: Path, text: str) -> None:
    assert [secret for _, secret in found(tmp_path / "f.txt", text.encode())] == [KEY]


@pytest.mark.parametrize("name", ["commit", "sha256", "token_type", "tokenizer", "model_version"])
def test_same_characters_are_no_secret_under_another_name(tmp_path: Path, name: str) -> None:
    assert found(tmp_path / "f.json", json.dumps({name: KEY}).encode()) == []


def test_text_in_base64_is_looked_through_where_it_stands(tmp_path: Path) -> None:
    env = base64.b64encode(f"LANG=C\nHF_TOKEN={TOKEN}\n".encode()).decode()
    picture = base64.b64encode(bytes(range(256)) * 40).decode()
    text = json.dumps({"picture": picture, "env": env}, indent=1)
    assert found(tmp_path / "job.json", text.encode()) == [(3, TOKEN)]


def test_one_secret_is_told_once(tmp_path: Path) -> None:
    text = f"HF_TOKEN={TOKEN} git clone https://me:{TOKEN}@huggingface.co/me/m"
    assert found(tmp_path / "run.sh", text.encode()) == [(1, TOKEN)]


@pytest.mark.parametrize("place", [(4 << 20) - 20, (4 << 20) - 2100])
def test_secret_where_two_blocks_meet_is_found_once_with_its_line(
    tmp_path: Path, place: int
) -> None:
    line = b"0123456789abcde\n"
    before = line * (place // len(line))
    content = before + f"HF_TOKEN={TOKEN}\n".encode() + line * 9_000
    assert found(tmp_path / "train.log", content) == [(before.count(b"\n") + 1, TOKEN)]


def test_numbers_are_looked_through_while_they_are_small(tmp_path: Path) -> None:
    content = b"\x80\x02}\x00hub_tokenX%\x00\x00\x00" + TOKEN.encode() + b"\x94"
    assert [secret for _, secret in found(tmp_path / "training_args.bin", content)] == [TOKEN]
    assert found(tmp_path / "optimizer.pt", content + b"\0" * LARGEST_BINARY) == []


@pytest.mark.parametrize("bad", ["token ", "api_key=aA", '"passw": ', "eyJ-", "%3D", "QUJD"])
def test_text_that_means_harm_costs_no_more_than_its_length(tmp_path: Path, bad: str) -> None:
    def seconds(size: int) -> float:
        (tmp_path / "f.json").write_text(bad * (size // len(bad)))
        started = time.process_time()
        find_in_file(tmp_path / "f.json")
        return time.process_time() - started

    assert seconds(400_000) < 8 * (seconds(100_000) + 0.05)
