"""Artifacts for a step to work on: the tiny model, or what an installed plugin makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from uploader_core.artifact import Artifact
from uploader_core.builtin.local_source.plugin import SOURCE_KINDS
from uploader_core.builtin.local_source.read import read
from uploader_core.contract.sources import STACK, ReaderContext
from uploader_core.contract.specs import ConvertSpec, SaveSpec
from uploader_core.plugins.entry_points import ARTIFACTS
from uploader_core.plugins.registry import Plugin, Registry
from uploader_kit.files import with_digests
from uploader_kit.fixtures import make_adapter, make_model
from uploader_kit.trial import Trial, resolve_settings

CHECKPOINT = "checkpoint"
_MODEL_FOLDERS = (CHECKPOINT, "merged-16bit")
"""Kinds that are a plain folder of a full model, as ``save_pretrained`` writes it."""


def make_input(
    kind: str, folder: Path, registry: Registry, consumer: str = "", *, lazy: bool = False
) -> Artifact:
    """Make a small real artifact of a kind.

    ``adapter``, ``adapter-stack``, ``base``, ``checkpoint`` and ``merged-16bit`` are the tiny model
    and LoRAs on it. Any other kind is made of them by the installed plugin that advertises it.

    Args:
        kind: Artifact kind.
        folder: Where to put it.
        registry: Installed plugins.
        consumer: Plugin that asks; it may make the kind itself.
        lazy: A ``checkpoint`` is base and adapter, merged when it is read, and not the folder of a
            full model.

    Raises:
        LookupError: No installed plugin makes the kind.
    """
    if kind == CHECKPOINT and lazy:
        return _made(*lazy_maker(registry), folder, registry, consumer)
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
        artifact = with_digests(sources.artifacts[CHECKPOINT])
        if kind == CHECKPOINT:
            return artifact
        return Artifact(kind=kind, path=model, files=artifact.files, producer=f"fixture:{kind}")
    for plugin, spec in _makers(registry, kind):
        return _made(plugin, spec, folder, registry, consumer)
    raise LookupError(
        f"no installed plugin makes {kind!r}, which {consumer} consumes: install one, or override "
        "inputs() and return Artifacts of your own"
    )


def lazy_maker(registry: Registry) -> tuple[Plugin, ConvertSpec]:
    """Return the installed spec that makes a checkpoint of base and adapter without any file.

    Raises:
        LookupError: There is none.
    """
    for plugin, spec in _makers(registry, CHECKPOINT):
        if isinstance(spec, ConvertSpec) and spec.virtual and "adapter" in spec.consumes:
            return plugin, spec
    raise LookupError(
        "no installed plugin merges base and adapter lazily, and that is what a converter of "
        "checkpoints gets for an adapter: pip install uploader-merged"
    )


def copy_inputs(inputs: Iterable[Artifact], folder: Path, copy: Path) -> tuple[Artifact, ...]:
    """Copy inputs, and the folders that they point to, so that one can be damaged.

    Args:
        inputs: Made below ``folder``, or anywhere.
        folder: What is in it is copied as a whole.
        copy: A folder that does not exist.
    """
    shutil.copytree(folder, copy)
    copied = []
    for number, artifact in enumerate(inputs):
        path = artifact.path
        if folder not in (path, *path.parents) and path.is_dir():
            shutil.copytree(path, copy / f"input-{number}")
            moved = _moved(artifact, path, copy / f"input-{number}")
        else:
            moved = _moved(artifact, folder, copy)
        copied.append(moved)
    return tuple(copied)


def cut_in_half(trial: Trial, folder: Path, root: Path, name: str = "") -> tuple[Trial, str]:
    """Cut a file of a copy of a trial's inputs in half; return the trial on it and the file's name.

    Args:
        trial: The step.
        folder: Where its inputs were made.
        root: Of the trial that is returned.
        name: Of the file; "" for the largest weights of the first input that has any.

    Raises:
        LookupError: The inputs have no files.
    """
    inputs = copy_inputs(trial.inputs, folder, root / "inputs")
    # Weights of the first input that has any: of the others a step may need but the shape.
    files = [
        (artifact.path / file.name, file.role)
        for artifact in inputs
        for file in sorted(artifact.files, key=lambda file: -file.size)
    ]
    if not files:  # of what is read through a record
        paths = [path for path in (root / "inputs").rglob("*.safetensors") if path.is_file()]
        files = [(path, "weights") for path in sorted(paths, key=lambda p: -p.stat().st_size)]
    if not files:
        raise LookupError("the inputs have no files to damage")
    (path, *_) = (
        [path for path, _ in files if path.name == name]
        or [path for path, role in files if role == "weights"]
        or [path for path, _ in files]
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return replace(trial, root=root, inputs=inputs), path.name


def _moved(artifact: Artifact, old: Path, new: Path) -> Artifact:
    """Return an artifact whose paths, those of its metadata among them, begin otherwise."""
    before, after = (json.dumps(str(path))[1:-1] for path in (old, new))
    metadata = json.loads(json.dumps(dict(artifact.metadata)).replace(before, after))
    path = Path(str(artifact.path).replace(str(old), str(new)))
    return replace(artifact, path=path, metadata=metadata)


def _makers(registry: Registry, kind: str) -> Iterator[tuple[Plugin, SaveSpec | ConvertSpec]]:
    for plugin_id in registry.providers(ARTIFACTS, kind):
        plugin = registry.load(plugin_id)
        makers: list[SaveSpec | ConvertSpec] = [*plugin.of(SaveSpec), *plugin.of(ConvertSpec)]
        yield from ((plugin, spec) for spec in makers if spec.produces == kind)


def _made(
    plugin: Plugin, spec: SaveSpec | ConvertSpec, folder: Path, registry: Registry, consumer: str
) -> Artifact:
    trial = Trial(
        plugin=plugin,
        spec=spec,
        root=folder / spec.produces,
        inputs=tuple(make_input(k, folder, registry, consumer) for k in spec.consumes),
        settings=resolve_settings(plugin, spec, {}),
    )
    return trial.run().artifact
