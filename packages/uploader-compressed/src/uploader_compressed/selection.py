"""Which matrices of a checkpoint are quantised, from names and shapes alone. No torch.

compressed-tensors quantises modules of the class Linear that no pattern of ``ignore`` matches. A
folder of tensors does not say which modules those are, so names decide here, and the proof
(:mod:`uploader_compressed.proof`) has transformers confirm it before anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from uploader_core.plugin import Artifact, UsageError
from uploader_lora.where_it_runs import Described
from uploader_merged import Checkpoint, open_checkpoint
from uploader_merged.base.orientation import is_conv1d

HEAD = "lm_head"

DEFAULT_IGNORE = (
    # The output head; of embedding models and of GPT-NeoX under other names.
    r"(.*\.)?(lm_head|embed_out|output_projection)$",
    # What chooses experts.
    r".*\.(gate|router|shared_expert_gate)(\.(layer|linear|proj|wg))?$",
    # Towers for other senses, and what joins them to the language model.
    r"(.*\.)?[^.]*(vision|visual|image|audio|speech|video|tower|projector|connector)[^.]*(\..*)?$",
    # Heads of tasks.
    r"(.*\.)?(score|classifier|classification_head|qa_outputs|summary|pooler)(\..*)?$",
)
"""Patterns of modules that stay in 16 bits, as llm-compressor's recipes leave them out."""

FUSED = (
    ("gate_proj", "up_proj"),
    ("q_proj", "k_proj", "v_proj"),
    ("q_a_proj", "kv_a_proj_with_mqa"),
    ("w1", "w3"),
)
"""Layers of one module that servers compute as one: they share NVFP4's scale of the whole tensor,
and are quantised together or not at all."""

_SINGLE = ("Llama4ForCausalLM", "Llama4ForConditionalGeneration")
_FLOATS = ("F32", "F16", "BF16")
_STACK = re.compile(r"\.experts\..*(?<!bias)$|\.(input|output)_linear\.weight$")
_GRANITE = {
    ".input_linear.weight": ".experts.gate_up_proj",
    ".output_linear.weight": ".experts.down_proj",
}
_EMBEDDING = re.compile(r"(^|\.)([^.]*embed[^.]*|wte|wpe|shared|relative_attention_bias)(\.|$)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What is quantised.

    Attributes:
        names: Tensors that are, in the order of the base's.
        ignored: Modules that a pattern left out.
        ignore: For ``quantization_config``: patterns that matched something, and the output head.
        stacked: Tensors that hold the experts of a layer in one, and were not taken apart.
    """

    names: tuple[str, ...]
    ignored: tuple[str, ...]
    ignore: tuple[str, ...]
    stacked: tuple[str, ...]


def open_apart(source: Artifact, ignore: tuple[str, ...] = ()) -> Checkpoint:
    """Open a checkpoint with fused experts taken apart, where engines load single ones.

    Those of a layer of which nothing is quantised stay as they are, if transformers takes them.

    Args:
        source: A ``checkpoint`` artifact.
        ignore: The user's patterns, besides :data:`DEFAULT_IGNORE`.

    Raises:
        SourceError: It cannot be opened.
        UsageError: A pattern is none.
    """
    patterns = _patterns(ignore).values()
    checkpoint = open_checkpoint(source)
    if not Described.of(checkpoint.config).takes_single_experts:
        return checkpoint
    single = single_in_transformers(checkpoint)
    return checkpoint.with_single_experts(
        lambda name: not single and any(pattern.match(_stack(name)) for pattern in patterns)
    )


def single_in_transformers(checkpoint: Checkpoint) -> bool:
    """Return whether transformers holds single experts where anything is compressed.

    Of Llama 4 it does (``SequentialLlama4TextExperts``), also where the experts themselves stay in
    16 bits; where nothing is compressed it multiplies all of them at once.
    """
    return any(name in _SINGLE for name in checkpoint.config.get("architectures") or ())


def select(checkpoint: Checkpoint, ignore: tuple[str, ...] = ()) -> Selection:
    """Choose the matrices.

    Args:
        checkpoint: The model.
        ignore: The user's patterns, besides :data:`DEFAULT_IGNORE`.

    Raises:
        UsageError: A pattern is none, or matches nothing.
    """
    patterns = _patterns(ignore)
    names, ignored, used, stacked = [], [], set(), []
    for name in checkpoint.names:
        kind = _kind(checkpoint, name)
        if kind is None:
            continue
        module = _stack(name) if kind == "stacked" else _module(name)
        matching = [text for text, pattern in patterns.items() if pattern.match(module)]
        used.update(matching)
        if matching:
            ignored.append(module)
        elif kind == "stacked":
            stacked.append(name)
        else:
            names.append(name)
    for text in ignore:
        if _plain(text) not in used:
            raise _wrong(text, "matches the beginning of no module that would be quantised")
    return Selection(
        names=tuple(names),
        ignored=tuple(ignored),
        # A tied head has no tensor, and would be quantised all the same by who loads the model.
        ignore=(HEAD, *(f"re:{text}" for text in patterns if text in used)),
        stacked=tuple(stacked),
    )


def torn(selection: Selection) -> Iterator[tuple[str, str]]:
    """Yield (quantised, ignored) modules that servers compute as one."""
    quantised = {_module(name) for name in selection.names}
    for module in selection.ignored:
        parent, _, last = module.rpartition(".")
        for group in FUSED:
            if last in group:
                yield from (
                    (f"{parent}.{other}", module)
                    for other in group
                    if f"{parent}.{other}" in quantised
                )


def fused_with(name: str, names: frozenset[str]) -> tuple[str, ...]:
    """Return the tensors that share NVFP4's global scale with one, itself included.

    Args:
        name: Of a quantised weight.
        names: Of all of them.
    """
    parent, _, last = _module(name).rpartition(".")
    for group in FUSED:
        if last in group:
            siblings = tuple(f"{parent}.{other}.weight" for other in group)
            if names.issuperset(siblings):
                return siblings
    return (name,)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Write the first of several names, and how many there are besides."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _kind(checkpoint: Checkpoint, name: str) -> str | None:
    """Return ``matrix``, ``stacked`` for experts in one tensor, or None for what stays."""
    shape = checkpoint.shape(name)
    if checkpoint.dtype(name) not in _FLOATS:
        return None
    if len(shape) == 3 and _STACK.search(name):
        return "stacked"
    module = _module(name)
    if len(shape) != 2 or module == name or _EMBEDDING.search(module):
        return None
    return None if is_conv1d(module, checkpoint.config) else "matrix"


def _module(name: str) -> str:
    return name.removesuffix(".weight")


def _stack(name: str) -> str:
    """Return what readers call a tensor of fused experts: of GraniteMoE not what files do."""
    for stored, read in _GRANITE.items():
        if name.endswith(stored):
            return name.removesuffix(stored) + read
    return name


def _patterns(ignore: tuple[str, ...]) -> dict[str, re.Pattern[str]]:
    found = {text: re.compile(text) for text in DEFAULT_IGNORE}
    for text in ignore:
        try:
            found[_plain(text)] = re.compile(_plain(text))
        except re.error as error:
            raise _wrong(text, f"is not a regular expression: {error}") from error
    return found


def _plain(text: str) -> str:
    return text.removeprefix("re:")


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(
        f"--compressed-ignore {text!r} {why}",
        owner="option --compressed-ignore",
        next="write the beginning of module names, such as .*down_proj or model\\.layers\\.0\\.",
    )
