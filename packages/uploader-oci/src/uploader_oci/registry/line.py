"""Requests as they are, without login and patience: the connections to one registry."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from uploader_core.plugin import (
    IntegrityError,
    RefusedError,
    TemporaryError,
    UploaderError,
    without_secrets,
)
from uploader_oci.registry.answer import AGAIN, Answer
from uploader_oci.registry.reference import is_loopback

if TYPE_CHECKING:
    import httpx

LARGEST_ANSWER = 8 << 20
"""Bytes; what is larger is a blob and is streamed."""

ENDPOINT = "OCI_ENDPOINT"
"""Variable with the address at which the registry answers, where it is not ``https://HOST``: the
near end of a tunnel, or a proxy."""

Body = Callable[[], Iterator[bytes]]
"""Makes the body of a request, again for each time that it is sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a registry is talked to.

    Attributes:
        plain_http: Whether a host that is not this machine may be spoken to without encryption.
        timeout: Seconds without a sign of life before a request counts as lost.
        chunk: Bytes of one request of a large upload; 0 sends each file in one.
    """

    plain_http: bool = False
    timeout: float = 60.0
    chunk: int = 32 << 20


class Lost(TemporaryError):
    """A request that was sent, and of which it is not known whether it arrived.

    Attributes:
        wait: Seconds that the registry asks us to wait; None when it does not say.
    """

    wait: int | None = None


class Line:
    """The connections to a registry, and to where it redirects.

    Args:
        host: Where the registry answers, with its port.
        options: See :class:`Options`.

    Attributes:
        origin: Scheme and host.
        sent: Bytes of bodies that went out.

    Raises:
        RefusedError: The host would be spoken to without encryption, and nobody allowed that.
    """

    def __init__(self, host: str, options: Options) -> None:
        import httpx

        self.host = host
        self.origin = _origin(host, options)
        self.sent = 0
        context = ssl.create_default_context()  # the system's authorities, and SSL_CERT_FILE
        with contextlib.suppress(ImportError, OSError, ssl.SSLError):
            import certifi

            context.load_verify_locations(certifi.where())
        try:
            self._client = httpx.Client(
                timeout=options.timeout,
                verify=context,
                follow_redirects=False,
                headers={"User-Agent": "uploader-oci"},
                # Proxies are for the way to other machines.
                trust_env=not is_loopback(urlsplit(self.origin).netloc),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # A SOCKS proxy without its package, or an address that is none; it may hold a login.
            socks = isinstance(error, ImportError)
            raise RefusedError(
                "the proxy that the environment names cannot be used"
                f"{': it is a SOCKS proxy, and the package socksio is not installed' * socks}",
                owner="HTTPS_PROXY, HTTP_PROXY or ALL_PROXY",
                safe="nothing was sent",
                next=f"{'pip install socksio, or ' * socks}correct the variable, or name the host "
                "in NO_PROXY",
            ) from None

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @contextlib.contextmanager
    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        length: int | None,
    ) -> Iterator[httpx.Response]:
        """Send a request as it is; errors of the line come out as :class:`Lost`, or refused."""
        import httpx

        given = dict(headers)
        content: bytes | Iterator[bytes] | None
        if body is None or isinstance(body, bytes):
            content = body
            size = len(body or b"")
            if body is None and method in ("POST", "PUT", "PATCH"):
                content = b""
        else:
            content, size = self._counted(body()), 0
            given["Content-Length"] = str(length)
        try:
            with self._client.stream(method, url, headers=given, content=content) as response:
                self.sent += size
                yield response
        except (httpx.TransportError, httpx.StreamError) as error:
            raise self._translate(error, url) from None
        except httpx.InvalidURL:
            raise RefusedError(
                f"{self.host} names an address that is none", owner=self.host,
                next="tell whoever runs the registry",
            ) from None  # fmt: skip

    def _counted(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.sent += len(block)
            yield block

    def lost(self, what: str, wait: int | None = None) -> Lost:
        """Return the error for a request of which it is not known what became."""
        owner = f"{self.host} or the network"
        error = Lost(what, owner=owner, safe="what arrived is kept", next=AGAIN)
        error.wait = wait
        return error

    def _translate(self, error: Exception, url: str) -> UploaderError:
        import httpx

        text = without_secrets(str(error).strip().partition("\n")[0], "***")
        where = urlsplit(url).netloc
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return RefusedError(
                f"the certificate of {where} is not trusted",
                owner=where,
                safe="nothing was sent",
                next="SSL_CERT_FILE=ca.pem with the authority of the registry",
            )
        if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
            return RefusedError(
                f"{where} does not speak https",
                owner=where,
                safe="nothing was sent",
                next="--oci-plain-http, where the network to it is trusted",
            )
        if isinstance(error, httpx.UnsupportedProtocol | httpx.StreamError):
            return IntegrityError(f"{where}: {text}", owner=where, next=AGAIN)
        return self.lost(f"no answer from {where}: {type(error).__name__}{text and ': '}{text}")


def _origin(host: str, options: Options) -> str:
    """Return scheme and host of a registry.

    Raises:
        RefusedError: It would be http to another machine.
    """
    given = os.environ.get(ENDPOINT, "").rstrip("/")
    plain = options.plain_http or is_loopback(host)
    origin = given or f"{'http' if plain else 'https'}://{host}"
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise RefusedError(
            f"{ENDPOINT} is no address of the form https://HOST[:PORT]",
            owner=ENDPOINT,
            safe="nothing was sent",
            next=f"unset {ENDPOINT}, or correct it",
        )
    if parts.scheme == "http" and not (options.plain_http or is_loopback(parts.netloc)):
        raise RefusedError(
            f"{origin} is another machine, and http would show it login and model",
            owner=ENDPOINT if given else host,
            safe="nothing was sent",
            next="use https, or --oci-plain-http where the network is trusted",
        )
    return origin


def read(response: httpx.Response) -> Answer:
    """Read an answer to its end.

    Raises:
        RefusedError: It is longer than anything that is read this way.
    """
    content = bytearray()
    for block in response.iter_bytes():
        content += block
        if len(content) > LARGEST_ANSWER:
            raise RefusedError(
                f"the answer is larger than {LARGEST_ANSWER:,} bytes",
                owner=str(response.url.host),
                next="check that this is a registry",
            )
    return Answer(
        status=response.status_code,
        headers={key.lower(): value for key, value in response.headers.items()},
        content=bytes(content),
        url=str(response.url),
    )
