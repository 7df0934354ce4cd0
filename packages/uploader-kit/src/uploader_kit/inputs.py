"""Artifacts for a step to work on: the tiny model, or what an installed plugin makes of it."""

from __future__ import annotations

from pathlib import Path

from uploader_core.artifact import Artifact
from uploader_core.builtin.local_source.plugin import SOURCE_KINDS
from uploader_core.builtin.local_source.read import read
from uploader_core.contract.sources import STACK, ReaderContext
from uploader_core.contract.specs import ConvertSpec, SaveSpec
from uploader_core.plugins.entry_points import ARTIFACTS
from uploader_core.plugins.registry import Registry
from uploader_kit.fixtures import make_adapter, make_model
from uploader_kit.trial import Trial, resolve_settings, with_digests

_MODEL_FOLDERS = ("checkpoint", "merged-16bit")
"""Kinds that are a plain folder of a full model, as ``save_pretrained`` writes it."""


def make_input(kind: str, folder: Path, registry: Registry, consumer: str = "") -> Artifact:
    """Make a small real artifact of a kind.

    ``adapter``, ``adapter-stack``, ``base``, ``checkpoint`` and ``merged-16bit`` are the tiny model
    and LoRAs on it. Any other kind is made of them by the installed plugin that advertises it.

    Args:
        kind: Artifact kind.
        folder: Where to put it.
        registry: Installed plugins.
        consumer: Plugin that asks; it may make the kind itself.

    Raises:
        LookupError: No installed plugin makes the kind.
    """
    if kind in SOURCE_KINDS:
        model, adapter, second = (folder / n for n in ("base", "final_model", "second_adapter"))
        if not model.is_dir():
            make_adapter(adapter, make_model(model))
            make_adapter(second, model)
        more = (str(second),) if kind == STACK else ()
        sources = read(ReaderContext(reference=str(adapter), adapters=more))
        return with_digests(sources.artifacts[kind])
    if kind in _MODEL_FOLDERS:
        model = make_model(folder / kind)
        sources = read(ReaderContext(reference=str(model)))
        artifact = with_digests(sources.artifacts["checkpoint"])
        if kind == "checkpoint":
            return artifact
        return Artifact(kind=kind, path=model, files=artifact.files, producer=f"fixture:{kind}")
    for plugin_id in registry.providers(ARTIFACTS, kind):
        plugin = registry.load(plugin_id)
        makers: list[SaveSpec | ConvertSpec] = [*plugin.of(SaveSpec), *plugin.of(ConvertSpec)]
        for spec in makers:
            if spec.produces != kind:
                continue
            inputs = tuple(make_input(k, folder, registry, consumer) for k in spec.consumes)
            trial = Trial(
                plugin=plugin,
                spec=spec,
                root=folder / kind,
                inputs=inputs,
                settings=resolve_settings(plugin, spec, {}),
            )
            return trial.run().artifact
    raise LookupError(
        f"no installed plugin makes {kind!r}, which {consumer} consumes: install one, or override "
        "inputs() and return Artifacts of your own"
    )
