"""Find the tensor of a checkpoint that an adapter speaks of.

An adapter is saved with the names that the model had in memory; the base's files may have been
written under other ones: with or without ``model.``, and for vision-language models before or after
transformers moved ``language_model`` (``language_model.model.layers`` and
``model.language_model.layers``). A name has exactly one match, or it is an error.
"""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import SourceError

# Segments that only say how deep the language model is wrapped. A vision tower keeps its name, so
# its layers can never be taken for the language model's.
_WRAPPERS = {"model", "language_model", "text_model", "transformer", "base_model", "backbone"}


class TensorNames:
    """The tensor names of a checkpoint, by what is left without wrappers."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._bare: dict[str, list[str]] = {}
        for name in self._names:
            self._bare.setdefault(_bare(name), []).append(name)

    def find(self, module: str, parameter: str = "weight") -> str | None:
        """Return the name of a module's parameter on disk, or None when there is none.

        Args:
            module: Path as in the adapter (``model.layers.0.self_attn.q_proj``).
            parameter: Name within the module.

        Raises:
            SourceError: More than one tensor could be meant.
        """
        name = f"{module}.{parameter}"
        if name in self._names:
            return name
        found = self._bare.get(_bare(name), [])
        if len(found) > 1:
            raise SourceError(
                f"{module} of the adapter could be {' or '.join(sorted(found))} of the base",
                owner="the names in the adapter and in the base model",
                safe="nothing was written",
                next="use the base model that the adapter was trained on, with --base",
            )
        return found[0] if found else None

    def near(self, module: str) -> list[str]:
        """Return names that end like a module that was not found, for the error message."""
        leaf = module.rpartition(".")[2]
        return sorted(n for n in self._names if f".{leaf}." in f".{n}")


def _bare(name: str) -> str:
    segments = name.split(".")
    start = 0
    while start < len(segments) - 2 and segments[start] in _WRAPPERS:
        start += 1
    return ".".join(segments[start:])
