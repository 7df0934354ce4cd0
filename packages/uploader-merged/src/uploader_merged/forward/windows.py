"""Cut a text into windows of tokens, with a fine-tune's own tokenizer. Heavy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch  # noqa: TID253 - windows are tensors

from uploader_core.plugin import RefusedError, UploaderError, parse_json
from uploader_merged.forward.size import LONGEST, window_size
from uploader_merged.load_proof.model_class import quiet
from uploader_merged.rendering import limited_templates
from uploader_merged.texts import check_words, has_lines, read_lines, read_text


def open_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a folder, as transformers opens it; no code of its own is run.

    Raises:
        RefusedError: There is none that it can open.
    """
    import transformers

    with quiet():
        try:
            return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:
            raise RefusedError(
                f"transformers cannot open the tokenizer: {' '.join(str(error).split())[:200]}",
                owner=str(folder),
                next="keep tokenizer.json beside the adapter",
            ) from error


def windows_of(
    path: Path, tokenizer: Any, config: Mapping[str, Any], most: int, option: str
) -> list[torch.Tensor]:
    """Return the beginning of a text as windows of tokens, each of shape (1, tokens).

    Args:
        path: The text.
        tokenizer: Of the fine-tune.
        config: ``config.json`` of the model, which says how many tokens it takes.
        most: Windows.
        option: That chose the text, for the error.

    Raises:
        RefusedError: As of :func:`texts_in` and :func:`cut`.
    """
    size = window_size(config)
    texts = texts_in(path, tokenizer, size * most * LONGEST)
    return cut(texts, tokenizer, size, most, owner=str(path), option=option)


def texts_in(path: Path, tokenizer: Any, characters: int = -1) -> Iterator[str]:
    """Yield the texts of a file: all of it, or each line of JSON Lines.

    A line has a ``text``, or ``messages`` (``conversations``) that the chat template renders, or
    ``prompt`` and ``completion``, as trainers' files have them.

    Args:
        path: The file.
        tokenizer: Of the fine-tune.
        characters: How many of a text are enough; all by default.

    Raises:
        RefusedError: A line has none of them, or the chat template does not take it, or the file
            is not in UTF-8.
    """
    if not has_lines(path):
        yield read_text(path, characters)
        return
    with limited_templates():
        for number, line in enumerate(read_lines(path), 1):
            if line.strip():
                text = _text(path, number, line, tokenizer)
                yield check_words(path, text[:characters] if characters >= 0 else text)


def _text(path: Path, number: int, line: str, tokenizer: Any) -> str:
    try:
        found = parse_json(line)
    except ValueError:
        found = None
    if isinstance(found, dict):
        if isinstance(found.get("text"), str):
            return str(found["text"])
        prompt, completion = found.get("prompt"), found.get("completion")
        if isinstance(prompt, str) and isinstance(completion, str):
            return prompt + completion
        for messages in (found.get("messages"), found.get("conversations")):
            if _are_messages(messages):
                return _rendered(path, number, messages, tokenizer)
        if _are_messages(prompt) and _are_messages(completion):
            return _rendered(path, number, prompt + completion, tokenizer)
    raise RefusedError(
        f"line {number} of {path.name} has neither text nor messages nor prompt and completion",
        owner=str(path),
        safe="nothing was written",
        next="write a JSON object with one of them on each line (of messages, each has a role and "
        "content), or give a plain text",
    )


def _are_messages(found: object) -> TypeGuard[list[Any]]:
    return isinstance(found, list) and all(
        isinstance(message, dict) and isinstance(message.get("role"), str) for message in found
    )


def _rendered(path: Path, number: int, messages: Any, tokenizer: Any) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False))
    except UploaderError:  # it took too much time or memory
        raise
    except Exception as error:  # a template raises what it likes
        raise RefusedError(
            f"the chat template does not take the messages in line {number} of {path.name}: "
            f"{' '.join(str(error).split())[:200]}",
            owner=str(path),
            safe="nothing was written",
            next="give messages as in the training, or a plain text",
        ) from error


def cut(
    texts: Iterable[str], tokenizer: Any, size: int, most: int, *, owner: str, option: str
) -> list[torch.Tensor]:
    """Return windows of tokens, each of shape (1, size), that begin as the model's texts begin.

    Args:
        texts: One after the other, with the end token between them.
        tokenizer: Of the fine-tune.
        size: Tokens of a window.
        most: Windows.
        owner: Where the texts are from, for the error.
        option: That chose them, for the error.

    Raises:
        RefusedError: There are fewer tokens than a window has.
    """
    tokens: list[int] = []
    for text in texts:
        if tokens and tokenizer.eos_token_id is not None:
            tokens.append(tokenizer.eos_token_id)
        tokens += tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(tokens) >= size * most:
            break
    count = min(len(tokens) // size, most)
    if count < 1:
        raise RefusedError(
            f"the text has {len(tokens)} tokens, and a window has {size}",
            owner=owner,
            safe="nothing was written",
            next=f"take a longer text with {option}",
        )
    first = tokenizer("")["input_ids"][:1]  # what the tokenizer itself puts before a text
    windows = []
    for number in range(count):
        window = tokens[number * size : (number + 1) * size]
        if first and first[0] != tokenizer.eos_token_id:
            window[0] = first[0]
        windows.append(torch.tensor([window]))
    return windows
