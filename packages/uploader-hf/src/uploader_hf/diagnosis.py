"""What ``uploader doctor`` should know of the Hub: the login, the cache, who answers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from uploader_core.plugin import Diagnosis, UploaderError, from_home
from uploader_hf.hub.identity import has_identity

_LOGIN = "hf auth login, or set HF_TOKEN; https://huggingface.co/settings/tokens"
_YES = {"1", "ON", "YES", "TRUE"}


def diagnose(*, online: bool) -> Iterator[Diagnosis]:
    """Look at files and variables; ask the Hub only when ``online``."""
    home = hub_home(os.environ)
    yield _login(os.environ, home)
    yield _cache(os.environ, home)
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in _YES
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint:
        yield Diagnosis(name="Hub", level="ok", what=f"{endpoint}, from HF_ENDPOINT")
    if online:
        yield _account()
    elif offline:
        what = "HF_HUB_OFFLINE is set: nothing is sent or fetched"
        yield Diagnosis(name="network", level="warn", what=what, fix="unset HF_HUB_OFFLINE")
    else:
        yield Diagnosis(name="network", level="ok", what="not asked; --online asks the Hub")


def hub_home(environment: Mapping[str, str]) -> Path:
    """Return the folder in which the Hub's client keeps its login and its cache, as it does."""
    chosen = environment.get("HF_HOME")
    if chosen:
        return from_home(chosen, typed=False)
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return from_home(caches, typed=False) / "huggingface"


def _login(environment: Mapping[str, str], home: Path) -> Diagnosis:
    if has_identity(environment):
        return Diagnosis(name="login", level="ok", what="by the identity of a CI's job")
    if environment.get("HF_TOKEN"):
        return Diagnosis(name="login", level="ok", what="by HF_TOKEN")
    path = from_home(environment.get("HF_TOKEN_PATH") or home / "token", typed=False)
    try:
        stored = bool(path.read_text("utf-8").strip())
    except OSError:
        stored = False
    if stored:
        return Diagnosis(name="login", level="ok", what=f"stored in {path}")
    return Diagnosis(
        name="login",
        level="warn",
        what="none: releases can be made, but not sent to hf:, nor gated bases fetched",
        fix=_LOGIN,
    )


def _cache(environment: Mapping[str, str], home: Path) -> Diagnosis:
    folder = from_home(environment.get("HF_HUB_CACHE") or home / "hub", typed=False)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    what = f"{folder}, {free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK):
        return Diagnosis(
            name="cache",
            level="fail",
            what=f"{folder} cannot be written",
            fix="make it writable, or set HF_HOME to another folder",
        )
    if free < 20e9:
        return Diagnosis(
            name="cache",
            level="warn",
            what=what + ": little, where base models are downloaded to",
            fix="set HF_HOME to a folder on a larger disk, or hf cache prune",
        )
    return Diagnosis(name="cache", level="ok", what=what)


def _account() -> Diagnosis:
    """Ask the Hub whose token this is."""
    from uploader_hf.hub.client import make_api
    from uploader_hf.hub.errors import translated

    if has_identity(os.environ):
        what = "an identity is asked for with a repository: uploader doctor --to hf:user/model"
        return Diagnosis(name="account", level="ok", what=what)
    api = make_api(os.environ, timeout=10.0)
    if not api.token:
        return Diagnosis(name="account", level="warn", what="nobody is logged in", fix=_LOGIN)
    try:
        with translated("asking the Hub who this token is"):
            account = api.whoami()
    except UploaderError as error:
        return Diagnosis(name="account", level="fail", what=error.what, fix=error.next)
    role = account.get("auth", {}).get("accessToken", {}).get("role", "")
    what = f"{account['name']}, at {api.endpoint}"
    if role == "read":
        return Diagnosis(
            name="account",
            level="warn",
            what=f"{what}; the token can only read",
            fix="make one with write access at https://huggingface.co/settings/tokens",
        )
    return Diagnosis(name="account", level="ok", what=what)
