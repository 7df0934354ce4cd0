"""What there is to say of a checkpoint before anything is made of it, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator

from uploader_core.plugin import Finding, PlanContext, tokenizer_templates
from uploader_lora import describe_positions, read_json
from uploader_lora.companions import companion_files
from uploader_lora.lost import lost_findings
from uploader_lora.siblings import sibling_findings
from uploader_lora.trained_config import config_findings
from uploader_lora.unread import refusals, unfetched_of, unread_in
from uploader_merged.base.stops import GENERATION, MAX_GENERATION, out_of_range, silent_end
from uploader_merged.base.storage import is_narrower
from uploader_merged.base.tying import FLAG, embedding_name, head_name, is_contradicted
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.vocabulary import check_tokenizer


def checkpoint_findings(checkpoint: Checkpoint, context: PlanContext) -> Iterator[Finding]:
    """Yield what there is to say of a checkpoint, for the ``check`` of a format.

    Several formats of one plan may say the same; a plan shows it once.

    Args:
        checkpoint: Opened.
        context: Of the check.
    """
    yield from _unread(checkpoint, context)
    yield from _training(checkpoint)
    yield from _tying(checkpoint)
    yield from _storage(checkpoint)
    yield from _positions(checkpoint)
    yield from _stops(checkpoint)
    yield from check_tokenizer(checkpoint)


def _unread(checkpoint: Checkpoint, context: PlanContext) -> Iterator[Finding]:
    """Refuse files that look like a part of the model and that nothing reads."""
    unfetched = unfetched_of(context.input("checkpoint"))
    folders = [adapter.folder for adapter in checkpoint.adapters]
    if not folders:
        files = unread_in(checkpoint.base.folder, "model", unfetched)
    else:
        found = [unread_in(folder, "adapter_model", unfetched) for folder in folders]
        files = tuple(dict.fromkeys(name for names in found for name in names))
    yield from refusals(context, files, adapter=folders[-1] if folders else None)


def _training(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say what the folders of the training tell of another model than what is released."""
    base = checkpoint.base
    for adapter in checkpoint.adapters:
        yield from sibling_findings(adapter.folder)
        yield from config_findings(adapter.folder, base.config)
        yield from lost_findings(adapter, base.tensors, base.config)
        if adapter.unwrapped:
            yield Finding(
                level="note",
                what="the names in the adapter have "
                f"{', '.join(adapter.unwrapped)} in them, which is taken off",
            )
        if adapter.config.raw.get("init_lora_weights") == "loftq" and base.quantised is None:
            yield Finding(
                level="warning",
                what="the adapter was initialised by LoftQ, which trains it on quantised weights "
                "and lets it make up for what they lost; this base is not quantised, so the sum is "
                "not what was trained",
                next="--base FOLDER with the weights that LoftQ left as the base",
            )
    if not checkpoint.adapters:
        yield from sibling_findings(base.folder)


def _tying(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say that the files are believed, and not the flag, with what follows from it."""
    base = checkpoint.base
    if not is_contradicted(base):
        return
    embedding, head = embedding_name(base), head_name(base.tensors)
    what = (
        f"config.json says that the embeddings are tied ({FLAG}: true), and the files hold two "
        f"different matrices, {embedding} and {head}; both are kept, as transformers 5 does, and "
        f"{FLAG}: false is written beside them"
    )
    if checkpoint.adapters:
        what += f". transformers 4 drops {head}, so an adapter trained with it does not fit here"
    yield Finding(
        level="warning",
        what=what,
        next=f"where {head} is a left-over, take it out of a copy of the folder",
    )


def _storage(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say what config.json says of the stored types that is not so, and is written otherwise."""
    base = checkpoint.base
    if base.widened is not None:
        yield Finding(
            level="note",
            what=f"config.json says that the model is quantised ({base.widened}), and all tensors "
            "are stored in 16 bits or more; quantization_config is left out",
        )
    if is_narrower(base.config, base.tensors):
        yield Finding(
            level="note",
            what="config.json says float16 and the tensors are stored in bfloat16, whose values "
            "float16 does not hold; bfloat16 is written beside them",
        )


def _positions(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say that the positions are those of the training, which a file next to the adapter tells."""
    trained = describe_positions(checkpoint.config)
    before = describe_positions(checkpoint.base.config)
    if trained != before:
        yield Finding(
            level="note",
            what=f"positions are those that the adapter was trained with ({trained}), as "
            f"config.json beside it says; the base has {before}",
        )


def _stops(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say where generation stops, where that is not what the files said, and what never happens."""
    files = {f.name: f.path for f in checkpoint.companions() if f.is_named_so}
    stops = checkpoint.stops
    if stops is not None and stops.changed:
        said = " and ".join(map(str, stops.said)) or "no token"
        yield Finding(
            level="note",
            what=f"the tokenizer ends at {stops.end}, and {stops.file} at {said}: "
            f"eos_token_id {list(stops.ids)} is written, so that generate stops at it",
        )
    token = None if stops is None else silent_end(files, stops)
    if stops is not None and token is not None:
        base = companion_files(checkpoint.base.folder)
        learned = checkpoint.adapters and tokenizer_templates(base) != tokenizer_templates(files)
        yield Finding(
            # A base model with a template that it never learned is what many fine-tunes start from.
            level="warning" if learned else "note",
            what=f"the chat template ends turns with {token}, and neither the tokenizer nor "
            f"{stops.file} names it as an end, so generate may not stop there",
            next=f'if the model was trained on the template, set tokenizer.eos_token = "{token}" '
            "before tokenizer.save_pretrained",
        )
    yield from _out_of_range(checkpoint)


def _out_of_range(checkpoint: Checkpoint) -> Iterator[Finding]:
    embedding = embedding_name(checkpoint.base)
    if embedding is None:
        return
    rows = checkpoint.shape(embedding)[0]
    parts = {"config.json": checkpoint.config}
    text = checkpoint.config.get("text_config")
    if isinstance(text, dict):
        parts["text_config"] = text
    generation = {f.name: f.path for f in checkpoint.companions()}.get(GENERATION)
    if generation is not None:
        parts[GENERATION] = read_json(generation, MAX_GENERATION)
    wrong = list(out_of_range(parts, rows))
    if wrong:
        yield Finding(
            level="warning",
            what=f"{', '.join(wrong)}: the vocabulary has {rows} rows ({embedding})",
            next="set them to ids of the tokenizer, in the folder that the file comes from",
        )
