"""The prompts of training: of the fine-tune's own tokenizer, as transformers renders them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, overload

from uploader_core.plugin import ChatTemplates, UploaderError
from uploader_gguf.chat_template.probes import Message

_CLOCK = re.compile(r"\d\d:\d\d(:\d\d)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """transformers does not render a conversation.

    Attributes:
        why: The exception's own words.
    """

    why: str


@overload
def at_no_time(prompt: str) -> str: ...


@overload
def at_no_time(prompt: str | Refusal) -> str | Refusal: ...


def at_no_time(prompt: str | Refusal) -> str | Refusal:
    """Return a prompt without the time of day, which goes on from one to the next."""
    return _CLOCK.sub("00:00", prompt) if isinstance(prompt, str) else prompt


Render = Callable[..., str]
"""``apply_chat_template`` of a tokenizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What transformers makes of conversations.

    Attributes:
        apply: ``apply_chat_template`` of the tokenizer.
        templates: That the release ships.
        special: Texts of special tokens, by the names that templates have for them.
        takes_parts: Whether the content of a message is a list of parts, as for models that see.
    """

    apply: Render
    templates: ChatTemplates
    special: Mapping[str, str] = field(default_factory=dict)
    takes_parts: bool = False

    def template(self, tools: Sequence[Mapping[str, Any]]) -> str | None:
        """Return the template that is taken with some tools."""
        default = self.templates.default
        return self.templates.named.get("tool_use", default) if tools else default

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        **variables: Any,
    ) -> str | Refusal:
        """Return the prompt of a conversation, with the beginning of the answer.

        Args:
            messages: Of the conversation.
            tools: Given with it.
            variables: More that the template sees (``enable_thinking``).
        """
        given = {"add_generation_prompt": True, **variables}
        try:
            return self.apply(
                list(messages),
                tools=list(tools) or None,
                chat_template=self.template(tools),
                tokenize=False,
                **given,
            )
        except UploaderError:  # it took too much time or memory
            raise
        except Exception as error:  # templates raise whatever Python raises
            return Refusal(why=str(error) or type(error).__name__)


def load(folder: Path, templates: ChatTemplates) -> Reference:
    """Load the tokenizer of a folder.

    Args:
        folder: With its files.
        templates: That the release ships.

    Raises:
        Exception: transformers cannot, with whatever it or the tokenizer's class raises.
    """
    from transformers import AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    special = {k: v for k, v in tokenizer.special_tokens_map.items() if isinstance(v, str)}
    apply = cast("Render", tokenizer.apply_chat_template)
    return Reference(apply=apply, templates=templates, special=special)
