"""Remove what identifies a person or a machine from texts before they are published.

Names are replaced as well as found: a path such as ``/home/alice/x`` gives away a user name, which
is then removed wherever else it occurs.
"""

from __future__ import annotations

import contextlib
import getpass
import platform
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from uploader_core.artifact import Json
from uploader_core.secret_patterns import without_secrets

PATH, PERSON, ADDRESS, SECRET = "[path]", "[name]", "[address]", "[secret]"

# From where a path starts to the last separator of the line and the word behind it: a folder's
# name may hold spaces, and what follows by mistake is no loss.
_START = (
    r"(?:(?<![\w./:\\-])(?:/|~[\w.-]*/)|(?<![A-Za-z0-9])[A-Za-z]:[\\/]|\\\\(?=[\w?.])|\bfile:/)"
)
_PATHS = re.compile(rf"{_START}(?:[^\"'`<>|\n]*[\\/][^\s\"'`<>|]*|[\w.~@+-]+)", re.IGNORECASE)
_ADDRESSES = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?![\w.])"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}(?![\w:])"
    r"|\bhttps?://[^\s/@]*@\S+"
    r"|\bhttps?://(?!(?:www\.)?(?:huggingface\.co|hf\.co|github\.com|arxiv\.org)[/\s]|"
    r"(?:www\.)?(?:huggingface\.co|hf\.co|github\.com|arxiv\.org)$)\S+",
    re.IGNORECASE,
)
_HOMES = re.compile(r"(?:/home/|/Users/|[A-Za-z]:[\\/]+Users[\\/]+)([^\\/\"'\n]+)", re.I)
_NOBODY = {
    "root", "user", "users", "admin", "ubuntu", "debian", "home", "shared", "public", "jovyan",
    "runner", "localhost", "model", "models", "data", "train", "trainer", "lora", "none", "main",
}  # fmt: skip


class Redactor:
    """Takes out paths, addresses, secrets and the names it knows.

    Args:
        texts: What is going to be published; names in its paths are learnt.
        names: More names to take out. The user and the machine at hand are always among them.
    """

    def __init__(self, texts: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        known = {*names, *_at_hand()}
        for text in texts:
            known.update(_HOMES.findall(text))
        usable = {n for name in known if len(n := name.strip()) > 2 and n.lower() not in _NOBODY}
        words = "|".join(re.escape(name) for name in sorted(usable, key=len, reverse=True))
        whole = re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])", re.I)
        self._names = whole if words else None

    def __call__(self, text: str) -> str:
        """Return the text without what must not be published."""
        text = without_secrets(text, SECRET)
        text = _PATHS.sub(PATH, text)
        text = _ADDRESSES.sub(ADDRESS, text)
        return text if self._names is None else self._names.sub(PERSON, text)


def without_local_paths(value: Json) -> Json:
    """Replace absolute local paths by their last part, at any depth of JSON."""
    if isinstance(value, str):
        absolute = value.startswith(("/", "~/", "\\\\")) or value[1:3] in (":\\", ":/")
        return PurePath(value.replace("\\", "/")).name if absolute else value
    if isinstance(value, list):
        return [without_local_paths(item) for item in value]
    if isinstance(value, dict):
        return {key: without_local_paths(item) for key, item in value.items()}
    return value


def _at_hand() -> Iterator[str]:
    # A container's user may have no name, and no home.
    with contextlib.suppress(OSError, KeyError, ImportError):
        yield getpass.getuser()
    host = platform.node()
    yield from (host, host.split(".")[0])
    with contextlib.suppress(RuntimeError):
        yield Path.home().name
