"""Blobs against docker-registry: pieces, what goes on, what begins anew, what is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bad_line import BadLine, Fault
from uploader_core.plugin import CancelledError, IntegrityError, SpaceError, TemporaryError
from uploader_oci.loopback import HOW_TO_GET, LoopbackRegistry, is_available, loopback_registry
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.client import Registry
from uploader_oci.registry.line import Options
from uploader_oci.registry.reference import parse_reference

MIB = 1 << 20
SMALL = Options(chunk=MIB)
# One of three pieces and a rest.
SIZE = 3 * MIB + 5


@pytest.fixture
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Registry]:
    """Open a repository of this test."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]

    def make(
        host: str, repository: str = "model", tell: Callable[[str], None] = lambda _: None
    ) -> Registry:
        reference = parse_reference(f"{host}/{name}/{repository}")
        state = tmp_path / "state"
        return Registry(reference, secrets={}, push=True, options=SMALL, state=state, tell=tell)

    return make


def wait_at_most(seconds: float, registry: Registry) -> None:
    """Have patience for requests from now on: little for one that will not be answered in time.

    Any other may take its time, as it does on a busy machine.
    """
    registry.transport._line._client.timeout = seconds


def stored(server: LoopbackRegistry, blob: Blob) -> bool:
    path = server.blob_file(blob.digest)
    return path.is_file() and f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" == (
        blob.digest
    )


def test_a_blob_goes_in_pieces(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    line: BadLine,
    make_blob: Callable[..., Blob],
) -> None:
    blob, told = make_blob(SIZE), list[int]()
    with connect(line.host) as registry:
        sent = registry.push_blob(blob, tell=told.append)
        assert open_registry.sessions(registry.repository) == 0
    assert (sent.size, sent.again, sent.how) == (SIZE, 0, "sent")
    assert line.count("PATCH ") == 4
    assert told == sorted(told)
    assert told[-1] == SIZE
    assert stored(open_registry, blob)


def test_a_small_blob_goes_in_one_request(
    connect: Callable[..., Registry], line: BadLine, make_blob: Callable[..., Blob]
) -> None:
    with connect(line.host) as registry:
        registry.push_blob(make_blob(100))
    assert [request.split()[0] for request in line.requests] == ["HEAD", "POST", "PUT"]


def test_an_empty_blob(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    make_blob: Callable[..., Blob],
) -> None:
    blob = make_blob(0)
    with connect(open_registry.host) as registry:
        registry.push_blob(blob)
        assert registry.has_blob(blob.digest, 0)


def test_what_is_there_is_not_sent(
    connect: Callable[..., Registry], line: BadLine, make_blob: Callable[..., Blob]
) -> None:
    blob = make_blob(SIZE)
    with connect(line.host) as registry:
        registry.push_blob(blob)
        line.received = 0
        assert registry.push_blob(blob).how == "there"
    assert line.received == 0


def test_a_blob_of_another_repository_is_mounted(
    connect: Callable[..., Registry], line: BadLine, make_blob: Callable[..., Blob]
) -> None:
    blob = make_blob(SIZE)
    with connect(line.host, "first") as registry:
        registry.push_blob(blob)
        first = registry.repository
    line.received = 0
    with connect(line.host, "second") as registry:
        assert registry.push_blob(blob, mount_from=(first,)).how == "mounted"
        assert registry.has_blob(blob.digest, SIZE)
    assert line.received == 0


def test_a_mount_that_comes_to_nothing_is_an_upload(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    make_blob: Callable[..., Blob],
) -> None:
    blob = make_blob(SIZE)
    with connect(open_registry.host) as registry:
        assert registry.push_blob(blob, mount_from=("no/such",)).how == "sent"
        assert open_registry.sessions(registry.repository) == 0
    assert stored(open_registry, blob)


def test_a_stopped_upload_goes_on_between_two_pieces(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    make_blob: Callable[..., Blob],
) -> None:
    """The piece under way is finished first: docker-registry knows a session from there only."""
    blob = make_blob(SIZE)

    def stop(at: int) -> None:
        if at > MIB + MIB // 2:
            raise CancelledError("stopped")

    with connect(open_registry.host) as registry:
        with pytest.raises(CancelledError):
            registry.push_blob(blob, tell=stop)
        assert not stored(open_registry, blob)
        sent = registry.push_blob(blob)
    assert (sent.size, sent.again) == (MIB + 5, 0)
    assert stored(open_registry, blob)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("kind", ["drop", "lose", "stall", "refuse", "late"])
def test_a_piece_that_goes_wrong(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    line: BadLine,
    make_blob: Callable[..., Blob],
    kind: str,
) -> None:
    """What arrived of a broken piece makes docker-registry forget the session: all of it again."""
    blob = make_blob(SIZE)
    with connect(line.host, tell=lambda _: wait_at_most(60.0, registry)) as registry:
        # The third piece.
        registry.push_blob(make_blob(2, "config.json"))

        def arm(at: int) -> None:
            if at == 2 * MIB and not line.faults:
                seconds = 2.0 if kind == "stall" else 60.0
                line.faults = [Fault(kind, "PATCH ", after=300_000, seconds=seconds)]
                if kind in ("stall", "late"):
                    wait_at_most(0.5, registry)

        sent = registry.push_blob(blob, tell=arm)
    assert line.hit == 1
    assert stored(open_registry, blob)
    kept = kind in ("stall", "refuse")  # nothing of the piece reached the registry
    most = MIB if kept else 3 * MIB
    assert 0 < sent.again <= most
    assert sent.size == SIZE + sent.again


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [404, 416])
def test_a_registry_that_takes_a_blob_in_one_piece_only(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    line: BadLine,
    make_blob: Callable[..., Blob],
    status: int,
) -> None:
    blob = make_blob(SIZE)
    line.faults = [Fault("refuse", r"PATCH .*", times=100, status=status, after=1)]
    line.spared = 1  # the first piece is taken
    with connect(line.host) as registry:
        sent = registry.push_blob(blob)
    assert stored(open_registry, blob)
    assert line.count("PATCH ") == 2
    assert sent.again == 2 * MIB


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("kind", ["lose", "late", "refuse", "stall"])
def test_the_last_request_goes_wrong(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    line: BadLine,
    make_blob: Callable[..., Blob],
    kind: str,
) -> None:
    """The registry is asked for the blob, and for the session, before anything is sent again."""
    blob = make_blob(SIZE)
    line.faults = [Fault(kind, "PUT ", seconds=2.0 if kind == "stall" else 60.0)]

    def arm(at: int) -> None:
        if at == SIZE and kind in ("stall", "late"):
            wait_at_most(0.5, registry)

    with connect(line.host, tell=lambda _: wait_at_most(60.0, registry)) as registry:
        sent = registry.push_blob(blob, tell=arm)
    assert (line.hit, sent.again) == (1, 0)
    assert stored(open_registry, blob)


@pytest.mark.usefixtures("no_waiting")
def test_a_line_that_never_works_is_temporary(
    connect: Callable[..., Registry], line: BadLine, make_blob: Callable[..., Blob]
) -> None:
    line.faults = [Fault("refuse", "PATCH ", times=1000)]
    with connect(line.host) as registry, pytest.raises(TemporaryError) as error:
        registry.push_blob(make_blob(SIZE))
    assert error.value.what.startswith("sending model.gguf failed: 503")
    assert error.value.next


def test_a_busy_registry_says_how_long_to_wait(
    connect: Callable[..., Registry],
    line: BadLine,
    make_blob: Callable[..., Blob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    line.faults = [Fault("refuse", "HEAD ", status=429, headers=(("Retry-After", "7"),))]
    with connect(line.host) as registry:
        registry.push_blob(make_blob(10))
    assert sum(waited) == 7


KILLED = """
import os, signal, sys
from pathlib import Path
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.client import Registry
from uploader_oci.registry.line import Options
from uploader_oci.registry.reference import parse_reference

where, state, path, digest, size, at = sys.argv[1:]

def tell(done):
    if done >= int(at):
        os.kill(os.getpid(), signal.SIGKILL)

with Registry(parse_reference(where), secrets={}, push=True,
              options=Options(chunk=1 << 20), state=Path(state)) as registry:
    blob = Blob(digest=digest, size=int(size), label="model.gguf", path=Path(path))
    registry.push_blob(blob, tell=tell)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_killed_upload_is_completed_and_says_what_went_twice(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    line: BadLine,
    make_blob: Callable[..., Blob],
    tmp_path: Path,
) -> None:
    blob = make_blob(SIZE)
    with connect(line.host) as registry:
        where = f"{line.host}/{registry.repository}"
        arguments = (where, tmp_path / "state", blob.path, blob.digest, SIZE, 2 * MIB + MIB // 2)
        command = [sys.executable, "-c", KILLED, *map(str, arguments)]
        assert subprocess.run(command, env=os.environ.copy(), check=False).returncode == -9
        line.settle()
        assert not stored(open_registry, blob)
        sent = registry.push_blob(blob)
    assert stored(open_registry, blob)
    assert 0 < sent.again <= 3 * MIB
    assert sent.size <= SIZE


def test_a_file_that_changed_is_not_taken(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    make_blob: Callable[..., Blob],
) -> None:
    blob = make_blob(SIZE)
    assert blob.path is not None
    blob.path.write_bytes(b"another" + blob.path.read_bytes()[7:])
    with connect(open_registry.host) as registry:
        with pytest.raises(IntegrityError, match="changed since it was recorded"):
            registry.push_blob(blob)
        assert not registry.has_blob(blob.digest)
        assert open_registry.sessions(registry.repository) == 0


def test_a_file_that_became_shorter_is_not_taken(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    make_blob: Callable[..., Blob],
) -> None:
    blob = make_blob(SIZE)
    assert blob.path is not None
    blob.path.write_bytes(blob.path.read_bytes()[: MIB + 7])
    with connect(open_registry.host) as registry, pytest.raises(IntegrityError, match="shorter"):
        registry.push_blob(blob)


@pytest.mark.parametrize("size", [SIZE, 100])
def test_what_the_line_changed_is_refused_by_the_registry(
    connect: Callable[..., Registry],
    open_registry: LoopbackRegistry,
    line: BadLine,
    make_blob: Callable[..., Blob],
    size: int,
) -> None:
    blob = make_blob(size)
    line.faults = [Fault("change", "(PATCH|PUT) ")]
    with connect(line.host) as registry:
        with pytest.raises(IntegrityError, match="DIGEST_INVALID") as error:
            registry.push_blob(blob)
        assert not registry.has_blob(blob.digest)
        assert registry.push_blob(blob).how == "sent"
    assert error.value.next == "run the same command again"
    assert stored(open_registry, blob)


@pytest.mark.usefixtures("no_waiting")
def test_a_registry_without_room_is_named(
    make_blob: Callable[..., Blob], connect: Callable[..., Registry]
) -> None:
    if not is_available():
        pytest.skip(HOW_TO_GET)
    with (
        loopback_registry(largest_file=MIB // 2) as server,
        connect(server.host) as registry,
        pytest.raises(SpaceError, match="no room") as error,
    ):
        registry.push_blob(make_blob(SIZE))
    assert "make room at the registry" in str(error.value.next)
