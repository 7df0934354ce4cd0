"""Write the PEFT adapter that an adapter of mlx-lm is, into the cache or the outline of a plan."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from uploader_core.plugin import FetchedSource, SourceContext, hash_file
from uploader_lora import tensor_bytes
from uploader_lora.companions import companion_files
from uploader_merged.weight_files import header, one_after_another
from uploader_mlx.adapter import CONFIG, WEIGHTS
from uploader_mlx.source.as_peft import AsPeft, Made, as_peft
from uploader_mlx.source.read import SCHEME

if TYPE_CHECKING:
    import torch

_FORM = "1"
"""Changes when other bytes are made of the same adapter."""


def fetch(context: SourceContext) -> FetchedSource:
    """Make the adapter; one that is in the cache is taken as it is.

    Raises:
        SourceError: It has no counterpart in PEFT.
    """
    place, base = json.loads(context.reference.removeprefix(SCHEME))
    folder = Path(place)
    made = as_peft(folder, base)
    if context.outline is not None:
        _write(folder, made, context.outline)
        return FetchedSource(path=context.outline, model_id=folder.name, outline=True)
    target = _cached(folder, made)
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=target.parent))
        try:
            _write(folder, made, new)
            new.rename(target)
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            if not target.is_dir():  # another run made it meanwhile
                raise
    return FetchedSource(path=target, model_id=folder.name)


def _cached(folder: Path, made: AsPeft) -> Path:
    """Return the place of an adapter, by all that it is made of."""
    digest = hashlib.sha256(f"{_FORM}\n{made.config}\n".encode())
    for path in (folder / WEIGHTS, *companion_files(folder).values()):
        digest.update(f"{path.name} {hash_file(path)[1]}\n".encode())
    caches = platformdirs.user_cache_path("uploader", appauthor=False)
    return caches / "mlx-adapters" / digest.hexdigest()[:32]


def _write(folder: Path, made: AsPeft, target: Path) -> None:
    from uploader_merged.compute.tensors import memory

    for name, path in companion_files(folder).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
    (target / CONFIG).write_text(made.config, "utf-8")
    placed = one_after_another(
        (one.name, one.source.dtype, one.shape, tensor_bytes(one.source.dtype, one.shape))
        for one in made.tensors
    )
    with (target / "adapter_model.safetensors").open("xb") as handle:
        handle.write(header(placed))
        for one in made.tensors:
            handle.write(memory(_tensor(one)))
        handle.flush()
        os.fsync(handle.fileno())


def _tensor(made: Made) -> torch.Tensor:
    from uploader_merged.compute.tensors import load, load_rows

    if made.expert is not None:
        return load_rows(made.source, made.expert, made.expert + 1)[0].contiguous()
    stored = load(made.source)
    return stored.T.contiguous() if stored.dim() == 2 else stored
