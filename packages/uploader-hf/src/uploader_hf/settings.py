"""Settings of the plugin ``hf``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from uploader_core.plugin import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class CardSettings:
    """Settings of the model card."""

    card_template: str = setting(
        "", help="Jinja template of the model card, instead of ours", content=True
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class HubSettings:
    """Settings of the destination ``hf:``."""

    POLICY: ClassVar = ("public", "foreign", "allow_secret")

    layout: str = setting(
        "separate",
        help="one repository per format, or a single one with a folder each",
        choices=("separate", "single"),
    )
    repo: tuple[str, ...] = setting((), help="KIND=NAME: repository of one format, by another name")
    public: bool = setting(False, help="publish for everybody; otherwise repositories are private")
    revision: str = setting("main", help="branch that receives the commit; made when missing")
    pr: bool = setting(False, help="a draft pull request where the repository holds files already")
    tag: str = setting("", help="tag of the commit, set after everything was compared")
    collection: bool = setting(True, help="join the repositories of a release in a collection")
    message: str = setting("Release by uploader", help="message of the commit")
    timeout: float = setting(
        60.0,
        help="seconds without any answer before a request is repeated",
        changes_result=False,
    )
    quota: float = setting(
        0.0,
        help="GB of private storage that the account has; 0: what its plan is known to have",
        changes_result=False,
    )
    foreign: str = setting(
        "refuse",
        help="files there that no release put there and that programs would load: refuse the "
        "release, remove them, or keep them beside it",
        choices=("refuse", "remove", "keep"),
    )
    allow_secret: tuple[str, ...] = setting(
        (), help="fingerprints of findings in text files that are no secrets"
    )
