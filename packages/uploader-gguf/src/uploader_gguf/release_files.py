"""Names and keys of the files: what a release calls them and says in them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import ReleaseInfo, UsageError, card_metadata
from uploader_gguf.gguf_file import uint32
from uploader_gguf.quants import Quant
from uploader_gguf.weights import Weights

FILE_TYPE = "general.file_type"
QUANTIZATION_VERSION = "general.quantization_version"
METADATA = "uploader-metadata.json"

HUB_LIMIT = 499_000_000_000
"""Bytes of tensors in the largest file that the Hub takes: 500 GB with header and padding.

Nothing smaller is cut unless asked.
"""

_INHERITED = ("license", "license_name", "license_link", "language", "pipeline_tag")


def parse_size(text: str | None) -> int:
    """Return the bytes of ``20G``; thousands, as llama.cpp counts them.

    Raises:
        UsageError: Not a size.
    """
    if text is None:
        return HUB_LIMIT
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)B?", text.strip().upper())
    size = int(match[1]) * 1000 ** " KMGT".index(match[2] or " ") if match else 0
    if size < 1:
        raise UsageError(
            f"--gguf-split-size {text!r} is not a size",
            owner="option --gguf-split-size",
            next="write a number with M or G, such as 20G",
        )
    return min(size, HUB_LIMIT)


def file_name(model: str, quant: str) -> str:
    """Return ``<Model>-<QUANT>.gguf``, the form that the Hub and Ollama find a quant by."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', model).strip('-.') or 'model'}-{quant}.gguf"


def projector_name(model: str, kind: str) -> str:
    """Return ``mmproj-<Model>-<TYPE>.gguf``, the form that llama.cpp's tools look for."""
    return f"mmproj-{file_name(model, kind)}"


def keys_for(quant: Quant, keys: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the keys of one file.

    The converter's own files differ in ``general.file_type`` alone. ``llama-quantize`` takes that
    key and the quantisation version out and appends them, which is kept because it costs nothing.

    Args:
        quant: The kind of file.
        keys: Packed keys of the F16 file.
    """
    ours = dict(keys)
    if quant.direct:
        ours[FILE_TYPE] = uint32(quant.ftype)
        return ours
    version = ours.pop(QUANTIZATION_VERSION, uint32(2))
    ours.pop(FILE_TYPE, None)
    ours[QUANTIZATION_VERSION] = version
    ours[FILE_TYPE] = uint32(quant.ftype)
    return ours


def prepare_folder(
    weights: Weights,
    release: ReleaseInfo,
    folder: Path,
    base: Path | None,
    quantized_by: str | None,
) -> Path:
    """Fill a folder with what llama.cpp's converter reads besides weights.

    Python files of a model are left behind: the converter would run them.

    Args:
        weights: The checkpoint.
        release: Its name names the folder, which the converter looks at for metadata.
        folder: Where to make it.
        base: Folder of the base model, whose card says licence and languages.
        quantized_by: ``general.quantized_by``.

    Returns:
        The new folder. :data:`METADATA` in it is the converter's file of overriding keys.
    """
    made = folder / file_name(release.name, "x").removesuffix("-x.gguf")
    made.mkdir(parents=True)
    for name, path in weights.auxiliary().items():
        if not name.endswith((".py", ".md", ".safetensors", ".bin")):
            target = made / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    config = {k: v for k, v in weights.config.items() if k != "_name_or_path"}
    (made / "config.json").write_text(json.dumps(config), "utf-8")
    (made / "README.md").write_text(_card(release, base), "utf-8")
    keys = {"general.name": release.name}
    if quantized_by:
        keys["general.quantized_by"] = quantized_by
    (made / METADATA).write_text(json.dumps(keys), "utf-8")
    return made


def _card(release: ReleaseInfo, base: Path | None) -> str:
    """Return front matter that the converter turns into ``general.*`` keys.

    A base model that is a folder of this machine is nobody's business, so only a Hub id is named.
    The licence of the base holds for what was made from it.
    """
    import yaml  # type: ignore[import-untyped, unused-ignore]

    card = None if base is None else base / "README.md"
    theirs = card_metadata(card.read_text("utf-8", "replace")) if card and card.is_file() else {}
    ours: dict[str, Any] = {k: theirs[k] for k in _INHERITED if k in theirs}
    if release.base_is_hub_id and release.base_model:
        organization, _, name = release.base_model.rpartition("/")
        entry = {
            "name": name.replace("-", " "),
            "organization": organization.replace("-", " "),
            "version": release.base_revision,
            "repo_url": f"https://huggingface.co/{release.base_model}",
        }
        ours["base_model"] = [{k: v for k, v in entry.items() if v}]
    return f"---\n{yaml.safe_dump(ours, allow_unicode=True)}---\n" if ours else ""
