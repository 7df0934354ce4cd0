"""Models with code of their own (``auto_map``): where a released model finds it.

``auto_map`` names classes in Python files next to the model (``modeling_pond.PondForCausalLM``).
The code is never copied here, nor run. It may as well be named in another repository,
``user/model--modeling_pond.PondForCausalLM`` (``get_class_from_dynamic_module`` of transformers),
so a model that was made from one on the Hub points there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from uploader_core.plugin import Finding
from uploader_lora import read_json
from uploader_merged.base.companions import CompanionFile
from uploader_merged.base.config_values import code_findings

KEY = "auto_map"
_ELSEWHERE = "--"
_FILES = {
    *("tokenizer_config.json", "processor_config.json", "preprocessor_config.json"),
    *("video_preprocessor_config.json", "image_processor_config.json"),
    "generation_config.json",
}


def with_code_of(data: Mapping[str, Any], model_id: str | None) -> dict[str, Any]:
    """Return a configuration whose classes are looked for in a repository.

    Args:
        data: ``config.json`` or the like.
        model_id: ``user/model`` of the base; None where it is not public.
    """
    if model_id is None or not list(bare_classes(data)):
        return dict(data)
    return {**data, KEY: {name: _at(model_id, value) for name, value in data[KEY].items()}}


def companions_with_code_of(
    files: tuple[CompanionFile, ...], model_id: str | None
) -> tuple[CompanionFile, ...]:
    """Do the same for tokenizers and processors."""
    changed = []
    for file in files:
        data = _data(file)
        if model_id is not None and list(bare_classes(data)):
            text = json.dumps(with_code_of(data, model_id), indent=2, ensure_ascii=False) + "\n"
            file = replace(file, text=text)
        changed.append(file)
    return tuple(changed)


def bare_classes(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the classes that a configuration expects next to the model."""
    table = data.get(KEY)
    for value in table.values() if isinstance(table, dict) else ():
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and _ELSEWHERE not in name:
                yield name


def check_code(
    config: Mapping[str, Any],
    files: tuple[CompanionFile, ...],
    model_id: str | None,
    revision: str | None,
) -> Iterator[Finding]:
    """Refuse a model whose code would be missing; say where it comes from otherwise.

    Args:
        config: As it will be written.
        files: The files next to the weights, as they will be written.
        model_id: Repository of the base, or None.
        revision: Its commit, or None.
    """
    holders = {"config.json": config, **{file.name: _data(file) for file in files}}
    missing = {name: list(bare_classes(data)) for name, data in holders.items()}
    yield from code_findings(holders)
    named = sorted({cls.split(".")[0] + ".py" for found in missing.values() for cls in found})
    if named:
        places = ", ".join(name for name, found in missing.items() if found)
        yield Finding(
            level="error",
            what=f"the model has code of its own ({', '.join(named)}, named by {KEY} in {places}), "
            "which is not copied here, so the release would not load",
            next="--base USER/MODEL with the repository that has the code; or put it there first",
        )
    elif any(KEY in data for data in holders.values()):
        at = f', code_revision="{revision}"' if revision else ""
        yield Finding(
            level="note",
            what=f"the model has code of its own, in {model_id or 'another repository'}: it loads "
            f"with trust_remote_code=True{at}, and runs that code",
        )


def _at(model_id: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_at(model_id, name) for name in value]
    if not isinstance(value, str) or _ELSEWHERE in value:
        return value
    return f"{model_id}{_ELSEWHERE}{value}"


def _data(file: CompanionFile) -> Mapping[str, Any]:
    if file.name not in _FILES:
        return {}
    data: Mapping[str, Any] = read_json(file.path) if file.text is None else json.loads(file.text)
    return data
