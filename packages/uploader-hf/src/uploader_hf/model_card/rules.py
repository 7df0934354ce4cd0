"""What the Hub demands of the metadata at the top of a model card.

The loopback Hub judges cards by the same rules. Source: the Hub's
documentation of model cards and the answers of its validator that users have reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from uploader_core.plugin import split_card

# https://huggingface.co/docs/hub/repositories-licenses
_LICENCES = (
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 "
    "bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause "
    "bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 "
    "cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 "
    "cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 "
    "eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research "
    "intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 "
    "openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license "
    "fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 "
    "grok2-community gemma unknown other"
)
LICENCES = frozenset(_LICENCES.split())
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
        if value not in LICENCES:
            yield f'"license" must be one of the known identifiers, not {value!r}'
    name = str(data.get("license_name", "unnamed"))
    if data.get("license") == "other" and not re.fullmatch(r"[a-z0-9][a-z0-9.+_-]*", name):
        yield '"license_name" must be lower case without spaces'
    link = data.get("license_link")
    if link is not None and not re.fullmatch(r"LICENSE(\.md|\.txt)?|https?://\S+", str(link)):
        yield '"license_link" must be LICENSE, LICENSE.md or an address'
    if data.get("base_model_relation", "adapter") not in RELATIONS:
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
