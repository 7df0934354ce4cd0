"""What a difference means for a release: a refusal, or a note on the card."""

from __future__ import annotations

from collections.abc import Sequence

from uploader_core.plugin import RefusedError
from uploader_gguf.chat_template.causes import given_to, render
from uploader_gguf.chat_template.compare import SWITCH, Outcome
from uploader_gguf.chat_template.notes import Note, note, with_setting
from uploader_gguf.chat_template.reference import Reference, at_no_time
from uploader_gguf.llama_cpp import library

_NEXT = (
    "change the chat template, leave gguf out of --plugins, or ship it as it is with"
    " --no-gguf-template-check"
)


def refuse_start(why: str) -> None:
    """Refuse a template that llama.cpp's server does not start with.

    Raises:
        RefusedError: Always.
    """
    raise _refused(f"llama.cpp's server does not start with the chat template: {why}")


def judge(outcomes: Sequence[Outcome]) -> None:
    """Refuse what would answer prompts that the model was never trained with.

    Raises:
        RefusedError: The first of: what somebody said is lost; a prompt begins or ends otherwise; a
            plain conversation fails, or differs for a cause that is not known.
    """
    for one in outcomes:
        if one.lost:
            raise _refused(
                f"llama.cpp loses {one.lost[0]!r} of the conversation {one.case.name!r}"
                f": {one.place}"
            )
    for one in outcomes:
        ours, theirs = one.bos
        if ours != theirs:
            raise _refused(
                f"the prompt of the conversation {one.case.name!r} has the token that begins a text"
                f" {theirs} times in llama.cpp, and {ours} times in training"
            )
        if one.ended:
            raise _refused(
                f"llama.cpp puts the token that ends a text behind the prompt of {one.case.name!r}"
            )
    strange = [one for one in outcomes if _strange(one)]
    if strange and not _letters_only(strange):
        one = strange[0]
        raise _refused(
            f"llama.cpp fails on the plain conversation {one.case.name!r}: {one.place}"
            if "error" in one.kinds
            else f"llama.cpp writes the plain conversation {one.case.name!r} otherwise than"
            f" transformers: {one.place}"
        )


def notes_of(reference: Reference, outcomes: Sequence[Outcome]) -> list[Note]:
    """Return what stays otherwise, each kind once.

    Args:
        reference: The templates that are in the files.
        outcomes: None of which refuses.
    """
    found: dict[str, list[str]] = {}
    more: dict[str, str] = {}
    letters = _letters_only([one for one in outcomes if _strange(one)])
    for one in outcomes:
        for kind in one.kinds:
            named = "letters" if letters and _strange(one) else kind
            found.setdefault(named, []).append(one.case.probe.name)
            if kind in ("unknown", "error") and not letters:
                more.setdefault(named, f": {one.place}")
        if one.cut:
            found.setdefault("tokens", []).append(one.case.probe.name)
    if "thinking" in found:
        more["thinking"] = with_setting(_switch(outcomes))
    if not _begins(reference, outcomes):
        found["prefill"] = ["text"]
    by_name = {one.case.probe.name: one for one in outcomes if not one.case.variables}
    system, text = by_name["system"], by_name["text"]
    if text.ours is None:
        found["refused"] = ["text"]
    if system.ours is None and text.ours is not None and system.theirs:
        found["system"] = ["system"]
    return [note(kind, probes, more.get(kind, "")) for kind, probes in found.items()]


def _strange(one: Outcome) -> bool:
    return one.case.probe.ordinary and not {"unknown", "error"}.isdisjoint(one.kinds)


def _letters_only(strange: Sequence[Outcome]) -> bool:
    """Return whether plain text differs in the one conversation with other letters alone."""
    return bool(strange) and {one.case.probe.name for one in strange} == {"letters"}


def _switch(outcomes: Sequence[Outcome]) -> bool | None:
    """Return the setting with which llama.cpp writes what transformers does without one."""
    prompts = [None if o.ours is None else at_no_time(o.ours) for o in outcomes]
    every = [*zip(outcomes, prompts, strict=True)]
    default = {o.case.probe.name: prompt for o, prompt in every if not o.case.variables}
    for switch in (True, False):
        said = [
            prompt == default[o.case.probe.name]
            for o, prompt in every
            if o.case.variables.get(SWITCH) is switch and o.case.probe.ordinary
        ]
        if said and all(said):
            return switch
    return None


def _begins(reference: Reference, outcomes: Sequence[Outcome]) -> bool:
    """Return whether the prompt without a begun answer begins the one with it."""
    text = next(one for one in outcomes if one.case.probe.name == "text")
    given = given_to(text.case.probe, reference, {"add_generation_prompt": False})
    without = render(reference, given)
    if text.ours is None or not isinstance(without, str):
        return True
    return at_no_time(text.ours).startswith(at_no_time(without))


def _refused(what: str) -> RefusedError:
    return RefusedError(
        what,
        owner=f"the chat template with {library.version()}",
        safe="nothing of it is uploaded",
        next=_NEXT,
    )
