"""Compare the prompts of both engines, conversation by conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from uploader_gguf.chat_template.causes import explain, first_difference, given_to, render
from uploader_gguf.chat_template.probes import PROBES, Probe, with_text_arguments
from uploader_gguf.chat_template.reference import Reference, Refusal, at_no_time
from uploader_gguf.chat_template.server import Answer
from uploader_gguf.tokenizer.own_tokenizer import OwnTokenizer

SWITCH = "enable_thinking"
"""The one variable that llama.cpp always gives a template."""

_SHOWN = 40
"""Characters of a prompt around a difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A conversation, and what is said with it.

    Attributes:
        probe: The conversation.
        variables: ``enable_thinking``, or nothing.
    """

    probe: Probe
    variables: Mapping[str, Any]

    @property
    def name(self) -> str:
        said = "".join(f", {k} {str(v).lower()}" for k, v in self.variables.items())
        return self.probe.name + said

    def body(self) -> dict[str, Any]:
        """Return it as a request to llama.cpp's server."""
        body: dict[str, Any] = {"messages": with_text_arguments(self.probe.messages)}
        if self.probe.tools:
            body["tools"] = list(self.probe.tools)
        if self.variables:
            body["chat_template_kwargs"] = dict(self.variables)
        return body


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a case.

    Attributes:
        case: The case.
        ours: transformers' prompt; None when it refuses the conversation.
        theirs: llama.cpp's, with the BOS that the tokenizer puts before it.
        kinds: Why they differ; ``unknown`` and ``error`` among them, empty when they do not.
        place: Both prompts around the first difference, or the first that is not explained.
        lost: Texts of the conversation that only transformers' prompt has.
        bos: How often a prompt has the token that begins a text: ours, theirs.
        ended: Whether only llama.cpp puts the token that ends a text behind the prompt.
        cut: Whether equal prompts become other tokens.
    """

    case: Case
    ours: str | None
    theirs: str = ""
    kinds: tuple[str, ...] = ()
    place: str = ""
    lost: tuple[str, ...] = ()
    bos: tuple[int, int] = (0, 0)
    ended: bool = False
    cut: bool = False

    @property
    def wrong(self) -> bool:
        """Whether a rewrite of the template may put it right."""
        return bool(self.lost) or not {"unknown", "error", "handler"}.isdisjoint(self.kinds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Compares one tokenizer's prompts.

    Attributes:
        own: The tokenizer; None leaves tokens out.
        bos: Id of the token that begins a text; None without one.
        begin: Its text.
        eos: Id of the one that ends it.
    """

    own: OwnTokenizer | None
    bos: int | None
    begin: str
    eos: int | None

    def of(self, reference: Reference, case: Case, answer: Answer) -> Outcome:
        """Compare a case.

        Args:
            reference: The model's templates.
            case: What was rendered.
            answer: Of llama.cpp.
        """
        ours = render(reference, given_to(case.probe, reference, dict(case.variables)))
        if isinstance(ours, Refusal):
            return Outcome(case=case, ours=None, theirs=answer.prompt)
        if answer.error is not None:
            return Outcome(case=case, ours=ours, kinds=("error",), place=answer.error)
        theirs = self._begun(answer, ours)
        found = replace(self._tokens(case, ours, theirs, answer.tokens), theirs=theirs)
        if at_no_time(ours) == at_no_time(theirs):
            return found
        lost = [text for text in case.probe.contents() if text in ours and text not in theirs]
        why = explain(reference, case.probe, dict(case.variables), theirs)
        return replace(
            found,
            kinds=why.kinds or ("unknown",),
            place=_place(at_no_time(ours) if why.kinds else why.nearest, at_no_time(theirs)),
            lost=tuple(lost),
        )

    def _begun(self, answer: Answer, ours: str) -> str:
        """Put before a prompt what llama.cpp took from it for the tokenizer to put there."""
        begun = answer.tokens[:1] == (self.bos,) and ours.startswith(self.begin)
        return answer.prompt if not begun else self.begin + answer.prompt.removeprefix(self.begin)

    def _tokens(self, case: Case, ours: str, theirs: str, tokens: tuple[int, ...]) -> Outcome:
        found = Outcome(case=case, ours=ours)
        if self.own is None:
            return found
        ids = self.own.encode(ours)
        found = replace(
            found,
            bos=(0, 0) if self.bos is None else (ids.count(self.bos), tokens.count(self.bos)),
            ended=self.eos is not None and ids[-1:] != [self.eos] and tokens[-1:] == (self.eos,),
        )
        if ours != theirs or found.ended or found.bos[0] != found.bos[1]:
            return found
        # The plan says it where sentencepiece's space stands before every part of a prompt.
        known = self.own.begins_with_space and list(tokens) == self.own.in_fragments(ours)
        return replace(found, cut=list(tokens) != ids and not known)


def cases(reference: Reference) -> list[Case]:
    """Return what is rendered, with every switch that the templates have."""
    templates = (reference.templates.default, *reference.templates.named.values())
    switched = any(SWITCH in (template or "") for template in templates)
    states = ({}, {SWITCH: True}, {SWITCH: False}) if switched else ({},)
    return [Case(probe=probe, variables=state) for probe in PROBES for state in states]


def with_form(reference: Reference) -> Reference:
    """Return a reference that gives contents in the form that the templates take.

    Those of models that see walk over the parts of a content, and lose one that is a text.
    """
    (text,) = PROBES[0].contents()
    for parts in (False, True):
        form = replace(reference, takes_parts=parts)
        prompt = render(form, given_to(PROBES[0], form, {}))
        if isinstance(prompt, str) and text in prompt:
            return form
    return reference


def same_prompts(one: Reference, other: Reference, asked: Sequence[Case]) -> bool:
    """Return whether two templates are equal in transformers, also without a begun answer."""
    return all(
        at_no_time(render(one, given_to(case.probe, one, given)))
        == at_no_time(render(other, given_to(case.probe, other, given)))
        for case in asked
        for begun in (True, False)
        for given in ({**case.variables, "add_generation_prompt": begun},)
    )


def _place(ours: str, theirs: str) -> str:
    at = max(0, first_difference(ours, theirs) - _SHOWN)
    shown = [repr(text[at : at + 2 * _SHOWN]).replace("`", "'") for text in (ours, theirs)]
    return f"`{shown[0]}` in transformers, `{shown[1]}` in llama.cpp"
