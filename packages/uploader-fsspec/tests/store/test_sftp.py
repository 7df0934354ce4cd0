"""SFTP, against asyncssh's server: logins, keys of machines, lost connections, releases, models."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import fsspec.config
import pytest

from releases import ONE, TWO
from sftp_server import PASSWORD, USER, SftpServer, sftp_server
from stored_model import MODEL, weights
from uploader_core.plugin import (
    ArrivalContext,
    AuthError,
    CancelledError,
    FetchedSource,
    Receipt,
    RefusedError,
    SourceError,
    TemporaryError,
    VerifyContext,
)
from uploader_fsspec.publishing.place import MANIFEST
from uploader_fsspec.publishing.verify import still_there, verify
from uploader_fsspec.settings import Settings
from uploader_fsspec.store.opening import open_store
from uploader_fsspec.store.store import BLOCK, Store

Push = Callable[..., Receipt]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of ssh who knows nobody yet, and has no agent."""
    ssh = tmp_path / "home" / ".ssh"
    ssh.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(ssh.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return ssh


@pytest.fixture
def sftp(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpServer]:
    """A server that the user knows, with their password in fsspec's configuration."""
    root = tmp_path / "disk"
    root.mkdir()
    with sftp_server(root) as server:
        (home / "known_hosts").write_text(server.known)
        monkeypatch.setitem(fsspec.config.conf, "sftp", {"username": USER, "password": PASSWORD})
        yield server


def opened(address: str) -> Store:
    return open_store(address, SourceError)


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_release_is_brought_proven_and_replaced(sftp: SftpServer, push: Push) -> None:
    target = sftp.address("releases/m")
    receipt = push(target, ONE)
    there = files_below(sftp.root / "releases" / "m")
    assert {*there} == {*ONE, MANIFEST}
    assert receipt.bytes_sent == sum(map(len, there.values()))
    assert push(target, ONE).bytes_sent == 0
    assert not verify(VerifyContext(target=target, settings=Settings())).problems
    last = push(target, TWO)
    there = files_below(sftp.root / "releases" / "m")
    assert {name: there[name] for name in TWO} == TWO
    assert {*there} == {*TWO, MANIFEST}
    assert still_there(ArrivalContext(target=target, receipt=last, settings=Settings()))


def test_damage_is_found(sftp: SftpServer, push: Push) -> None:
    target = sftp.address("releases/m")
    push(target, ONE)
    (sftp.root / "releases" / "m" / "x" / "config.json").write_bytes(b"[]")
    found = verify(VerifyContext(target=target, settings=Settings()))
    assert [problem.path for problem in found.problems] == ["x/config.json"]


def test_model_is_fetched(sftp: SftpServer, fetch: Callable[..., FetchedSource]) -> None:
    for name, content in MODEL.items():
        path = sftp.root / "models" / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    found = fetch(sftp.address("models/x"))
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        assert (found.path / name).read_bytes() == MODEL[name]
    sftp.reads = 0
    assert fetch(sftp.address("models/x")) == found
    assert not sftp.reads


def test_threads_do_not_take_each_others_answers(sftp: SftpServer) -> None:
    content = weights(3 * BLOCK)
    (sftp.root / "m").mkdir()
    (sftp.root / "m" / "model.safetensors").write_bytes(content)
    found = opened(sftp.address("m")).digest("model.safetensors", len(content))
    assert found == hashlib.sha256(content).hexdigest()


def test_lost_connection_is_made_anew(sftp: SftpServer) -> None:
    (sftp.root / "m").mkdir()
    (sftp.root / "m" / "config.json").write_bytes(b"{}" * 100_000)
    sftp.breaks, sftp.breaks_after = 2, 1
    assert opened(sftp.address("m")).read("config.json", 200_000) == b"{}" * 100_000
    assert not sftp.breaks


def test_that_a_file_was_read_is_no_change(sftp: SftpServer) -> None:
    (sftp.root / "m").mkdir()
    path = sftp.root / "m" / "config.json"
    path.write_bytes(b"{}")
    store = opened(sftp.address("m"))
    before = store.entry("config.json")
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns + 10**10, status.st_mtime_ns))
    assert store.entry("config.json") == before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**10))
    assert store.entry("config.json") != before


def test_sending_can_be_cancelled_in_a_file(sftp: SftpServer, push: Push) -> None:
    def cancel(*_: object) -> None:
        if (sftp.root / "releases" / "m" / "x").is_dir():
            raise CancelledError("Ctrl-C")

    with pytest.raises(CancelledError):
        push(sftp.address("releases/m"), ONE, on_progress=cancel)
    assert MANIFEST not in files_below(sftp.root)


def test_machine_that_nobody_knows_gets_no_password(sftp: SftpServer, home: Path) -> None:
    (home / "known_hosts").write_text("")
    with pytest.raises(AuthError, match=r"not among the machines.*SHA256:") as error:
        opened(sftp.address("m"))
    assert "connect with ssh once" in (error.value.next or "")


def test_machine_with_another_key_gets_no_password(sftp: SftpServer, home: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{sftp.port} {other}\n")
    with pytest.raises(AuthError, match="another key than") as error:
        opened(sftp.address("m"))
    assert "ssh-keygen -R" in (error.value.next or "")


def test_wrong_password_is_said_once(sftp: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "sftp", {"username": USER, "password": "wrong-1"})
    with pytest.raises(AuthError, match="does not accept this login") as error:
        opened(sftp.address("m"))
    assert "ssh-add" in (error.value.next or "")
    assert "wrong-1" not in str(error.value.to_json())


def test_name_user_and_key_of_the_configuration_of_ssh(home: Path, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(home / "lab_key"))
    key.write_public_key(str(home / "lab_key.pub"))
    (tmp_path / "disk" / "m").mkdir(parents=True)
    (tmp_path / "disk" / "m" / "config.json").write_bytes(b"{}")
    with sftp_server(tmp_path / "disk", home / "lab_key.pub") as server:
        (home / "known_hosts").write_text(server.known)
        (home / "config").write_text(
            f"Host cluster\n  HostName 127.0.0.1\n  Port {server.port}\n  User {USER}\n"
            f"  IdentityFile {home / 'lab_key'}\n"
        )
        assert {*opened("sftp://cluster/m").list_all()} == {"config.json"}


def test_machine_behind_another_one_is_refused(home: Path) -> None:
    (home / "config").write_text("Host cluster\n  ProxyJump gate\n")
    with pytest.raises(RefusedError, match="through gate") as error:
        opened("sftp://cluster/m")
    assert "ssh -N -L" in (error.value.next or "")


def test_nobody_answers(home: Path, tmp_path: Path) -> None:
    with sftp_server(tmp_path) as server:
        address = server.address("m")
    with pytest.raises(TemporaryError, match="failed"):
        opened(address)
