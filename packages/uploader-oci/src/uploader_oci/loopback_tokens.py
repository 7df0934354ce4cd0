"""A server of tokens for the loopback registry, as its specification describes them.

https://distribution.github.io/distribution/spec/auth/jwt/: tokens are signed by RS256, and their
header carries the certificate that the registry was told to trust.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_LEEWAY = 60
"""Seconds after its end for which docker-registry still takes a token."""


class TokenServer:
    """Gives tokens to who knows the password.

    Args:
        folder: Where the certificate is written.
        username: Who has a login.
        password: And with what.

    Attributes:
        url: Its address.
        certificate: File with the certificate, for the registry.
        lifetime: Seconds for which the registry takes the next token; clients are told
            ``told_lifetime``.
        actions: What its owner may do.
        told_lifetime: What clients are told, so that one can be surprised.
        requests: What was asked for: scopes, of each token.
        with_password: How many of the requests came with a password.
    """

    service = "loopback"
    issuer = "uploader loopback"

    def __init__(self, folder: Path, username: str, password: str) -> None:
        self._key, der = make_key(folder / "token.pem")
        both = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._right = f"Basic {both}"
        self._der = base64.b64encode(der).decode()
        self.certificate = folder / "token.pem"
        self.lifetime = 300.0
        self.told_lifetime = 300
        self.actions = {"pull", "push", "delete"}
        self.requests: list[tuple[str, ...]] = []
        self.with_password = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[TokenServer]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(request.path).query)
        scopes = tuple(query.get("scope", ()))
        self.requests.append(scopes)
        given = request.headers.get("Authorization")
        self.with_password += given is not None
        if given is not None and given != self._right:
            _reply(request, 401, {"errors": [{"code": "UNAUTHORIZED", "message": "no"}]})
            return
        access = [self._granted(scope, known=given is not None) for scope in scopes]
        token = self._sign([entry for entry in access if entry["actions"]])
        _reply(request, 200, {"token": token, "expires_in": self.told_lifetime})

    def _granted(self, scope: str, *, known: bool) -> dict[str, Any]:
        """Return what of a scope is allowed: nobody but the owner pushes, everybody reads."""
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = self.actions if known else {"pull"}
        wanted = [action for action in actions.split(",") if action in allowed]
        return {"type": kind, "name": name, "actions": wanted}

    def _sign(self, access: list[dict[str, Any]]) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._der]}
        claims = {
            "iss": self.issuer,
            "sub": "somebody",
            "aud": self.service,
            "exp": int(now + self.lifetime - _LEEWAY),
            "nbf": now - 300,
            "iat": now - 300,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        text = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_encode(signature)}"


def make_key(path: Path, host: str = "uploader loopback") -> tuple[Any, bytes]:
    """Make a key and its certificate.

    Args:
        path: Where the certificate is written, and below it, with ``.key``, the key.
        host: Whom it is for.

    Returns:
        The key and the certificate in DER.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = serialization.PrivateFormat.TraditionalOpenSSL
    path.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate.public_bytes(serialization.Encoding.DER)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _reply(request: BaseHTTPRequestHandler, status: int, data: dict[str, Any]) -> None:
    body = json.dumps(data).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
