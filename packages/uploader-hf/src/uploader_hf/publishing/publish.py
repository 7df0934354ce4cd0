"""Publish to one repository: explicit files, one commit, listed again and compared before "done".

1. Text files are searched for secrets, the card is shown to the Hub's own validator.
2. The repository is made private, or its visibility is read back, before the first byte.
3. What is there already with the same digest is not sent.
4. Large objects go up first; then one commit makes everything visible at once and takes away what
   only an earlier release had (``sending``, ``replaced``).
5. The tree is listed again; every path, size and digest must match.
6. Only then come the tag, the collection and, if it was asked for, the public.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from uploader_core.plugin import (
    IntegrityError,
    Receipt,
    RefusedError,
    StepContext,
    TemporaryError,
    note_kept,
    refuse_secrets,
)
from uploader_hf.hub import transport
from uploader_hf.hub.client import make_api
from uploader_hf.hub.errors import no_token
from uploader_hf.hub.login import check_write
from uploader_hf.hub.patience import Patience
from uploader_hf.hub.remote import differing, list_all, list_remote
from uploader_hf.hub.watch import Watch
from uploader_hf.publishing import repository
from uploader_hf.publishing.check import ALLOW, EMPTY, check_options, check_rights
from uploader_hf.publishing.replaced import OPTION, Coming, find_replaced
from uploader_hf.publishing.repository import Place
from uploader_hf.publishing.sending import send
from uploader_hf.publishing.standing import give_metadata, keep_standing_card

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SIGNATURE = "model.sig"


def upload(context: StepContext) -> Receipt:
    """Publish ``context.files`` to the repository ``context.target``."""
    with Watch(context.on_progress) as watch:
        return _upload(replace(context, on_progress=watch))


def _upload(context: StepContext) -> Receipt:
    settings = context.settings
    repo_id = context.target or ""
    api = make_api(context.secrets, repo_id, timeout=settings.timeout, write=True)
    if not api.token:
        raise no_token()
    refuse_secrets(context.files, ALLOW, allowed=settings.allow_secret)
    patience = Patience(repo_id, lambda text: context.progress(text, 0, None, "steps"))
    check_options(settings)
    if api.token is True:
        check_write(api, repo_id)
    else:
        check_rights(patience.call("asking the Hub who this token is", api.whoami), repo_id)
    place = repository.prepare(api, patience, repo_id, settings)
    context = _beside(context, api, patience, place)
    context = keep_standing_card(give_metadata(context), api, patience, place)
    _validate_card(context, api, patience)
    how = transport.choose(api, patience, repo_id, place.revision)
    sent = send(context, api, patience, place)
    sha = _verify(context, api, patience, place)
    _tell_of_unsigned(context, api, patience, place.repo_id, sha)
    if settings.tag and place.pull_request is None:
        repository.set_tag(api, patience, repo_id, settings.tag, sha)
    # The collection first: nothing follows once it is public.
    collection = None
    if settings.collection and len(context.targets) > 1:
        title = (context.destination or repo_id).split("/")[-1]
        collection = repository.join_collection(
            api, patience, repo_id, title, public=settings.public
        )
    private = repository.set_visibility(api, patience, repo_id, public=settings.public)
    return context.receipt(
        url=place.pull_request or f"{api.endpoint}/{repo_id}",
        revision=sha,
        private=private,
        files=len(context.files),
        bytes_sent=sent.size,
        metadata={
            "repo": repo_id,
            "branch": place.revision,
            "files_sent": sent.files,
            "bytes_sent_again": sent.again,
            "waits": patience.waits,
            "transport": how,
            "tag": settings.tag or None,
            "collection": collection,
        },
    )


def _beside(context: StepContext, api: HfApi, patience: Patience, place: Place) -> StepContext:
    """Refuse what would be loaded in place of the release, or say in its manifest that it is kept.

    Raises:
        RefusedError: There is such a file, or a manifest that cannot be read.
    """
    left = find_replaced(api, patience, place.repo_id, place.revision, Coming.of_step(context))
    if context.settings.foreign == "refuse":
        left.refuse(place.repo_id, OPTION)
    if context.settings.foreign == "keep":
        return replace(context, files=note_kept(context.files, left.foreign, context.work / "kept"))
    return context


def _validate_card(context: StepContext, api: HfApi, patience: Patience) -> None:
    """Let the Hub judge the card's metadata before hours of transfer, not after.

    Raises:
        RefusedError: It would not take the card.
    """
    from huggingface_hub.utils._headers import build_hf_headers
    from huggingface_hub.utils._http import get_session, hf_raise_for_status

    card = next((file for file in context.files if file.name == "README.md"), None)
    if card is None:
        return

    def ask() -> list[str]:
        answer = get_session().post(
            f"{api.endpoint}/api/validate-yaml",
            json={"content": card.path.read_text("utf-8"), "repoType": "model"},
            headers=build_hf_headers(token=api.token),
        )
        if answer.status_code == 404:  # not every self-hosted hub judges cards
            return []
        if answer.status_code != 400:
            hf_raise_for_status(answer)
        return [str(error["message"]) for error in answer.json().get("errors", ())]

    errors = patience.call("showing the card to the Hub", ask)
    if errors:
        raise RefusedError(
            f"the Hub does not take the model card: {'; '.join(errors)}",
            owner=str(card.path),
            safe="nothing was sent",
            next="correct the metadata at the top of README.md in the source folder",
        )


def _verify(context: StepContext, api: HfApi, patience: Patience, place: Place) -> str:
    """Compare every file with what the Hub lists; return the commit that was compared.

    Raises:
        IntegrityError: Something is missing or different.
    """
    repo_id, total = place.repo_id, len(context.files)
    context.progress(f"verifying {repo_id}", 0, total, "files")
    info = patience.call(
        f"reading the commit of {repo_id}",
        lambda: api.repo_info(repo_id, revision=place.revision),
    )
    if info.sha is None:
        raise TemporaryError(f"{repo_id} names no commit", next="run the same command again")
    remote = list_remote(api, patience, repo_id, info.sha, [f.name for f in context.files])
    wrong = [file.name for file in differing(context.files, remote)]
    if wrong:
        raise IntegrityError(
            f"{len(wrong)} of {total} files did not arrive in {repo_id} as they are here: "
            f"{', '.join(wrong[:3])}",
            owner="the Hub, or another upload at the same time",
            safe="the release folder is whole",
            next="run the same command again",
        )
    context.progress(f"verifying {repo_id}", total, total, "files")
    return str(info.sha)


def _tell_of_unsigned(
    context: StepContext, api: HfApi, patience: Patience, repo_id: str, sha: str
) -> None:
    """Warn of files of others beside a signature: it is over everything, so they break it."""
    ours = {file.name for file in context.files}
    if SIGNATURE not in ours:
        return
    others = sorted(list_all(api, patience, repo_id, sha).keys() - ours - EMPTY)
    if others:
        context.log.warning(
            "%s has files that are not of this release, and the signature of the repository does "
            "not hold until they are removed: %s",
            repo_id,
            ", ".join(others[:3]) + (", ..." if others[3:] else ""),
        )
