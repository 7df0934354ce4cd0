"""What fsspec's implementations raise, as errors of uploader that name place and fix.

s3fs translates the codes of S3 into Python's own errors and keeps the answer as their cause.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from uploader_core.plugin import (
    AuthError,
    RefusedError,
    TemporaryError,
    UploaderError,
    UsageError,
)
from uploader_fsspec.store.address import EXTRAS, Address

AGAIN = "run the same command again; what is there already is neither fetched nor sent again"

_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
    "TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError",
    "DefaultCredentialsError", "ProfileNotFound",
}  # fmt: skip
_NO_LOGIN = {
    "AuthenticationException", "BadAuthenticationType", "PasswordRequiredException",
    "ClientAuthenticationError",
}  # fmt: skip
_NO_NAME = {"ParamValidationError", "InvalidBucketName"}
_SAY = {
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is not valid there",
    "RequestTimeTooSkewed": "the clock of this machine and that of the store are too far apart",
}
_PASSING = {
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted",
    "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "TooManyRequests", "429", "500",
    "502", "503", "504",
}  # fmt: skip
"""Codes of S3 for what may succeed a moment later."""

_LATER = (408, 425, 429)
"""Statuses of HTTP below 500 after which to ask again."""

_SET_KEYS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true "
    "for a bucket that everybody may read",
    "gcs": "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "azure": "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with "
    "AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
    "hf": "hf auth login, or set HF_TOKEN",
    "sftp": "ssh-add a key that is accepted there, or set FSSPEC_SFTP_USERNAME and "
    "FSSPEC_SFTP_PASSWORD",
}
_FOREIGN = ("botocore", "aiobotocore", "aiohttp", "httpx", "httpx2", "requests", "urllib3",
            "google", "gcsfs", "azure", "paramiko", "fsspec")  # fmt: skip


@contextlib.contextmanager
def translated(
    address: Address, what: str, missing: type[RefusedError] = RefusedError
) -> Iterator[None]:
    """Turn what a store's library raises into an error that says what to do.

    Args:
        address: The folder that is worked with.
        what: What is being done, to follow a place (``reading config.json``).
        missing: Class for what is not there.

    Raises:
        UploaderError: As said.
    """
    try:
        yield
    except UploaderError:
        raise
    except Exception as error:
        found = _translate(error, address, what, missing)
        if found is None:
            raise
        raise found from error


def is_passing(error: Exception) -> bool:
    """Tell whether the same request may succeed a moment later."""
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return False
    if _name(error) in {*_NO_CREDENTIALS, *_NO_LOGIN, *_NO_NAME, "BadHostKeyException"}:
        return False
    if _is_refusal(error):
        return False
    code = code_of(error)
    known = isinstance(error, OSError | EOFError) or _module(error) in _FOREIGN
    return code in _PASSING if code else known


def code_of(error: BaseException | None) -> str:
    """Return the code with which S3 refused a request, "" where none is known."""
    while error is not None:
        answer: Any = getattr(error, "response", None)
        if isinstance(answer, dict) and isinstance(answer.get("Error"), dict):
            return str(answer["Error"].get("Code", ""))
        error = error.__cause__
    return ""


def how_to_log_in(address: Address) -> str:
    """Return where credentials for an address are looked for."""
    return _SET_KEYS.get(
        EXTRAS.get(address.protocol, ""),
        f"give credentials where {address.protocol} looks for them",
    )


def _translate(
    error: Exception, address: Address, what: str, missing: type[RefusedError]
) -> UploaderError | None:
    code, name, status = code_of(error), _name(error), _status(error)
    keys = how_to_log_in(address)
    if name in _NO_CREDENTIALS:
        said = f": {error}" if name == "ProfileNotFound" else ""
        return AuthError(
            f"there are no credentials for {address}{said}", owner=address.bucket, next=keys
        )
    if code == "RequestTimeTooSkewed":
        return AuthError(
            f"{address}: {_SAY[code]}",
            owner=address.bucket,
            next="set the clock: timedatectl set-ntp true",
        )
    if name in _NO_LOGIN:
        return AuthError(
            f"{address} does not accept this login: {error}",
            owner=address.bucket,
            safe="nothing that is there was changed by this",
            next=keys,
        )
    if name == "BadHostKeyException":
        return AuthError(
            f"{address.bucket} shows another key than ~/.ssh/known_hosts has: {error}",
            owner=address.bucket,
            safe="no login was sent to it",
            next="ask whoever runs it whether its key has changed; if so, ssh-keygen -R "
            f"{address.bucket}, then connect with ssh once and accept the new one",
        )
    if isinstance(error, PermissionError) or (not code and status in (401, 403)):
        why = _SAY.get(code)
        return AuthError(
            f"{what} in {address} is not allowed: {why or _first_line(error) or code}",
            owner=address.bucket,
            safe="nothing that is there was changed by this",
            next=keys if why else f"ask for the right to do it on {address}, or {keys}",
        )
    if code == "NoSuchBucket":
        return missing(
            f"there is no bucket {address.bucket}",
            owner=str(address),
            safe="nothing was written",
            next="create it, or check its name; AWS_ENDPOINT_URL says where a store is that is not "
            "Amazon's",
        )
    if isinstance(error, FileNotFoundError) or (not code and status == 404):
        return missing(
            f"there is nothing at {address} ({what})",
            owner=address.bucket,
            safe="nothing was written",
            next="check the address: protocol://bucket/folder",
        )
    if {name, code} & _NO_NAME:
        said = str(error).strip().rpartition("\n")[2]
        return UsageError(f"{address} is no address: {said}", next="check the bucket's name")
    if (code and code not in _PASSING) or _is_refusal(error):
        said = f"{code or status}: {_first_line(error)}"
        return RefusedError(
            f"{address}: the store refuses {what}: {said}",
            owner=address.bucket,
            next="ask whoever runs the store what that means there",
        )
    if is_passing(error):
        return TemporaryError(
            f"{what} in {address} failed: {name}: {_first_line(error)}",
            owner="the network, or the store",
            safe="what arrived is kept",
            next=AGAIN,
        )
    return None


def _is_refusal(error: Exception) -> bool:
    status = _status(error)
    return not code_of(error) and 400 <= status < 500 and status not in _LATER


def _status(error: BaseException) -> int:
    """Return the status of HTTP that an error of a library carries, 0 without one."""
    answers = (error, getattr(error, "response", None))
    names = ("status_code", "status", "code")
    found = (getattr(answer, name, None) for answer in answers for name in names)
    return next((status for status in found if isinstance(status, int)), 0)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]  # Azure adds its whole answer


def _name(error: Exception) -> str:
    return type(error).__name__


def _module(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]
