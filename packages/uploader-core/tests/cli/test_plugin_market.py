"""``plugins search`` and ``plugins install``: indexes of others, and pip."""

from __future__ import annotations

import contextlib
import json
import socket
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pytest

from loopback_server import QuietHandler, serving
from uploader_core.cli.plugin_index import FIRST_PARTY, MOST_BYTES, SCHEMA, download, read_index
from uploader_core.errors import TemporaryError, UsageError

ONNX = {
    "name": "onnx",
    "distribution": "acme-onnx>=1,<2",
    "summary": "ONNX for ONNX Runtime",
    "kinds": ["acme.onnx"],
    "consumes": ["merged-16bit"],
    "core": ">=0.1,<1",
    "tier": "gold",
    "what later versions say": True,
}


def index_of(*plugins: dict[str, Any], schema: str = SCHEMA) -> str:
    return json.dumps({"schema": schema, "plugins": plugins})


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "index.json"
    path.write_text(index_of(ONNX), "utf-8")
    return path


class Pages(QuietHandler):
    answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}

    def do_GET(self) -> None:
        code, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def answering(
    **answers: tuple[int, dict[str, str], bytes],
) -> contextlib.AbstractContextManager[str]:
    handler = type("Handler", (Pages,), {"answers": {f"/{k}": v for k, v in answers.items()}})
    return serving(handler)


def test_own_index_is_part_of_the_package() -> None:
    assert "gguf" in {plugin.name for plugin in read_index(FIRST_PARTY)}


def test_search_shows_what_mentions_a_word(uploader: Any, index: Path) -> None:
    found = uploader("plugins", "search", "RUNTIME", "--index", index).stdout
    assert found.splitlines()[:3] == [
        "onnx  acme-onnx>=1,<2  (gold)",
        "  ONNX for ONNX Runtime",
        "  acme.onnx from merged-16bit",
    ]
    assert "did you mean onnx" in uploader("plugins", "search", "onx", "--index", index).stdout
    (row,) = json.loads(uploader("plugins", "search", "--index", index, "--json").stdout)
    assert row["installed"] is False


def test_settings_name_further_indexes(uploader: Any, index: Path, tmp_path: Path) -> None:
    (tmp_path / "uploader.toml").write_text('[plugins]\nindex = ["index.json"]\n', "utf-8")
    names = [row["name"] for row in json.loads(uploader("plugins", "search", "--json").stdout)]
    assert {"gguf", "onnx"} <= {*names}
    (tmp_path / "uploader.toml").write_text('[plugins]\nindex = "index.json"\n', "utf-8")
    assert "must be a list" in uploader("plugins", "search").stderr


def test_index_is_fetched(uploader: Any) -> None:
    moved = (302, {"Location": "/real"}, b"")
    real = (200, {}, index_of(ONNX).encode())
    with answering(real=real, moved=moved) as address:
        assert "acme.onnx" in uploader("plugins", "search", "--index", f"{address}/moved").stdout
        absent = uploader("plugins", "search", "--index", f"{address}/none")
    assert absent.returncode == 2
    assert "answers 404" in absent.stderr


def test_large_file_is_not_read_to_its_end() -> None:
    page = (200, {}, b" " * (4 * MOST_BYTES))
    with answering(large=page) as address, pytest.raises(UsageError, match="more than 1,048,576"):
        read_index(f"{address}/large")


def test_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/index.json"
        with pytest.raises(TemporaryError, match="cannot be fetched"):
            download(address, seconds=0.2)


def test_redirection_to_a_file_is_not_followed(tmp_path: Path) -> None:
    page = (302, {"Location": (tmp_path / "index.json").as_uri()}, b"")
    with answering(away=page) as address, pytest.raises(UsageError):
        read_index(f"{address}/away")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://x/y", "https://a b/c"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"no http\(s\) address"):
        read_index(address)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"distribution": "--index-url=https://evil.example acme"}, "onnx"),
        ({"distribution": "acme @ https://evil.example/acme.whl"}, "more than a name"),
        ({"distribution": "./acme"}, "onnx"),
        ({"distribution": "acme[x]"}, "more than a name"),
        ({"distribution": "acme; python_version > '3'"}, "more than a name"),
        ({"name": "--yes"}, "no plugin id"),
        ({"summary": "red \x1b[31m"}, "printable"),
        ({"homepage": "javascript:alert(1)"}, "no http"),
        ({"core": "newest"}, "onnx"),
        ({"kinds": "acme.onnx"}, "kinds"),
    ],
)
def test_line_that_is_no_plugin_is_refused(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    path = tmp_path / "index.json"
    path.write_text(index_of({**ONNX, **change}), "utf-8")
    with pytest.raises(UsageError, match=why):
        read_index(str(path))


@pytest.mark.parametrize("text", ["[]", "<html>", index_of(schema="uploader.plugin-index/2")])
def test_file_that_is_no_index_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "index.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match="no index of plugins"):
        read_index(str(path))


@pytest.fixture
def shop(uploader: Any, tmp_path: Path) -> Path:
    """Where pip finds distributions, all it finds; what it installs goes to a folder beside."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    files = {
        "acme_onnx/__init__.py": "",
        "acme_onnx-1.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme-onnx\n"
        "Version: 1.5\n",
        "acme_onnx-1.5.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
        "acme_onnx-1.5.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(folder / "acme_onnx-1.5-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    uploader.environment = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_TARGET": str(tmp_path / "installed"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return folder


def test_install_shows_the_command_and_runs_it(
    uploader: Any, shop: Path, index: Path, tmp_path: Path
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('not pip')", "utf-8")
    result = uploader("plugins", "install", "onnx", "--index", index)
    assert result.returncode == 0, result.stderr
    assert '-m pip install "acme-onnx>=1,<2"' in result.stdout
    assert (tmp_path / "installed" / "acme_onnx-1.5.dist-info").is_dir()


@pytest.mark.usefixtures("shop")
def test_person_on_a_terminal_is_asked_after_the_command_is_shown(
    uploader: Any, index: Path, tmp_path: Path
) -> None:
    pexpect = pytest.importorskip("pexpect")
    program, *rest = uploader.argv("plugins", "install", "onnx", "--index", index)
    terminal = pexpect.spawn(
        program, rest, cwd=tmp_path, env={**uploader.variables()}, dimensions=(30, 200), timeout=60
    )
    terminal.expect("-m pip install .*Go ahead")
    terminal.sendline("n")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert not (tmp_path / "installed").exists()


@pytest.mark.usefixtures("shop")
def test_install_that_fails_says_so(uploader: Any, index: Path) -> None:
    index.write_text(index_of({**ONNX, "distribution": "acme-onnx>=7"}), "utf-8")
    result = uploader("plugins", "install", "onnx", "--index", index)
    assert result.returncode == 8
    assert "pip ended with exit code 1" in result.stderr


def test_unknown_name_is_refused_with_the_close_ones(uploader: Any, index: Path) -> None:
    result = uploader("plugins", "install", "onxx", "--index", index)
    assert result.returncode == 8
    assert "did you mean onnx" in result.stderr


def test_plugin_for_another_core_is_refused(uploader: Any, index: Path) -> None:
    index.write_text(index_of({**ONNX, "core": ">=7,<8"}), "utf-8")
    result = uploader("plugins", "install", "onnx", "--index", index)
    assert result.returncode == 4
    assert "works with uploader-core >=7,<8" in result.stderr


def test_name_of_two_distributions_has_to_be_told_apart(
    uploader: Any, index: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text(index_of({**ONNX, "distribution": "evil-onnx"}), "utf-8")
    both = ("--index", index, "--index", other)
    result = uploader("plugins", "install", "onnx", *both)
    assert result.returncode == 2
    assert "'onnx' is acme-onnx and evil-onnx" in result.stderr


def test_what_is_installed_is_left_alone(uploader: Any, index: Path) -> None:
    index.write_text(index_of({**ONNX, "distribution": "click"}), "utf-8")
    assert "installed already" in uploader("plugins", "install", "onnx", "--index", index).stdout
