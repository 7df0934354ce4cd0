"""Azure's and Google's storage, as far as emulators on this machine go: ``nox -s stores``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import fsspec.config
import pytest

from other_stores import BUCKET, OtherStore, azurite, google
from releases import ONE, TWO
from stored_model import MODEL
from uploader_core.plugin import AuthError, FetchedSource, Receipt, SourceError, VerifyContext
from uploader_fsspec.publishing.place import MANIFEST
from uploader_fsspec.publishing.verify import verify
from uploader_fsspec.settings import Settings
from uploader_fsspec.store.opening import open_store

pytestmark = [
    pytest.mark.slow,
    # adlfs sends bytes as they are, against the advice of aiohttp.
    pytest.mark.filterwarnings("default:Sending a large body:ResourceWarning"),
]


@pytest.fixture(scope="module", params=[azurite, google], ids=["abfs", "gs"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OtherStore]:
    """A server with one bucket."""
    with (
        request.param(tmp_path_factory.mktemp("store")) as store,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in store.environment.items():
            patch.setenv(name, value)
        patch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
        fsspec.filesystem(store.protocol, skip_instance_cache=True).mkdir(BUCKET)
        yield store


def address(store: OtherStore, path: str) -> str:
    return f"{store.protocol}://{BUCKET}/{path}"


def test_release_is_brought_proven_and_replaced(
    running: OtherStore, push: Callable[..., Receipt]
) -> None:
    target = address(running, "releases/m")
    push(target, ONE)
    assert push(target, ONE).bytes_sent == 0
    assert not verify(VerifyContext(target=target, settings=Settings())).problems
    push(target, TWO)
    store = open_store(target, SourceError)
    assert {*store.list_all()} == {*TWO, MANIFEST}
    store.put_bytes("x/config.json", b"[]")
    problems = verify(VerifyContext(target=target, settings=Settings())).problems
    assert [problem.path for problem in problems] == ["x/config.json"]


def test_model_is_fetched(running: OtherStore, fetch: Callable[..., FetchedSource]) -> None:
    store = open_store(address(running, "models/x"), SourceError)
    for name, content in MODEL.items():
        store.put_bytes(name, content)
    found = fetch(address(running, "models/x"))
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        assert (found.path / name).read_bytes() == MODEL[name]
    assert fetch(address(running, "models/x")) == found


def test_bucket_that_is_not_there(running: OtherStore) -> None:
    store = open_store(f"{running.protocol}://nobody/x", SourceError)
    with pytest.raises(SourceError, match="there is nothing at"):
        store.put_bytes("config.json", b"{}")


def test_login_that_is_not_accepted(
    running: OtherStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not running.wrong_login:
        pytest.skip("the emulator lets everybody in")
    for name, value in running.wrong_login.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AuthError, match="is not allowed") as error:
        open_store(address(running, "x"), SourceError).list_all()
    assert "AZURE_STORAGE_CONNECTION_STRING" in str(error.value.next)
