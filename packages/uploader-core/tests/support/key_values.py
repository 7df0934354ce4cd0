"""Random values in the forms of keys; nothing here was ever valid."""

import base64
import hashlib
import hmac
import json
import string
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
WORD = ALNUM + "_-"
UPPER = string.ascii_uppercase + string.digits
LOWER = string.ascii_lowercase + string.digits
BASE32 = string.ascii_uppercase + "234567"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def some(rng: Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def checked(rng: Random, prefix: str) -> str:
    """30 characters and the CRC32 of them in base 62: GitHub and npm."""
    body = some(rng, ALNUM, 30)
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return prefix + body + digits


def jwt(rng: Random, issuer: str = "api") -> str:
    head = b64url(b'{"alg":"HS256","typ":"JWT"}')
    body = b64url(
        json.dumps({"iss": issuer, "sub": str(rng.getrandbits(40)), "exp": 1790000000}).encode()
    )
    sign = hmac.new(rng.randbytes(32), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{b64url(sign)}"


def a_uuid(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


PASSWORDS = (
    "summer",
    "llama",
    "trainer",
    "gpu-box",
    "falcon",
    "korea",
    "blue",
    "rosebud",
    "Hunter",
)


def password(rng: Random) -> str:
    """What people type: two words, digits, a sign."""
    first, second = rng.sample(PASSWORDS, 2)
    return f"{first.capitalize()}{rng.choice('-_.+')}{second}{rng.randrange(10, 9999)}"


def pem(rng: Random, kind: str, size: int, width: int = 64) -> str:
    body = b64(rng.randbytes(size))
    if kind == "OPENSSH PRIVATE KEY":
        body = b64(b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none" + rng.randbytes(size))
    lines = [body[at : at + width] for at in range(0, len(body), width)]
    if kind.startswith("PGP"):
        lines = ["", *lines, "=" + some(rng, ALNUM, 4)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


@dataclass(frozen=True)
class Kind:
    name: str
    key: str  # of the environment
    make: Callable[[Random], str]
    bare: bool = False  # nothing but its key tells that it is a secret


def run_of(
    alphabet: str, count: int, prefix: str = "", suffix: str = ""
) -> Callable[[Random], str]:
    return lambda rng: prefix + some(rng, alphabet, count) + suffix


def parts_of(*parts: object) -> Callable[[Random], str]:
    """Text parts as they are, (alphabet, count) parts at random."""
    return lambda rng: "".join(
        p if isinstance(p, str) else some(rng, *p)  # type: ignore[misc]
        for p in parts
    )
