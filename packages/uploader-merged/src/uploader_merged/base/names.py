"""Find the tensor of a checkpoint that an adapter speaks of.

An adapter is saved with the names that the model had in memory; the base's files may have been
written under other ones: with or without ``model.``, for vision-language models before or after
transformers moved ``language_model`` (``language_model.model.layers`` and
``model.language_model.layers``), and for mixtures of experts under the names of transformers 4. A
name has exactly one match, or it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from uploader_core.plugin import SourceError

# Segments that only say how deep the language model is wrapped. A vision tower keeps its name, so
# its layers can never be taken for the language model's.
_WRAPPERS = {
    *("model", "language_model", "text_model", "transformer", "base_model", "backbone"),
    *("thinker", "vlm"),  # Qwen Omni and ColQwen, which transformers 5 loads without
    # ``base_model_prefix`` of encoders: in the files of a model with a head, not in AutoModel's.
    *("albert", "bert", "camembert", "data2vec_text", "deberta", "distilbert", "electra", "ernie"),
    *("esm", "gte", "longformer", "luke", "mobilebert", "mpnet", "new", "nomic_bert", "rembert"),
    *("roberta", "roberta_prelayernorm", "roformer"),
}

# In memory (transformers 5) and on disk; conversion_mapping.py of transformers.
_RENAMED = (
    (".mlp.router.", ".block_sparse_moe.gate."),  # phimoe
    (".mlp.", ".block_sparse_moe."),  # mixtral, minimax
    (".block_sparse_moe.router.", ".block_sparse_moe.router.layer."),  # granitemoe
    (".experts.gate_up_proj.", ".input_linear.weight."),  # granitemoe
    (".experts.down_proj.", ".output_linear.weight."),  # granitemoe
)

_EXPERT = re.compile(r"(?P<path>.*experts)\.(?P<number>\d+)\.(?P<leaf>\w+)\.weight")


class TensorNames:
    """The tensor names of a checkpoint, by what is left without wrappers."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._bare: dict[str, list[str]] = {}
        self._experts: dict[str, dict[str, dict[int, str]]] = {}
        for name in self._names:
            self._bare.setdefault(_bare(name), []).append(name)
            expert = _EXPERT.fullmatch(_bare(name))
            if expert is not None:
                leaves = self._experts.setdefault(expert["path"], {})
                leaves.setdefault(expert["leaf"], {})[int(expert["number"])] = name

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
        for spelling in _spellings(_bare(name)):
            found = self._bare.get(spelling, [])
            if len(found) > 1:
                raise SourceError(
                    f"{module} of the adapter could be {' or '.join(sorted(found))} of the base",
                    owner="the names in the adapter and in the base model",
                    safe="nothing was written",
                    next="use the base model that the adapter was trained on, with --base",
                )
            if found:
                return found[0]
        return None

    def experts(self, module: str) -> Mapping[str, Mapping[int, str]]:
        """Return tensor names of single experts: leaf name, then number, then name on disk.

        Args:
            module: Path of all experts together (``model.layers.0.mlp.experts``).
        """
        for spelling in _spellings(_bare(f"{module}.x.x")):
            found = self._experts.get(spelling.removesuffix(".x.x"))
            if found is not None:
                return found
        return {}

    def near(self, module: str) -> list[str]:
        """Return names that end like a module that was not found, for the error message."""
        leaf = module.rpartition(".")[2]
        return sorted(n for n in self._names if f".{leaf}." in f".{n}")


def _bare(name: str) -> str:
    segments = name.split(".")
    start = 0
    while start < len(segments) - 2 and segments[start] in _WRAPPERS:
        start += 1
    # CLIP's and SigLIP's towers had one module more before transformers 5.
    return ".".join(segments[start:]).replace("vision_tower.vision_model.", "vision_tower.")


def _spellings(name: str) -> Iterator[str]:
    """Yield a name, and then what it is called on disk after each renaming."""
    yield name
    dotted = f"{name}."
    for ours, theirs in _RENAMED:
        if ours in dotted:
            yield dotted.replace(ours, theirs, 1).removesuffix(".")
