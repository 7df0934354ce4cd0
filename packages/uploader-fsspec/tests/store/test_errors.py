"""What S3 answers, as errors that name the bucket and the fix. The server says what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import aiohttp
import httpx
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from loopback_server import QuietHandler, serving
from uploader_core.plugin import (
    AuthError,
    RefusedError,
    SourceError,
    TemporaryError,
    UploaderError,
    UsageError,
)
from uploader_fsspec.store.address import parse_address
from uploader_fsspec.store.errors import is_passing, translated
from uploader_fsspec.store.opening import open_store


class _Refusing(QuietHandler):
    code: ClassVar[str] = ""
    status: ClassVar[int] = 403

    def do_GET(self) -> None:
        body = (
            f"<?xml version='1.0'?><Error><Code>{self.code}</Code>"
            f"<Message>{self.code} it is</Message></Error>"
        ).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Refusing]]:
    """A server that refuses everything, with a code of S3's."""
    with serving(_Refusing) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-1")
        yield _Refusing


@pytest.mark.parametrize(
    ("code", "status", "cls", "what", "fix"),
    [
        ("AccessDenied", 403, AuthError, "listing in s3://b1b/x is not allowed", "ask for the"),
        ("InvalidAccessKeyId", 403, AuthError, "access key is not known there", "AWS_PROFILE"),
        ("SignatureDoesNotMatch", 403, AuthError, "does not fit the access key", "AWS_PROFILE"),
        ("ExpiredToken", 400, AuthError, "token has expired", "AWS_PROFILE"),
        ("RequestTimeTooSkewed", 403, AuthError, "clock of this machine", "timedatectl"),
        ("NoSuchBucket", 404, RefusedError, "there is no bucket b1b", "AWS_ENDPOINT_URL"),
        ("InvalidBucketName", 400, UsageError, "is no address", "check the bucket's name"),
        ("InvalidArgument", 400, RefusedError, "the store refuses listing", "whoever runs"),
        ("OperationAborted", 409, TemporaryError, "failed: .*OperationAborted", "again"),
    ],
)
def test_refusal_names_the_fix(
    refusing: type[_Refusing], code: str, status: int, cls: type[UploaderError], what: str, fix: str
) -> None:
    refusing.code, refusing.status = code, status
    with pytest.raises(cls, match=what) as caught:
        open_store("s3://b1b/x", RefusedError).list_folder()
    assert fix in str(caught.value.next)
    assert "b1b" in f"{caught.value} {caught.value.owner}"
    assert "very-secret" not in str(caught.value.to_json())


def test_what_nobody_knows_passes_as_it_is() -> None:
    address = open_store("memory://x/y", RefusedError).address
    with pytest.raises(ZeroDivisionError), translated(address, "dividing"):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("status", "cls"),
    [(401, AuthError), (403, AuthError), (404, SourceError), (409, RefusedError),
     (429, TemporaryError), (503, TemporaryError)],
)  # fmt: skip
def test_status_of_any_other_store(status: int, cls: type[UploaderError]) -> None:
    error = aiohttp.ClientResponseError(
        aiohttp.RequestInfo(URL("http://b/x"), "GET", CIMultiDictProxy(CIMultiDict())),
        (),
        status=status,
        message="so it is",
    )
    address = parse_address("abfs://b/x")
    with pytest.raises(cls, match="b/x") as caught, translated(address, "listing", SourceError):
        raise error
    assert is_passing(error) == (cls is TemporaryError)
    if cls is AuthError:
        assert "AZURE_STORAGE_CONNECTION_STRING" in str(caught.value.next)


def test_status_of_an_answer_that_an_error_carries() -> None:
    error = httpx.HTTPStatusError(
        "403 it is", request=httpx.Request("GET", "http://b/x"), response=httpx.Response(403)
    )
    address = parse_address("hf://b/x")
    with (
        pytest.raises(AuthError, match="not allowed: 403 it is"),
        translated(address, "listing", SourceError),
    ):
        raise error
