"""Names in registries: ``host[:port]/repository[:tag][@digest]``, with an error for each rule."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from uploader_core.plugin import UsageError

LATEST = "latest"
_LONGEST = 255
"""Of host and repository together, as Docker's own library has it."""

# https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(
    r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?"
)

# Docker Hub answers under another name than people write.
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io"})
_DOCKER_HUB_API = "registry-1.docker.io"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A place in a registry.

    Attributes:
        host: Registry as the user wrote it, with its port.
        repository: ``team/model``.
        tag: Tag; "" where only a digest was named.
        digest: ``sha256:...``; "" where none was named.
    """

    host: str
    repository: str
    tag: str = LATEST
    digest: str = ""

    def __str__(self) -> str:
        """What a person types, without a tag where there is none."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def version(self) -> str:
        """What a manifest is asked for by: the digest where one is named, else the tag."""
        return self.digest or self.tag

    @property
    def api_host(self) -> str:
        """Where the registry answers."""
        return _DOCKER_HUB_API if self.host in _DOCKER_HUB else self.host

    def tagged(self, tag: str) -> Reference:
        """Return another tag of the same repository.

        Raises:
            UsageError: No registry takes such a tag.
        """
        return replace(self, tag=check_tag(tag), digest="")


def parse_reference(text: str, *, owner: str = "--to oci:") -> Reference:
    """Read ``host/repository[:tag][@digest]``; the tag is ``latest`` where none is named.

    Args:
        text: What the user typed, without a scheme.
        owner: Where it comes from, for errors.

    Raises:
        UsageError: It breaks a rule, which the error names.
    """
    scheme, address, bare = text.partition("://")
    if address and scheme.lower() in ("http", "https", "oci", "docker"):
        raise _wrong(text, f"begins with {scheme}://, and names of registries have none", owner,
                     f"oci:{bare}")  # fmt: skip
    host, slash, rest = text.partition("/")
    if not slash or not rest:
        raise _wrong(text, "names no repository", owner, "oci:HOST/TEAM/MODEL:TAG")
    if not _is_host(host):
        raise _wrong(
            text,
            f"begins with {host!r}, no host: a registry has a dot, a port, or is localhost",
            owner,
            f"oci:docker.io/{text}, or oci:HOST/{text}",
        )
    port = re.search(r":([0-9]+)$", host)
    if port and not 0 < int(port[1]) < 1 << 16:
        raise _wrong(text, f"has the port {port[1]}, and ports end at 65535", owner,
                     f"oci:{host[: port.start()]}/{rest}")  # fmt: skip
    rest, at, digest = rest.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, f"has the digest {digest!r}, not sha256: and 64 digits in lower case",
                     owner, f"oci:{host}/{rest}")  # fmt: skip
    repository, colon, tag = rest.partition(":")
    if host in _DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    check_repository(repository, host=host, owner=owner)
    if colon:
        check_tag(tag, owner=owner)
    elif not at:
        tag = LATEST
    return Reference(host=host, repository=repository, tag=tag, digest=digest)


def check_repository(repository: str, *, host: str = "", owner: str = "--to oci:") -> str:
    """Return the name of a repository that registries take.

    Raises:
        UsageError: The error names the rule that it breaks.
    """
    shown = f"{host}/{repository}" if host else repository
    if len(shown) > _LONGEST:
        raise _wrong(shown[:60] + "...", f"has {len(shown)} characters, and registries take "
                     f"{_LONGEST} with the host", owner, "choose a shorter name")  # fmt: skip
    if _REPOSITORY.fullmatch(repository):
        return repository
    better = suggest_repository(repository)
    hint = f"oci:{host}/{better}" if host else better
    for part in repository.split("/"):
        if not part:
            raise _wrong(shown, "has an empty part between slashes", owner, hint)
        if part != part.lower():
            raise _wrong(shown, f"has upper case in {part!r}, and names of repositories have none",
                         owner, hint)  # fmt: skip
        if not re.fullmatch(r"[a-z0-9._-]+", part):
            raise _wrong(shown, f"has other characters in {part!r} than a-z, 0-9, dot, dash and "
                         "underscore", owner, hint)  # fmt: skip
        if not re.fullmatch(_PART, part):
            raise _wrong(shown, f"has a part, {part!r}, that begins or ends with a separator or "
                         "has two dots, three underscores or two kinds of them in a row",
                         owner, hint)  # fmt: skip
    return repository


def check_tag(tag: str, *, owner: str = "--to oci:") -> str:
    """Return a tag that registries take.

    Raises:
        UsageError: The error names the rule that it breaks.
    """
    if _TAG.fullmatch(tag):
        return tag
    if len(tag) > 128:
        rule = f"has {len(tag)} characters, and registries take 128"
    elif not tag:
        rule = "is empty"
    else:
        rule = "has other characters than letters, digits, dot, dash and underscore, or begins " \
               "with a dot or a dash"  # fmt: skip
    raise _wrong(f"the tag {tag[:60]!r}", rule, owner, f"use the tag {suggest_tag(tag)}")


def suggest_repository(text: str) -> str:
    """Return a name of a repository like a text that may be none."""
    parts = (re.sub(r"[^a-z0-9]+", "-", p.lower()).strip("-") for p in text.split("/"))
    return "/".join(part for part in parts if part) or "model"


def suggest_tag(text: str) -> str:
    """Return a tag like a text that may be none."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).lstrip(".-")[:128] or LATEST


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine."""
    name = host.rpartition(":")[0] if re.search(r":[0-9]{1,5}$", host) else host
    name = (name if not host.startswith("[") else host[1:].partition("]")[0]).lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    return bool(_HOST.fullmatch(text)) and (
        "." in text or ":" in text or text.lower() == "localhost"
    )


def _wrong(text: str, rule: str, owner: str, instead: str) -> UsageError:
    return UsageError(f"{text} {rule}", owner=owner, safe="nothing was sent", next=instead)
