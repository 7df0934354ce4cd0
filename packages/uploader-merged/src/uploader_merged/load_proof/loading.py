"""Let transformers load a model of which only the names, shapes and types are there.

Heavy: imports torch and transformers. It is ``from_pretrained`` itself that loads, from tensors on
the meta device into a model on the meta device, so its renaming, its fusing of experts, its tied
weights and its lists of what may be missing count as they do for whoever loads the release. The
weights take no memory. Works with transformers 4.57 and 5.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import torch  # noqa: TID253 - this module loads models

from uploader_merged.load_proof.model_class import (
    UnknownModelError,
    class_for,
    loader,
    own_code,
    quiet,
    read_config,
)
from uploader_merged.load_proof.subject import Misfit, Outcome, Stray, Subject

# As transformers.modeling_utils.str_to_torch_dtype, and the types that it does not list.
_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "U16": torch.uint16, "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32,
    "U32": torch.uint32, "F32": torch.float32, "F64": torch.float64, "I64": torch.int64,
    "U64": torch.uint64, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
}  # fmt: skip
_WIDE = {torch.float64, torch.float32, torch.float16, torch.bfloat16}


def load(subject: Subject) -> Outcome:
    """Load a subject as ``from_pretrained`` would, without a weight.

    Args:
        subject: Configuration and headers.
    """
    with quiet():
        try:
            config = read_config(subject.config)
        except UnknownModelError as unknown:
            return Outcome(loader=loader(), unproved=str(unknown))
        except Exception as error:
            return _not_built(error)
        chosen, named = class_for(config)
        if chosen is None or (named is not None and "auto_map" in subject.config):
            what = f"no class {named}" if named else f"no model of the type {config.model_type}"
            return Outcome(
                loader=loader(),
                named_class=named,
                unproved=f"{loader()} has {what}{own_code(subject.config)}",
            )
        outcome = {"loader": loader(), "model_class": chosen.__name__, "named_class": named}
        try:
            empty = _build(chosen, config)
        except Exception as error:
            return _not_built(error, **outcome)
        return _load(chosen, config, empty, subject, outcome)


def _load(
    chosen: Any, config: Any, empty: Any, subject: Subject, outcome: dict[str, Any]
) -> Outcome:
    wanted: Mapping[str, torch.Tensor] = empty.state_dict()
    types = {name: _DTYPES.get(dtype, torch.uint8) for name, (dtype, _) in subject.tensors.items()}
    mistyped = tuple(
        name
        for name, dtype in types.items()
        if name in wanted and wanted[name].is_floating_point() and dtype not in _WIDE
    )
    # transformers 5 would cast them without a word, transformers 4 stumbles over them.
    types.update((name, wanted[name].dtype) for name in mistyped)
    tensors = {
        name: torch.empty(shape, dtype=types[name], device="meta")
        for name, (_, shape) in subject.tensors.items()
    }
    try:
        _, info = chosen.from_pretrained(
            None,
            config=config,
            trust_remote_code=False,
            state_dict=tensors,
            device_map="meta",
            dtype="auto",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:
        # Where tensors cannot be fused transformers raises, after it has listed the reasons.
        found = _info_in(error.__traceback__)
        if found is None:
            lasting = not isinstance(error, ImportError)
            return Outcome(
                **outcome, lasting=lasting, unproved=f"{loader()} failed: {_text(error)}"
            )
        info = {
            "missing_keys": found.missing_keys,
            "unexpected_keys": found.unexpected_keys,
            "mismatched_keys": found.mismatched_keys,
            "failed": getattr(found, "conversion_errors", {}),
        }
    return Outcome(
        **outcome,
        headless=empty.base_model is empty,
        missing=tuple(sorted(info["missing_keys"])),
        strays=tuple(
            Stray(name=name, place=_place(empty, name)) for name in sorted(info["unexpected_keys"])
        ),
        misfits=tuple(_misfits(info["mismatched_keys"], wanted, subject)),
        failed=tuple(
            (name, str(why).strip().rpartition("\n")[2])
            for name, why in sorted(dict(info.get("failed", {})).items())
        ),
        mistyped=mistyped,
    )


def _build(chosen: Any, config: Any) -> Any:
    """Build the class on the meta device; what fails here is not the weights' fault."""
    with torch.device("meta"):
        return chosen(copy.deepcopy(config))


def _not_built(error: Exception, **outcome: Any) -> Outcome:
    if isinstance(error, ImportError):
        missing = " ".join(str(error).split())
        return Outcome(
            **{"loader": loader(), **outcome},
            lasting=False,
            unproved=f"{loader()} cannot build it here: {missing[:200]}",
        )
    return Outcome(**{"loader": loader(), **outcome}, trouble=_text(error))


def _text(error: Exception) -> str:
    """Return an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _info_in(trace: TracebackType | None) -> Any:
    """Find what transformers had found out when it raised."""
    while trace is not None:
        info = trace.tb_frame.f_locals.get("loading_info")
        if hasattr(info, "missing_keys"):
            return info
        trace = trace.tb_next
    return None


def _misfits(found: Any, wanted: Mapping[str, torch.Tensor], subject: Subject) -> Iterator[Misfit]:
    for entry in sorted(found, key=str):
        if isinstance(entry, tuple):
            name, shape, expected = entry
            yield Misfit(name=name, found=tuple(shape), wanted=tuple(expected))
        else:  # transformers 4 gives names alone
            stored = subject.tensors.get(entry)
            yield Misfit(
                name=entry,
                found=None if stored is None else stored[1],
                wanted=tuple(wanted[entry].shape) if entry in wanted else (),
            )


def _place(model: Any, name: str) -> str:
    """Say where in a model a tensor would be that has no place there."""
    module: Any = model
    *path, _ = name.split(".")
    for depth, segment in enumerate(path):
        child = getattr(module, segment, None)
        if not isinstance(child, torch.nn.Module):
            if segment.isdigit() and isinstance(module, torch.nn.ModuleList):
                return "layer"
            shallow = depth == 0 or (depth == 1 and path[0] == model.base_model_prefix)
            return "top" if shallow else "module"
        module = child
    return "parameter" if path else "top"
