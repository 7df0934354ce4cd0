"""The Hub's limits, looked at before anything is computed.

Figures are those of the Hub's documentation of storage limits (2026): they are for huggingface.co;
another hub says itself what it does not take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import Finding, PlanContext
from uploader_hf.hub.errors import translated

if TYPE_CHECKING:
    from huggingface_hub import HfApi

GB = 10**9
LARGEST_FILE = 500 * GB
LARGE_FILE = 200 * GB
MOST_FILES = 100_000
MOST_FILES_IN_A_FOLDER = 10_000
PRIVATE_FREE = 100 * GB
PRIVATE_PRO = 1000 * GB


def check_files(context: PlanContext) -> Iterator[Finding]:
    """Compare the single files that are planned with the Hub's limits."""
    files = [file for kind in _kinds(context) for file in context.names.get(kind, ())]
    for name, size in files:
        if size > LARGEST_FILE:
            yield Finding(
                level="error",
                what=f"{name} will have {size / GB:.0f} GB; the Hub takes no file above 500 GB",
                next="ask for smaller files: more shards, or split GGUFs",
            )
        elif size > LARGE_FILE:
            yield Finding(
                level="warning",
                what=f"{name} will have {size / GB:.0f} GB; the Hub asks for files below 200 GB",
                next="ask for smaller files: more shards, or split GGUFs",
            )
    if len(files) > MOST_FILES_IN_A_FOLDER:
        level = "error" if len(files) > MOST_FILES else "warning"
        yield Finding(
            level=level,  # type: ignore[arg-type]
            what=f"{len(files):,} files; the Hub takes {MOST_FILES_IN_A_FOLDER:,} in a folder and "
            f"{MOST_FILES:,} in a repository",
            next="ask for fewer, larger files",
        )


def check_quota(context: PlanContext, api: HfApi, account: dict[str, Any]) -> Iterator[Finding]:
    """Compare what a private release adds with the private storage that is left.

    Everything that a repository's history holds counts, not only what its branches show.
    """
    owner = (context.target or "").split("/")[0]
    coming = sum(context.sizes.get(kind, 0) for kind in _kinds(context))
    quota = int(context.settings.quota * GB)
    if not quota:
        if owner != account["name"]:
            return  # an organisation's depends on its seats, which it does not say
        quota = PRIVATE_PRO if account.get("isPro") else PRIVATE_FREE
    if coming * 20 < quota and not context.settings.quota:
        return  # far from it: not worth walking through an account's repositories
    with translated(f"asking how much {owner} stores"):
        used = sum(
            getattr(repo, "used_storage", None) or 0
            for repo in api.list_models(author=owner, expand=["private", "usedStorage"])
            if repo.private
        )
    if used + coming > quota:
        yield Finding(
            level="error",
            what=f"{owner} stores {used / GB:.1f} GB in private repositories; with the "
            f"{coming / GB:.1f} GB of this release that is more than the {quota / GB:.0f} GB that "
            "the account has",
            next="publish with --hf-public, delete old repositories or their history, ask for "
            "fewer formats, or say with --hf-quota GB what the account has",
        )


def _kinds(context: PlanContext) -> list[str]:
    return [artifact.kind for artifact in context.inputs if artifact.kind != "document"]
