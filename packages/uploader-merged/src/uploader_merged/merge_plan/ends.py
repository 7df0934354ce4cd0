"""The two ends of a language model, input embedding and output head, under an adapter.

In a tied model they are one matrix. What PEFT does to one end alone it does in a forward pass to
that end alone, so the merged model needs two matrices and ``tie_word_embeddings = false``. Where
the adapter keeps both ends equal, the model stays tied:

- trained token rows, which PEFT applies to both ends;
- changes that are stored for both ends and are the same (``ensure_weight_tying``, a resized
  vocabulary).

Where the flag says that a model is tied and its files hold two different matrices, the ends are
changed one by one, as transformers 5 loaded them; but PEFT goes by the flag when it applies trained
token rows of the embedding to the head as well.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from uploader_core.plugin import SourceError
from uploader_lora import Adapter, FullTensor, LoraUpdate, StoredTensor, TokenRows, same_content
from uploader_merged.base.model import BaseModel
from uploader_merged.base.names import TensorNames
from uploader_merged.base.tying import (
    FLAG,
    embedding_name,
    head_name,
    is_contradicted,
    is_tied,
    untied_head_name,
)

Part = LoraUpdate | FullTensor | TokenRows

_HEAD_MODULES = {"lm_head", "embed_out"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """What becomes of the two ends.

    Attributes:
        untie: Name of the head's tensor that has to be made from the embedding, or None.
        drop: Name of a head's tensor that is on disk although the model is tied, and that would
            contradict the changed embedding; None when there is none.
        duplicates: Parts of the adapter for the head that say what the embedding's already say.
        both: Rows of the embedding that also take the place of the head's.
    """

    untie: str | None = None
    drop: str | None = None
    duplicates: tuple[Part, ...] = ()
    both: tuple[TokenRows, ...] = ()


def is_head(module: str | None) -> bool:
    """Return whether a path is that of an output head."""
    return module is not None and module.rpartition(".")[2] in _HEAD_MODULES


def plan_ends(base: BaseModel, adapter: Adapter, names: TensorNames) -> Ends:
    """Decide from the adapter's keys whether a tied model stays tied.

    Raises:
        SourceError: The base does not say whether it is tied.
    """
    embedding = embedding_name(base)
    parts: list[Part] = [*adapter.updates, *adapter.replacements, *adapter.token_rows]
    at_head = [p for p in parts if is_head(p.module)]
    at_input = [p for p in parts if p not in at_head and names.find(p.module) == embedding]
    if not (at_head or at_input):
        return Ends()
    if not is_tied(base):
        return Ends(both=tuple(_rows_of_both(base, at_input, at_head)))
    if embedding is None:
        raise SourceError(
            "the base model is tied and has no input embedding that is known here",
            owner=str(base.folder),
            safe="nothing was written",
            next="untie the base first: load it with tie_word_embeddings=False and save it",
        )
    if _stays_tied(adapter, at_input, at_head):
        return Ends(drop=head_name(base.tensors), duplicates=tuple(at_head))
    return Ends(untie=head_name(base.tensors) or untied_head_name(embedding))


def _rows_of_both(base: BaseModel, at_input: list[Part], at_head: list[Part]) -> list[TokenRows]:
    """Return the rows that PEFT, which goes by the flag, gives to the head of its own as well."""
    rows = [part for part in at_input if isinstance(part, TokenRows)]
    if not rows or not is_contradicted(base) or any(isinstance(p, TokenRows) for p in at_head):
        return []
    if at_head:
        raise SourceError(
            f"the adapter trains single rows of embeddings ({FLAG} gives them to the head as well) "
            f"and changes {at_head[0].module}, which is not known to go together",
            owner=str(base.folder / "config.json"),
            safe="nothing was written",
            next="merge it with the tool that trained it and run: uploader run MERGED_FOLDER",
        )
    return rows


def _stays_tied(adapter: Adapter, at_input: list[Part], at_head: list[Part]) -> bool:
    if not at_head:
        return adapter.config.tied or not any(_is_of_one_end(p) for p in at_input)
    if len(at_head) != len(at_input):
        return False
    return all(any(_same(ours, theirs) for theirs in at_input) for ours in at_head)


def _is_of_one_end(part: Part) -> bool:
    """Return whether PEFT applies a change to one of two tied modules alone.

    Copies of the matrix itself are loaded into the one that both share.
    """
    if isinstance(part, FullTensor):
        return part.reason not in ("base_layer", "embedding")
    return isinstance(part, LoraUpdate)


def _same(head: Part, embedding: Part) -> bool:
    if isinstance(head, FullTensor) and isinstance(embedding, FullTensor):
        return head.parameter == embedding.parameter and same_content(head.tensor, embedding.tensor)
    if isinstance(head, TokenRows) and isinstance(embedding, TokenRows):
        return head.rows == embedding.rows and same_content(head.tensor, embedding.tensor)
    if isinstance(head, LoraUpdate) and isinstance(embedding, LoraUpdate):
        # B @ A of the head is the transpose of B @ A of the embedding.
        return (
            head.scale == embedding.scale
            and embedding.form == "embedding"
            and head.magnitude is None
            and embedding.magnitude is None
            and _transposed(head.a, embedding.b)
            and _transposed(head.b, embedding.a)
        )
    return False


def _transposed(left: StoredTensor, right: StoredTensor) -> bool:
    """Return whether one stored matrix is the transpose of another, bit for bit."""
    if left.dtype != right.dtype or left.shape != right.shape[::-1]:
        return False
    code = {2: "H", 4: "I", 8: "Q"}[left.nbytes // (left.shape[0] * left.shape[1])]
    ours, theirs = array(code, _content(left)), array(code, _content(right))
    rows, columns = left.shape
    return all(ours[n * columns : (n + 1) * columns] == theirs[n::rows] for n in range(rows))


def _content(tensor: StoredTensor) -> bytes:
    with tensor.file.open("rb") as handle:
        handle.seek(tensor.offset)
        return handle.read(tensor.nbytes)
