"""What is proved, and what came of it: plain data, so that it can be remembered. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uploader_merged.checkpoint import Checkpoint

# Where a model lies and who wrote its file says nothing of whether it loads.
_BESIDE_THE_POINT = ("_name_or_path",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model as a loader sees it before it reads a weight.

    Attributes:
        config: ``config.json``.
        tensors: Type, as safetensors spells it, and shape of every tensor by its name.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]

    def digest(self, versions: Mapping[str, str]) -> str:
        """Return what this subject is remembered by.

        Args:
            versions: Of what would load it (``{"transformers": "5.24.0"}``).
        """
        config = {k: v for k, v in self.config.items() if k not in _BESIDE_THE_POINT}
        text = json.dumps([dict(versions), config, dict(self.tensors)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def describe(checkpoint: Checkpoint, dtypes: Mapping[str, str] | None = None) -> Subject:
    """Return a checkpoint as the subject of a proof, from headers alone.

    Args:
        checkpoint: Opened.
        dtypes: Types that the tensors are written in, where those are not the checkpoint's.
    """
    types = {} if dtypes is None else dtypes
    return Subject(
        config=checkpoint.config,
        tensors={
            name: (types.get(name, checkpoint.dtype(name)), checkpoint.shape(name))
            for name in checkpoint.names
        },
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Stray:
    """A tensor that the model has no place for.

    Attributes:
        name: As transformers calls it, after its own renaming.
        place: Where it would be: ``parameter`` of a module that exists (a bias), ``layer`` behind
            the last one, ``module`` that a part of the model does not have, ``top`` next to it.
    """

    name: str
    place: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """A tensor of another shape than the model wants.

    Attributes:
        name: As transformers calls it.
        found: Shape in the files, None when several tensors make it.
        wanted: Shape in the model.
    """

    name: str
    found: tuple[int, ...] | None
    wanted: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What transformers did with a subject.

    Attributes:
        loader: Library and version (``transformers 5.24.0``).
        model_class: The class that was built, None when none was.
        headless: Whether that class is the bare model, without a head for a task.
        named_class: What ``architectures`` names, where that is not :attr:`model_class`.
        missing: Parameters that no tensor of the files fills; loading makes them random.
        strays: Tensors that loading drops.
        misfits: Tensors of another shape.
        failed: Parameters that cannot be put together from the files, with the reason.
        mistyped: Tensors of whole numbers, or of 8 bits, where the model has floating ones.
        trouble: Why the class cannot be built with this configuration; None when it can.
        unproved: Why nothing was proved; None when something was.
        lasting: Whether the same versions come to the same again. What a package lacks may be
            installed tomorrow.
    """

    loader: str
    model_class: str | None = None
    headless: bool = False
    named_class: str | None = None
    missing: tuple[str, ...] = ()
    strays: tuple[Stray, ...] = ()
    misfits: tuple[Misfit, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    mistyped: tuple[str, ...] = ()
    trouble: str | None = None
    unproved: str | None = None
    lasting: bool = True

    @property
    def complete(self) -> bool:
        """Whether every tensor has its place and every place its tensor."""
        parts = (self.missing, self.strays, self.misfits, self.failed, self.mistyped)
        return not any(parts) and self.trouble is None and self.unproved is None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Read what :meth:`to_json` made.

        Raises:
            KeyError, TypeError, ValueError: It is nothing of the kind.
        """
        return cls(
            loader=str(data["loader"]),
            model_class=data["model_class"],
            headless=bool(data["headless"]),
            named_class=data["named_class"],
            missing=tuple(str(name) for name in data["missing"]),
            strays=tuple(Stray(name=s["name"], place=s["place"]) for s in data["strays"]),
            misfits=tuple(
                Misfit(
                    name=m["name"],
                    found=None if m["found"] is None else tuple(m["found"]),
                    wanted=tuple(m["wanted"]),
                )
                for m in data["misfits"]
            ),
            failed=tuple((str(name), str(why)) for name, why in data["failed"]),
            mistyped=tuple(str(name) for name in data["mistyped"]),
            trouble=data["trouble"],
            unproved=data["unproved"],
        )
