"""OLLAMA_HOST, as Ollama reads it (envconfig/config_test.go has the same cases)."""

from __future__ import annotations

import pytest

from uploader_core.plugin import RefusedError
from uploader_ollama.server.address import read_address, refuse_remote


@pytest.mark.parametrize(
    "value, url",
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://example.com:8080/ollama", "https://example.com:8080/ollama"),
        ("ollama.com", "https://ollama.com:443"),
        ("[::1]:1337", "http://[::1]:1337"),
        ("::1", "http://[::1]:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("localhost:66666", "http://localhost:11434"),
        ('" localhost "', "http://localhost:11434"),
    ],
)
def test_addresses(value: str, url: str) -> None:
    assert read_address({"OLLAMA_HOST": value}).url == url


@pytest.mark.parametrize("value", ["", "localhost", "127.5.0.1", "[::1]", "0.0.0.0"])
def test_this_machine(value: str) -> None:
    refuse_remote(read_address({"OLLAMA_HOST": value}), allowed=False)


@pytest.mark.parametrize("value", ["10.0.0.1", "https://ollama.example", "localhost.example"])
def test_another_machine_needs_to_be_allowed(value: str) -> None:
    address = read_address({"OLLAMA_HOST": value})
    with pytest.raises(RefusedError, match="another machine"):
        refuse_remote(address, allowed=False)
    refuse_remote(address, allowed=True)
