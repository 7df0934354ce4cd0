"""Which login a registry gets: variables, then the files of docker, podman and skopeo.

In this order: ``UPLOADER_OCI_USERNAME`` with ``UPLOADER_OCI_PASSWORD``, ``DOCKER_AUTH_CONFIG`` (the
text of a config.json, as CI systems hand it over), ``REGISTRY_AUTH_FILE``, the ``auth.json`` of
podman and skopeo, ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``. A job of GitHub or
GitLab is logged in to its own registry by what the CI gives it for as long as it runs.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.plugin import AuthError, from_home, keep_secret, parse_json
from uploader_oci.registry.helpers import ask_helper

USERNAME, PASSWORD, CONFIG_TEXT, OF_GITHUB, OF_GITLAB = SECRETS = (
    "UPLOADER_OCI_USERNAME",
    "UPLOADER_OCI_PASSWORD",
    "DOCKER_AUTH_CONFIG",
    "GITHUB_TOKEN",
    "CI_REGISTRY_PASSWORD",
)
"""Variables that hold a login; name them in the ``secrets`` of a spec that pushes."""

# What docker itself writes for its own registry.
_DOCKER_HUB = ("https://index.docker.io/v1/", "index.docker.io", "docker.io")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """A login.

    Attributes:
        username: Name; "" for a login by token alone.
        password: Password, or a token that is used as one.
        identity_token: What is exchanged for short-lived tokens, where ``docker login`` got one.
        origin: Where it comes from, for messages.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    origin: str = ""

    def __post_init__(self) -> None:
        # What is in a file, or in a part of a variable, only this process knows.
        for value in (self.password, self.identity_token, (self.basic or "").partition(" ")[2]):
            keep_secret(value)

    @property
    def basic(self) -> str | None:
        """Value of an ``Authorization`` header, None without a password."""
        if not self.password:
            return None
        both = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(both).decode("ascii")


def find_credentials(
    host: str, repository: str = "", *, secrets: Mapping[str, str]
) -> Credentials | None:
    """Return the login for a repository, None where nobody is logged in.

    Args:
        host: Registry as the user wrote it, with its port.
        repository: Its name: podman's files may have a login for a part of a registry.
        secrets: Of :data:`SECRETS` those that are set.

    Raises:
        AuthError: Half a login, a file that cannot be read, or a helper that fails.
    """
    user, password = secrets.get(USERNAME, ""), secrets.get(PASSWORD, "")
    if user and password:
        return Credentials(username=user, password=password, origin=f"{USERNAME}, {PASSWORD}")
    if user or password:
        missing = PASSWORD if user else USERNAME
        raise AuthError(
            f"{USERNAME if user else PASSWORD} is set and {missing} is not",
            owner="the environment",
            safe="nothing was sent",
            next=f"set both, or none where `docker login {host}` was used",
        )
    for origin, config in _configs(secrets):
        found = _of_config(config, host, repository, origin)
        if found is not None:
            return found
    return _of_job(host, os.environ, secrets)


def _of_job(
    host: str, environment: Mapping[str, str], secrets: Mapping[str, str]
) -> Credentials | None:
    """Return the login of a CI's job, for the registry of that CI and no other."""
    logins = {
        "ghcr.io": (environment.get("GITHUB_ACTOR"), OF_GITHUB),
        environment.get("CI_REGISTRY"): (environment.get("CI_REGISTRY_USER"), OF_GITLAB),
    }
    user, variable = logins.get(host, ("", ""))
    if not (user and secrets.get(variable)):
        return None
    return Credentials(username=user, password=secrets[variable], origin=variable)


def known_logins(secrets: Mapping[str, str]) -> list[tuple[str, list[str], list[str]]]:
    """Return where logins are kept: the place, the hosts that it names, the helpers that it asks.

    Args:
        secrets: Of :data:`SECRETS` those that are set.

    Raises:
        AuthError: A file cannot be read.
    """
    found = []
    for origin, config in _configs(secrets):
        helpers = _table(config, "credHelpers")
        names = [str(value) for value in helpers.values()]
        if config.get("credsStore"):
            names.append(str(config["credsStore"]))
        hosts = sorted({*map(_plain, _table(config, "auths")), *helpers})
        if hosts or names:
            found.append((origin, hosts, list(dict.fromkeys(names))))
    return found


def _configs(secrets: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what is there, with its name, in the order in which it counts."""
    if text := secrets.get(CONFIG_TEXT):
        yield CONFIG_TEXT, _parse(text, CONFIG_TEXT)
    for path in _files(os.environ):
        try:
            content = path.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise _unreadable(str(path), type(error).__name__) from None
        yield str(path), _parse(content, str(path))


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield where docker, podman and skopeo keep logins."""
    home = from_home("~", typed=False)
    if named := environment.get("REGISTRY_AUTH_FILE"):
        yield from_home(named)
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    config = environment.get("XDG_CONFIG_HOME")
    yield (Path(config) if config else home / ".config") / "containers" / "auth.json"
    docker = environment.get("DOCKER_CONFIG")
    yield (from_home(docker) if docker else home / ".docker") / "config.json"


def _parse(text: str, origin: str) -> Mapping[str, Any]:
    try:
        config = parse_json(text)
    except ValueError:
        raise _unreadable(origin, "no JSON") from None
    if not isinstance(config, dict):
        raise _unreadable(origin, "no JSON object")
    return config


def _of_config(
    config: Mapping[str, Any], host: str, repository: str, origin: str
) -> Credentials | None:
    keys = list(_keys(host, repository))
    helpers = _table(config, "credHelpers")
    for key in keys:
        if key in helpers:  # docker asks nobody else then
            return _ask(str(helpers[key]), key, origin)
    auths = _table(config, "auths")
    plain = {_plain(key): value for key, value in auths.items()}
    store = config.get("credsStore")
    for key in keys:
        entry = auths.get(key, plain.get(key))
        found = _of_entry(entry, origin) if isinstance(entry, dict) else None
        if found is not None:
            return found
        if store and (found := _ask(str(store), key, origin)):
            return found
    return None


def _keys(host: str, repository: str) -> Iterator[str]:
    """Yield under what names a login may be kept, the most special first."""
    parts = [part for part in repository.split("/") if part]
    for count in range(len(parts), 0, -1):
        yield "/".join((host, *parts[:count]))
    yield from _DOCKER_HUB if host in _DOCKER_HUB else (host,)


def _plain(key: str) -> str:
    """Return the host of a key that older clients wrote as an address."""
    return key.removeprefix("https://").removeprefix("http://").rstrip("/").removesuffix("/v1") \
        .removesuffix("/v2")  # fmt: skip


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _of_entry(entry: Mapping[str, Any], origin: str) -> Credentials | None:
    """Read one of ``auths``; an empty one says that a helper has the login."""
    token = str(entry.get("identitytoken") or "")
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if encoded := str(entry.get("auth") or ""):
        try:
            text = base64.b64decode(encoded, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise _unreadable(origin, "auth is no base64") from None
        user, _, password = text.partition(":")
        password = password.strip("\0")
    if not (password or token):
        return None
    return Credentials(username=user, password=password, identity_token=token, origin=origin)


def _ask(helper: str, key: str, origin: str) -> Credentials | None:
    answer = ask_helper(helper, key, without=SECRETS)
    if answer is None:
        return None
    user, secret = answer
    origin = f"docker-credential-{helper}, named in {origin}"
    if user == "<token>":  # docker's own mark for an identity token
        return Credentials(identity_token=secret, origin=origin)
    return Credentials(username=user, password=secret, origin=origin)


def _unreadable(origin: str, why: str) -> AuthError:
    return AuthError(
        f"the logins in {origin} cannot be read: {why}",
        owner=origin,
        safe="nothing was sent",
        next=f"correct it, or set {USERNAME} and {PASSWORD}",
    )
