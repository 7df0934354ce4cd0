"""The adapter itself as GGUF, for llama.cpp's ``--lora`` and Ollama's ``ADAPTER``.

A GGUF adapter holds pairs A and B, one alpha for the whole file, and nothing else: llama.cpp scales
each pair with ``alpha / rank of the pair``. What PEFT says by rsLoRA and patterns is folded into
alpha where that is exact, else into B. What such a file cannot say is refused, with the advice to
merge. llama.cpp's own ``convert_lora_to_gguf.py`` writes the file, unmodified, from a copy of the
adapter with the plain scale.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from uploader_core.plugin import (
    Artifact,
    Estimate,
    Finding,
    PlanContext,
    PluginError,
    StepContext,
    read_json,
)
from uploader_gguf.format.gguf_file import file_name
from uploader_gguf.llama_cpp import toolchain
from uploader_gguf.settings import GgufSettings

if TYPE_CHECKING:
    from uploader_lora import Adapter

_SMALL = (".json", ".model", ".txt", ".jinja")
_ADVICE = "merge it instead: --plugins gguf"


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse what a GGUF adapter cannot hold.

    Raises:
        SourceError: The adapter cannot be read.
        PluginError: llama.cpp's conversion code is not there.
    """
    from uploader_lora import read_adapter
    from uploader_lora.unread import refusals_of_adapter
    from uploader_merged import open_checkpoint

    settings: GgufSettings = context.settings
    toolchain.find(settings.llama_cpp)
    adapter = read_adapter(context.input("adapter").path)
    reasons = list(cannot_say(adapter))
    embeddings = [u.module for u in adapter.updates if u.form == "embedding"]
    if embeddings and not _has_output(open_checkpoint(context.input("base").path).names):
        # llama.cpp would use the pair for the output matrix as well, where it does not fit.
        reasons.append(f"a change of embeddings that are also its output ({embeddings[0]})")
    yield from refusals_of_adapter(context)
    for what in reasons:
        yield Finding(level="error", what=f"a GGUF adapter cannot hold {what}", next=_ADVICE)


def _has_output(names: Iterable[str]) -> bool:
    ends = ("lm_head.weight", "embed_out.weight", "output.weight")
    return any(name.endswith(ends) for name in names)


def cannot_say(adapter: Adapter) -> Iterator[str]:
    """Name what of an adapter has no place in a GGUF adapter."""
    from uploader_merged.serving import without_plain_form

    yield from without_plain_form(adapter)
    if adapter.config.fan_in_fan_out:
        yield "transposed layers (fan_in_fan_out)"
    if any(len(u.a.shape) > 2 for u in adapter.updates):
        yield "changes of convolutions"


def estimate(context: PlanContext) -> Estimate:
    """Count the values of A and B."""
    from uploader_lora import read_adapter

    settings: GgufSettings = context.settings
    adapter = read_adapter(context.input("adapter").path)
    width = 4 if settings.lora_type == "F32" else 2
    values = sum(_count(t.shape) for u in adapter.updates for t in (u.a, u.b))
    size = values * width + 160 * len(adapter.updates) + 1024
    name = lora_name(context.release.name, settings.lora_type)
    described = sum(path.stat().st_size for path in _small_files(context.input("base").path))
    return Estimate(
        bytes_written=size,
        bytes_scratch=4 * values + 256 * len(adapter.updates) + described,
        peak_memory=(600 << 20) + 8 * values,
        seconds=15.0,
        files=((name, size),),
    )


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for axis in shape:
        total *= axis
    return total


def lora_name(model: str, kind: str) -> str:
    """Return ``<Model>-<TYPE>-LoRA.gguf``."""
    return file_name(model, f"{kind}-LoRA")


def convert(context: StepContext) -> Artifact:
    """Write the GGUF adapter.

    Raises:
        PluginError: llama.cpp's script failed; the end of its log is in the error.
    """
    settings: GgufSettings = context.settings
    chain = toolchain.find(settings.llama_cpp)
    name = lora_name(context.release.name, settings.lora_type)
    if context.output.done(name) is None:
        context.progress("writing the adapter", 0, None, "steps")
        adapter = context.work / file_name(context.release.name, "x").removesuffix("-x.gguf")
        alpha = plain_copy(context.input("adapter").path, adapter)
        base = _base_folder(context.input("base").path, context.work / "base")
        with context.output.reserve(name) as target:
            _run(chain, settings, base, adapter, target)
        context.log.info("wrote %s with alpha %s", name, alpha)
    return context.artifact({"llama_cpp": chain.version, "type": settings.lora_type})


def plain_copy(source: Path, target: Path) -> float:
    """Write an adapter that does the same with one plain ``alpha / rank`` scale.

    Args:
        source: Adapter folder.
        target: New folder.

    Returns:
        The alpha of the copy.
    """
    from safetensors.torch import save_file

    from uploader_lora import read_adapter
    from uploader_merged.serving import one_scale, rescaled

    adapter = read_adapter(source)
    # llama.cpp divides alpha by the rank of each pair.
    scale = one_scale(adapter, padded=False)
    target.mkdir(parents=True)
    save_file(rescaled(adapter, scale), target / "adapter_model.safetensors")
    plain = {"peft_type": "LORA", "r": adapter.config.r, "lora_alpha": scale.alpha}
    (target / "adapter_config.json").write_text(json.dumps(plain), "utf-8")
    return scale.alpha


def _small_files(folder: Path) -> list[Path]:
    """Return what describes a model: configuration, tokenizer, templates."""
    return [
        path
        for path in folder.iterdir()
        if path.suffix in _SMALL and not path.name.endswith(".index.json")
    ]


def _base_folder(source: Path, target: Path) -> Path:
    """Copy what describes the base; its weights are not needed, nor how they are quantised."""
    target.mkdir(parents=True)
    for path in _small_files(source):
        shutil.copyfile(path, target / path.name)
    config = read_json(source / "config.json")
    config.pop("quantization_config", None)
    (target / "config.json").write_text(json.dumps(config), "utf-8")
    return target


def _run(
    chain: toolchain.Toolchain, settings: GgufSettings, base: Path, adapter: Path, target: Path
) -> None:
    script = chain.root / "convert_lora_to_gguf.py"
    command = [sys.executable, str(script), "--base", str(base), "--outfile", str(target)]
    done = subprocess.run(
        [*command, "--outtype", settings.lora_type.lower(), str(adapter)],
        capture_output=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    if done.returncode != 0 or not target.is_file():
        log = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
        raise PluginError(
            f"llama.cpp cannot convert this adapter: {log[-1] if log else 'no message'}",
            owner=chain.version,
            safe="nothing was written",
            next=_ADVICE,
        )
