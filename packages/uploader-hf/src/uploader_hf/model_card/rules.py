"""What the Hub demands of the metadata at the top of a model card.

The loopback Hub judges cards by the same rules. Source: the Hub's
documentation of model cards and the answers of its validator that users have reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from uploader_core.plugin import LICENCES, split_card

RELATIONS = frozenset({"adapter", "finetune", "merge", "quantized"})
_ID = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]{0,95}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]+)*|code|multilingual")


def errors_of(card: str) -> list[str]:
    """Return what the Hub would complain about, nothing for a card that it takes."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    head, _ = split_card(card)
    if head is None:
        return []
    try:
        data = yaml.safe_load(head)
    except yaml.YAMLError as error:
        return [f"the metadata is not YAML: {str(error).splitlines()[0]}"]
    if data is None:
        return []
    if not isinstance(data, dict):
        return ["the metadata must be a mapping"]
    return list(_errors(data))


def _errors(data: dict[str, Any]) -> Iterator[str]:
    for name in ("base_model", "datasets", "tags", "language", "license", "new_version"):
        if name in data and data[name] is None:
            yield f'"{name}" must not be empty'
    for name in ("base_model", "datasets"):
        for value in _values(data.get(name)):
            if not isinstance(value, str) or not _ID.fullmatch(value) or ".." in value:
                yield f'"{name}" with value {value!r} is not valid. Use a model id from https://hf.co.'
    for value in _values(data.get("license")):
        if not isinstance(value, str) or value not in LICENCES:
            yield f'"license" must be one of the known identifiers, not {value!r}'
    name = str(data.get("license_name", "unnamed"))
    if data.get("license") == "other" and not re.fullmatch(r"[a-z0-9][a-z0-9.+_-]*", name):
        yield '"license_name" must be lower case without spaces'
    link = data.get("license_link")
    if link is not None and not re.fullmatch(r"LICENSE(\.md|\.txt)?|https?://\S+", str(link)):
        yield '"license_link" must be LICENSE, LICENSE.md or an address'
    if str(data.get("base_model_relation", "adapter")) not in RELATIONS:
        yield f'"base_model_relation" must be one of {", ".join(sorted(RELATIONS))}'
    for value in _values(data.get("language")):
        if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
            yield f'"language" must be an ISO 639 code, not {value!r}'
    for name in ("tags", "metrics"):
        if name in data and not (
            isinstance(data[name], list) and all(isinstance(tag, str) for tag in data[name])
        ):
            yield f'"{name}" must be a list of texts'
    for name in ("library_name", "pipeline_tag", "license_name"):
        if name in data and not isinstance(data[name], str):
            yield f'"{name}" must be a text'


def _values(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
