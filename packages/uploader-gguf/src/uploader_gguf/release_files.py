"""Names and keys of the files: what a release calls them and says in them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from uploader_core.plugin import ReleaseInfo
from uploader_gguf.gguf_file import uint32
from uploader_gguf.quants import Quant
from uploader_gguf.weights import Weights

FILE_TYPE = "general.file_type"
QUANTIZATION_VERSION = "general.quantization_version"


def file_name(model: str, quant: str) -> str:
    """Return ``<Model>-<QUANT>.gguf``, the form that the Hub and Ollama find a quant by."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', model).strip('-.') or 'model'}-{quant}.gguf"


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


def prepare_folder(weights: Weights, release: ReleaseInfo, folder: Path) -> Path:
    """Fill a folder with what llama.cpp's converter reads besides weights.

    Python files of a model are left behind: the converter would run them.

    Args:
        weights: The checkpoint.
        release: Its name names the folder, which the converter looks at for metadata.
        folder: Where to make it.

    Returns:
        The new folder.
    """
    import json

    made = folder / file_name(release.name, "x").removesuffix("-x.gguf")
    made.mkdir(parents=True)
    for name, path in weights.auxiliary().items():
        if not name.endswith((".py", ".md", ".safetensors", ".bin")):
            target = made / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    config = {k: v for k, v in weights.config.items() if k != "_name_or_path"}
    (made / "config.json").write_text(json.dumps(config), "utf-8")
    (made / "README.md").write_text(_card(release), "utf-8")
    return made


def _card(release: ReleaseInfo) -> str:
    """Return front matter that the converter turns into ``general.*`` keys.

    A base model that is a folder of this machine is nobody's business, so only a Hub id is named.
    """
    if not (release.base_is_hub_id and release.base_model):
        return ""
    return "\n".join(["---", "base_model:", f"- {release.base_model}", "---", ""])
