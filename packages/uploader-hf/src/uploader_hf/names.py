"""Which repository a format goes to: the field's suffixes, one repository per kind."""

from __future__ import annotations

import re

from uploader_core.plugin import GroupContext, UploadGroup, UsageError

SUFFIXES = {
    "merged-16bit": "",
    "lora": "-LoRA",
    "gguf": "-GGUF",
    "gguf-lora": "-LoRA-GGUF",
    "merged-4bit": "-bnb-4bit",
}
"""A Hub repository with an adapter and a full model in it loads wrongly, so each gets its own."""

# As the Hub itself has it (huggingface_hub.utils.validate_repo_id).
_PART = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_PART}/{_PART}")


def suffix_of(kind: str) -> str:
    """Return what is appended to the model's name for a kind."""
    return SUFFIXES.get(kind, "-" + re.sub(r"[^\w]+", "-", kind))


def check_repo_id(repo_id: str) -> str:
    """Return a repository id that the Hub takes.

    Raises:
        UsageError: It is not of the form ``owner/name``.
    """
    if not _REPO.fullmatch(repo_id) or "--" in repo_id or ".." in repo_id:
        raise UsageError(
            f"{repo_id!r} is not a repository of the form owner/name",
            owner="--to hf:",
            next="--to hf:YOUR-NAME/MODEL-NAME",
        )
    return repo_id


def group(context: GroupContext) -> tuple[UploadGroup, ...]:
    """Split a request for ``hf:owner/name`` into repositories.

    A name that already ends with the suffix of the only kind asked for is taken as it is.
    """
    name = check_repo_id(context.target)
    if context.settings.layout == "single":
        return (UploadGroup(target=name, kinds=context.kinds),)
    groups = []
    for kind in context.kinds:
        suffix = suffix_of(kind)
        alone = len(context.kinds) == 1 and name.lower().endswith(suffix.lower())
        target = name if alone else name + suffix
        groups.append(
            UploadGroup(target=check_repo_id(target), kinds=(kind,), flatten=True, documents=False)
        )
    return tuple(groups)
