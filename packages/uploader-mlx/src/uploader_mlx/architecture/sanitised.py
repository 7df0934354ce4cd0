"""What a checkpoint is called and shaped like in mlx-lm, by mlx-lm's own ``sanitize``. Heavy: mlx.

``sanitize`` is given zeros that mlx never makes, since it is lazy, and gives lazy arrays back. What
it only renames is the same array as before, and what it only stacks was given to ``mx.stack``: both
can be made block by block. Whatever else it does, it is asked to do again with the real tensors
when that is needed, those of one result at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten

from uploader_core.plugin import SourceError
from uploader_lora import FLOATS
from uploader_merged import Checkpoint
from uploader_mlx.architecture.configured import for_mlx, with_floats
from uploader_mlx.architecture.described import Output, Quantisable, Sanitised
from uploader_mlx.architecture.graph import computed_from
from uploader_mlx.architecture.installed import classes, version
from uploader_mlx.arrays import DTYPES, SPELLED, from_torch

_CASTS = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def sanitise(checkpoint: Checkpoint, dtype: str = "auto") -> Sanitised:
    """Give a checkpoint to mlx-lm's code for its architecture; nothing of it is read.

    Args:
        checkpoint: The model.
        dtype: Type of what is floating, ``auto`` for mlx-lm's own choice.

    Raises:
        PluginError: mlx or mlx-lm is not there.
        SourceError: mlx-lm has no such architecture, or no place for a tensor, or lacks one.
    """
    config = for_mlx(checkpoint)
    given = {
        name: mx.zeros(checkpoint.shape(name), DTYPES[checkpoint.dtype(name)])
        for name in checkpoint.names
    }
    origin = {id(array): name for name, array in given.items()}
    with _noting_stacks() as stacks:
        model, made = _sanitised(checkpoint, config, given)
    _refuse_positions(config, model)
    wanted = dict(tree_flatten(model.parameters()))
    _refuse_misfits(checkpoint, made, wanted)
    plain = {name: _sources(made[name], origin, stacks) for name in wanted}
    computed = computed_from({n: made[n] for n in wanted if not plain[n]}, given)
    cast, keeps = _cast(config, dtype), getattr(model, "cast_predicate", lambda _: True)
    outputs = []
    for name in wanted:
        array = made[name]
        stored = SPELLED[array.dtype]
        outputs.append(
            Output(
                name=name,
                dtype=cast if cast and stored in FLOATS and keeps(name) else stored,
                shape=tuple(array.shape),
                sources=plain[name] or tuple(sorted(computed[name])),
                computed=not plain[name],
            )
        )
    used = {source for output in outputs for source in output.sources}
    return Sanitised(
        config=config,
        outputs=tuple(outputs),
        quantisable=tuple(_quantisable(model)),
        dropped=tuple(name for name in given if name not in used),
        layers=len(model.layers),
        vision="vision_tower" in getattr(model, "model", {}),
    )


def compute(
    checkpoint: Checkpoint, model: Sanitised, names: tuple[str, ...]
) -> dict[str, mx.array]:
    """Have mlx-lm compute results from their real tensors; they are in memory as long as they are.

    Args:
        checkpoint: The model.
        model: What :func:`sanitise` made of it.
        names: Of the results that are wanted.
    """
    needed = {source for o in model.outputs if o.name in names for source in o.sources}
    given = {
        name: from_torch(checkpoint.read(name))
        if name in needed
        else mx.zeros(checkpoint.shape(name), DTYPES[checkpoint.dtype(name)])
        for name in checkpoint.names
    }
    _, made = _sanitised(checkpoint, model.config, given)
    found = {name: made[name] for name in names}
    del given, made
    mx.eval(*found.values())
    return found


def _sanitised(
    checkpoint: Checkpoint, config: Mapping[str, Any], given: dict[str, mx.array]
) -> tuple[Any, dict[str, mx.array]]:
    model_class, arguments = classes(config)
    try:
        model: Any = model_class(arguments.from_dict(with_floats(config)))
        given = dict(given)  # it takes away what it knows
        return model, model.sanitize(given) if hasattr(model, "sanitize") else given
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise SourceError(
            f"mlx-lm {version()} does not take this {config.get('model_type')}: "
            f"{type(error).__name__}: {error}",
            owner=str(checkpoint.base.folder),
            safe="nothing was written",
            next="pip install -U mlx-lm, or leave mlx out of --plugins",
        ) from error


@contextlib.contextmanager
def _noting_stacks() -> Iterator[dict[int, tuple[mx.array, tuple[mx.array, ...]]]]:
    """Note what ``mx.stack`` puts together along a new first axis: result and parts by identity."""
    noted: dict[int, tuple[mx.array, tuple[mx.array, ...]]] = {}
    original = mx.stack

    def stack(arrays: Any, axis: int = 0, **more: Any) -> mx.array:
        made = original(arrays, axis, **more)
        if axis == 0:
            noted[id(made)] = made, tuple(arrays)
        return made

    mx.stack = stack  # type: ignore[assignment]  # it takes and gives the same
    try:
        yield noted
    finally:
        mx.stack = original


def _sources(
    array: mx.array,
    origin: Mapping[int, str],
    stacks: Mapping[int, tuple[mx.array, tuple[mx.array, ...]]],
) -> tuple[str, ...]:
    """Return the tensors whose bytes follow each other in an array; none where it is computed."""
    if id(array) in origin:
        return (origin[id(array)],)
    if id(array) in stacks:
        parts = stacks[id(array)][1]
        if all(id(part) in origin for part in parts):
            return tuple(origin[id(part)] for part in parts)
    return ()


def _cast(config: Mapping[str, Any], dtype: str) -> str | None:
    """Return the type that floating tensors get; None where each keeps its own.

    mlx-lm casts to ``torch_dtype``; of ``dtype``, the newer name, it knows that of a text part.
    """
    said = dtype if dtype != "auto" else config.get("torch_dtype")
    text = config.get("text_config")
    if said is None and isinstance(text, dict):
        said = text.get("dtype")
    return _CASTS.get(str(said))


def _quantisable(model: Any) -> Iterator[Quantisable]:
    leaves: Any = tree_flatten(model.leaf_modules(), is_leaf=Module.is_module)
    rule = getattr(model, "quant_predicate", None)
    for path, module in leaves:
        if hasattr(module, "to_quantized"):
            asked = True if rule is None else rule(path, module)
            yield Quantisable(path=path, shape=tuple(module.weight.shape), asked=asked)


def _refuse_misfits(
    checkpoint: Checkpoint, made: Mapping[str, mx.array], wanted: Mapping[str, mx.array]
) -> None:
    """Refuse what mlx-lm would refuse to load: ``Module.load_weights`` with ``strict``."""
    said = [
        *(f"it has no place for {name}" for name in made if name not in wanted),
        *(f"it needs {name}, which is not there" for name in wanted if name not in made),
        *(
            f"{name} has the shape {list(made[name].shape)}, and it needs {list(array.shape)}"
            for name, array in wanted.items()
            if name in made and made[name].shape != array.shape
        ),
    ]
    if said:
        more = f" ({len(said) - 1} more of this sort)" if len(said) > 1 else ""
        raise SourceError(
            f"mlx-lm {version()} does not load this {checkpoint.config.get('model_type')}: "
            f"{said[0]}{more}",
            owner=str(checkpoint.base.folder),
            safe="nothing was written",
            next="pip install -U mlx-lm, or leave mlx out of --plugins",
        )


def _refuse_positions(config: Mapping[str, Any], model: Any) -> None:
    """Refuse positions by the kind of layer where mlx-lm's code has the same for all layers."""
    text = config.get("text_config")
    rope = (text if isinstance(text, dict) else config).get("rope_parameters")
    if not isinstance(rope, dict) or not any(isinstance(part, dict) for part in rope.values()):
        return
    arguments = getattr(getattr(model, "language_model", model), "args", None)
    known = ("rope_local_base_freq", "rope_parameters")
    if len({repr(part) for part in rope.values()}) > 1 and not any(
        hasattr(arguments, name) for name in known
    ):
        raise SourceError(
            f"the positions of this {config.get('model_type')} differ by the kind of layer, and "
            f"mlx-lm {version()} has the same for all",
            owner="rope_parameters in config.json",
            safe="nothing was written",
            next="pip install -U mlx-lm, or leave mlx out of --plugins",
        )
