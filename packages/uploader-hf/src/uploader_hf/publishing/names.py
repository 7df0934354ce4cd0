"""Which repository a format goes to: the field's suffixes, one repository per kind."""

from __future__ import annotations

import re
from collections.abc import Mapping

from uploader_core.plugin import GroupContext, UploadGroup, UsageError

SUFFIXES = {
    "merged-16bit": "",
    "lora": "-LoRA",
    "gguf": "-GGUF",
    "gguf-lora": "-LoRA-GGUF",
    "merged-4bit": "-bnb-4bit",
    "mlx": "-MLX",
    "mlx-lora": "-MLX-LoRA",
}
"""A Hub repository with an adapter and a full model in it loads wrongly, so each gets its own."""

_VARIANTS = {"mlx-quantised-": "-MLX-"}
"""Beginnings of kinds with variants, and what stands for them."""

# As the Hub itself has it (huggingface_hub.utils.validate_repo_id).
_PART = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_PART}/{_PART}")


def suffix_of(kind: str) -> str:
    """Return what is appended to the model's name for a kind."""
    for beginning, short in _VARIANTS.items():
        if kind.startswith(beginning):
            return short + kind.removeprefix(beginning)
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

    Raises:
        UsageError: A repository that the Hub does not take, one for a kind that is not part of the
            request, or one for two kinds.
    """
    name = check_repo_id(context.target)
    owner = name.split("/")[0]
    chosen = _chosen(context.settings.repo, owner)
    if context.settings.layout == "single":
        if chosen:
            raise UsageError(
                "--hf-repo names a repository per format, and --hf-layout single has only one",
                next="leave one of the two out",
            )
        return (UploadGroup(target=name, kinds=context.kinds),)
    for kind in chosen.keys() - set(context.kinds):
        raise UsageError(
            f"--hf-repo {kind}=...: this release has no {kind}",
            next=f"it has {', '.join(context.kinds)}",
        )
    groups: dict[str, UploadGroup] = {}
    for kind in context.kinds:
        suffix = suffix_of(kind)
        alone = len(context.kinds) == 1 and name.lower().endswith(suffix.lower())
        target = chosen.get(kind) or check_repo_id(name if alone else name + suffix)
        if target in groups:
            raise UsageError(
                f"{target} would hold {groups[target].kinds[0]} and {kind}, and then load wrongly",
                next=f"--hf-repo {kind}=ANOTHER-NAME, or --hf-layout single for sub-folders",
            )
        groups[target] = UploadGroup(
            target=target, kinds=(kind,), flatten=True, documents=False, model_id=target
        )
    return tuple(groups.values())


def _chosen(options: tuple[str, ...], owner: str) -> Mapping[str, str]:
    """Read ``KIND=NAME`` or ``KIND=OWNER/NAME``."""
    found = {}
    for option in options:
        kind, equals, repo = option.partition("=")
        if not equals or not kind:
            raise UsageError(
                f"--hf-repo {option!r} is not of the form KIND=NAME",
                next="for example --hf-repo gguf=my-model-GGUF",
            )
        found[kind] = check_repo_id(repo if "/" in repo else f"{owner}/{repo}")
    return found
