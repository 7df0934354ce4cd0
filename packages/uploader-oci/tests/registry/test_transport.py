"""Requests: http off loopback, redirects, and errors of connections in our words."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from loopback_server import QuietHandler, serving
from uploader_core.plugin import RefusedError, TemporaryError
from uploader_oci.loopback import HOW_TO_GET, is_available, loopback_registry
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.client import Registry
from uploader_oci.registry.line import Options
from uploader_oci.registry.reference import parse_reference

SECRETS = {"UPLOADER_OCI_USERNAME": "me", "UPLOADER_OCI_PASSWORD": "pw"}
SEEN: list[tuple[str, str | None]] = []


class Storage(QuietHandler):
    """A registry that wants a password and redirects to a storage on another port."""

    storage: str | None = None

    def do_GET(self) -> None:
        SEEN.append((self.path, self.headers.get("Authorization")))
        if self.storage is None:
            body = b"0123456789"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        if self.headers.get("Authorization") is None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        else:
            self.send_response(307)
            self.send_header("Location", f"{self.storage}/signed?x=1")
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def redirecting() -> Iterator[str]:
    """Start both and return the host of the registry."""
    SEEN.clear()
    with serving(Storage) as storage:
        redirecting = type("Redirecting", (Storage,), {"storage": storage})
        with serving(redirecting) as url:
            yield url.removeprefix("http://")


def test_the_storage_behind_a_registry_is_not_told_the_login(redirecting: str) -> None:
    with Registry(parse_reference(f"{redirecting}/a/b"), secrets=SECRETS) as registry:
        assert registry.read_range("sha256:" + "0" * 64, 2, 5) == b"234"
    assert [authorization is not None for _, authorization in SEEN] == [False, True, False]


def test_http_to_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = parse_reference("registry.example.org:5000/a/b")
    monkeypatch.setenv("OCI_ENDPOINT", "http://registry.example.org:5000")
    with pytest.raises(RefusedError, match="is another machine, and http") as error:
        Registry(reference, secrets={})
    assert "--oci-plain-http" in str(error.value.next)
    registry = Registry(reference, secrets={}, options=Options(plain_http=True))
    assert registry.transport.url("/v2/") == "http://registry.example.org:5000/v2/"
    registry.transport.close()


def test_another_machine_is_spoken_to_by_https() -> None:
    with Registry(parse_reference("registry.example.org/a/b"), secrets={}) as registry:
        assert registry.transport.url("/v2/") == "https://registry.example.org/v2/"
        # A registry behind a proxy that ends encryption does not know better.
        named = "http://registry.example.org/v2/a/b/blobs/uploads/1?_state=x"
        assert registry.transport.url(named) == named.replace("http:", "https:")
        assert registry.transport.url("https://storage.example.org/x").endswith("/x")
        with pytest.raises(RefusedError, match="without encryption"):
            registry.transport.url("http://storage.example.org/x")


def test_https_where_http_is_spoken(redirecting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_ENDPOINT", f"https://{redirecting}")
    with (
        Registry(parse_reference(f"{redirecting}/a/b"), secrets={}) as registry,
        pytest.raises(RefusedError, match="does not speak https"),
    ):
        registry.check_read()


@pytest.mark.parametrize(
    ("proxy", "said"), [("socks5://127.0.0.1:9", "SOCKS"), ("ftp://me:pw@127.0.0.1:9", "proxy")]
)
def test_a_proxy_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)  # an extra of httpx
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(RefusedError, match=said) as error:
        Registry(parse_reference("registry.example.org/a/b"), secrets={})
    assert "NO_PROXY" in str(error.value.next)
    assert "pw" not in str(error.value)


@pytest.mark.usefixtures("no_waiting")
def test_nobody_answers() -> None:
    with (
        Registry(parse_reference("127.0.0.1:9/a/b"), secrets={}) as registry,
        pytest.raises(TemporaryError, match=r"no answer from 127\.0\.0\.1:9"),
    ):
        registry.check_read()


def test_https_with_an_authority_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_available():
        pytest.skip(HOW_TO_GET)
    with loopback_registry(encrypted=True) as server:
        host = server.host.replace("127.0.0.1", "localhost")
        reference = parse_reference(f"{host}/a/b")
        with (
            Registry(reference, secrets={}) as registry,
            pytest.raises(RefusedError, match="speaks https only") as error,
        ):
            registry.check_push()
        assert str(error.value.next).startswith(f"OCI_ENDPOINT=https://{host}")
        monkeypatch.setenv("OCI_ENDPOINT", f"https://{host}")
        with (
            Registry(reference, secrets={}) as registry,
            pytest.raises(RefusedError, match="certificate of .* is not trusted") as error,
        ):
            registry.check_read()
        assert str(error.value.next).startswith("SSL_CERT_FILE=")
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        with Registry(reference, secrets={}, push=True) as registry:
            blob = Blob.of_bytes(b"encrypted", "x")
            assert registry.push_blob(blob).how == "sent"
            assert registry.read_blob(blob.digest, blob.size) == b"encrypted"
