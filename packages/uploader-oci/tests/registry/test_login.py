"""Logins at docker-registry: by password, and by tokens of a server of tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest

from uploader_core.plugin import AuthError, UploaderError
from uploader_oci.loopback import LoopbackRegistry
from uploader_oci.registry.answer import Answer
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.challenge import parse_challenges
from uploader_oci.registry.client import Registry
from uploader_oci.registry.credentials import Credentials
from uploader_oci.registry.line import Options
from uploader_oci.registry.login import Login
from uploader_oci.registry.reference import parse_reference

MIB = 1 << 20
WRONG = {"UPLOADER_OCI_USERNAME": "me", "UPLOADER_OCI_PASSWORD": "wrong-password"}


def connect(server: LoopbackRegistry, secrets: dict[str, str] | None = None) -> Registry:
    return Registry(
        parse_reference(f"{server.host}/team/model"),
        secrets=dict(server.environment) if secrets is None else secrets,
        push=True,
        options=Options(chunk=MIB),
    )


def refused(server: LoopbackRegistry, secrets: dict[str, str]) -> UploaderError:
    with connect(server, secrets) as registry, pytest.raises(AuthError) as error:
        registry.check_push()
    return error.value


def test_the_right_password(basic_registry: LoopbackRegistry) -> None:
    with connect(basic_registry) as registry:
        registry.check_push()


def test_no_login(basic_registry: LoopbackRegistry) -> None:
    error = refused(basic_registry, {})
    assert "wants a login" in error.what
    assert error.next == (
        f"docker login {basic_registry.host}, or set UPLOADER_OCI_USERNAME and "
        "UPLOADER_OCI_PASSWORD"
    )


def test_a_wrong_password(basic_registry: LoopbackRegistry) -> None:
    error = refused(basic_registry, WRONG)
    assert "does not accept this login" in error.what
    assert "wrong-password" not in str(error.to_json())


def test_docker_is_logged_in(
    basic_registry: LoopbackRegistry, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = basic_registry.docker_config(tmp_path / "docker")  # type: ignore[operator]
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    with connect(basic_registry, {}) as registry:
        registry.check_push()


def test_a_token_is_fetched_once(
    token_registry: LoopbackRegistry, make_blob: Callable[..., Blob]
) -> None:
    with connect(token_registry) as registry:
        registry.push_blob(make_blob(3 * MIB))
    assert token_registry.tokens is not None
    assert len(token_registry.tokens.requests) == 1
    assert "repository:team/model:pull,push" in token_registry.tokens.requests[0]


def test_a_wrong_password_at_the_server_of_tokens(token_registry: LoopbackRegistry) -> None:
    assert "does not accept this login" in refused(token_registry, WRONG).what
    assert "wants a login" in refused(token_registry, {}).what


def test_a_login_that_may_only_read(token_registry: LoopbackRegistry) -> None:
    assert token_registry.tokens is not None
    token_registry.tokens.actions = {"pull"}
    with connect(token_registry) as registry, pytest.raises(AuthError):
        registry.check_push()


def test_a_token_that_ends_in_the_middle_of_a_blob(
    token_registry: LoopbackRegistry, make_blob: Callable[..., Blob]
) -> None:
    """The client was told that it lives for minutes, and the registry sees it differently."""
    tokens = token_registry.tokens
    assert tokens is not None
    blob = make_blob(4 * MIB)
    ended = False

    def end_the_token(at: int) -> None:
        """Give the client one whose time is over, which no clock of a test has to wait for."""
        nonlocal ended
        if ended or at < MIB:
            return
        tokens.lifetime = -1
        url = f"{token_registry.url}/v2/team/model/tags/list"
        challenge = httpx.get(url, timeout=60.0).headers["WWW-Authenticate"]
        assert registry.transport.login.challenged(challenge, None)
        header = {"Authorization": str(registry.transport.login.header())}
        assert httpx.get(url, headers=header, timeout=60.0).status_code == 401
        ended, tokens.lifetime = True, 300

    with connect(token_registry) as registry:
        sent = registry.push_blob(blob, tell=end_the_token)
        assert registry.has_blob(blob.digest, blob.size)
    assert ended
    assert len(tokens.requests) == 3
    assert sent.again <= MIB


def test_a_token_is_replaced_before_it_ends(
    token_registry: LoopbackRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = token_registry.tokens
    assert tokens is not None
    with connect(token_registry) as registry:
        registry.check_read()
        now = __import__("time").monotonic()
        monkeypatch.setattr("time.monotonic", lambda: now + tokens.told_lifetime - 1)
        registry.check_read()
    assert len(tokens.requests) == 2


def test_giving_up_wants_a_right_that_later_tokens_are_not_asked_for(
    token_registry: LoopbackRegistry,
) -> None:
    tokens = token_registry.tokens
    assert tokens is not None
    with connect(token_registry) as registry:
        registry.check_push()
        assert "repository:team/model:delete" in tokens.requests[-1]
        registry.transport.login.allow("repository:other/model:pull")
        registry.check_read()
    assert tokens.requests[-1][:2] == (
        "repository:team/model:pull,push", "repository:other/model:pull",
    )  # fmt: skip
    assert not any("delete" in scope for scope in tokens.requests[-1])
    assert token_registry.sessions() == 0


def test_a_mount_wants_the_right_to_read_there(
    token_registry: LoopbackRegistry, make_blob: Callable[..., Blob]
) -> None:
    blob = make_blob(MIB)
    with connect(token_registry) as registry:
        registry.push_blob(blob)
    other = parse_reference(f"{token_registry.host}/team/other")
    with Registry(other, secrets=token_registry.environment, push=True) as registry:
        assert registry.push_blob(blob, mount_from=("team/model",)).how == "mounted"
    tokens = token_registry.tokens
    assert tokens is not None
    assert "repository:team/model:pull" in tokens.requests[-1]


ASKED: list[tuple[str, str, str | None]] = []


def answering(content: bytes = b'{"token": "t", "expires_in": 300}') -> Callable[..., Answer]:
    ASKED.clear()

    def ask(method: str, url: str, *, headers: dict[str, str], body: bytes | None) -> Answer:
        ASKED.append((method, url, headers.get("Authorization")))
        if body is not None:
            ASKED.append((method, body.decode(), None))
        return Answer(status=200, headers={}, content=content, url=url)

    return ask


def login(ask: Callable[..., Answer], **more: str) -> Login:
    credentials = Credentials(**{"username": "me", "password": "pw", **more})
    return Login(
        "registry.example.org", credentials, ["repository:a:pull"], plain_http=False, ask=ask
    )


@pytest.mark.parametrize(
    ("realm", "told"),
    [
        ("https://auth.example.org/token", True),
        ("http://auth.example.org/token", False),
        ("http://registry.example.org/token", False),
        ("http://127.0.0.1:1/token", False),
    ],
)
def test_who_is_told_the_password(realm: str, told: bool) -> None:
    found = login(answering())
    assert found.challenged(f'Bearer realm="{realm}",service="s"', None)
    assert found.header() == "Bearer t"
    assert (ASKED[0][2] is not None) is told


def test_a_password_that_was_held_back_is_said() -> None:
    found = login(answering(b"{}"))
    with pytest.raises(AuthError, match="another host without encryption"):
        found.challenged('Bearer realm="http://auth.example.org/token"', None)


def test_an_identity_token_is_exchanged() -> None:
    found = login(answering(), password="", identity_token="refresh-me")
    assert found.challenged('Bearer realm="https://a.example.org/t",service="s"', None)
    assert ASKED[0][0] == "POST"
    assert "grant_type=refresh_token" in ASKED[1][1]
    assert "refresh_token=refresh-me" in ASKED[1][1]


def test_a_realm_that_is_no_address_is_refused() -> None:
    with pytest.raises(AuthError, match="no address"):
        login(answering()).challenged('Bearer realm="file:///etc/passwd"', None)


def test_challenges_are_read() -> None:
    header = (
        'Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push", Basic realm=x'
    )
    bearer, basic = parse_challenges(header)
    assert bearer.scheme == "bearer"
    assert bearer.parameters["scope"] == "repository:a/b:pull,push"
    assert (basic.scheme, basic.parameters) == ("basic", {"realm": "x"})
    assert parse_challenges("") == []
    assert parse_challenges("Negotiate") == parse_challenges("negotiate")


def test_no_secret_is_in_the_log(
    basic_registry: LoopbackRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        refused(basic_registry, WRONG)
    assert "wrong-password" not in caplog.text
    assert str(Credentials(username="me", password="wrong-password").basic)[6:] not in (caplog.text)
