"""The model card of one artifact: metadata that the Hub reads, and what the plugins have to say.

No field is invented: what is not known is left out. No local path gets in. What a person wrote into
the source's README stays; see :mod:`uploader_hf.model_card.own_text`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    Artifact,
    CardFacts,
    Finding,
    Licence,
    Lineage,
    PlanContext,
    RefusedError,
    StepContext,
    UsageError,
    card_metadata,
    from_home,
    licence_of,
    load_metadata,
    parse_json,
    read_card,
    read_lineage,
)
from uploader_hf.model_card import training
from uploader_hf.model_card.generated import is_generated
from uploader_hf.model_card.markdown import plain
from uploader_hf.model_card.own_text import Card, merge_metadata, take_apart, yaml_head
from uploader_hf.model_card.private_paths import private_paths, without_private_paths
from uploader_hf.model_card.rules import errors_of

TEMPLATE = Path(__file__).with_name("card.md.jinja")

_FORMATS = frozenset(
    {
        *("transformers", "peft", "lora", "qlora", "adapter", "merged", "gguf", "llama-cpp"),
        *("safetensors", "pytorch", "bitsandbytes", "4bit", "4-bit", "8bit", "8-bit"),
    }
)
"""Tags that are about the files in a repository: those of a source say nothing of what is made."""

_NEAR = (
    frozenset({"feature-extraction", "sentence-similarity"}),
    frozenset({"text2text-generation", "translation", "summarization"}),
    frozenset({"text-classification", "text-ranking", "zero-shot-classification"}),
    frozenset({"text-generation", "image-text-to-text", "any-to-any"}),
)
"""Tasks of one and the same class, where a card's word is nearer than the class's name."""

_FOLDERS = frozenset(
    {
        *("base", "ckpt", "checkpoint", "checkpoints", "data", "input", "local", "model", "models"),
        *("out", "output", "outputs", "pretrained", "results", "run", "runs", "saves", "weights"),
    }
)
_OF_A_FORMAT = frozenset({"base_model_relation", "library_name", "tags"})
"""Metadata that are about the files in a repository."""


def write(context: StepContext) -> Artifact:
    """Write ``README.md`` into the artifact's folder, with the picture of the loss.

    Raises:
        RefusedError: The metadata of the source's own README is not what the Hub takes.
        UsageError: The template cannot be used.
    """
    (artifact,) = context.inputs
    base = context.sources.get("base") or context.sources.get("checkpoint")
    head = card_metadata(read_card(base))
    licence = licence_of(base, head, _base_id(context), of_base=not _is_own_model(context))
    lineage = read_lineage(context.sources)
    picture = training.curve(lineage)
    if picture is not None:
        with context.output.create(training.CURVE, role="document") as file:
            file.write(picture)
    block = render(context, licence, lineage, has_curve=picture is not None)
    metadata = metadata_of(context, licence, lineage, head)
    text = _with_own_text(context, metadata, block, licence)
    errors = errors_of(text)
    if errors:
        raise RefusedError(
            f"the Hub would not take the model card of {artifact.kind}: {'; '.join(errors)}",
            owner="README.md of the source folder, or --hf-card-template",
            safe="nothing was sent",
            next="correct the metadata at the top of README.md in the source folder",
        )
    context.output.write("README.md", text, role="document")
    return context.artifact()


def metadata_of(
    context: StepContext, licence: Licence, lineage: Lineage, base_head: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the Hub shall read; only what is known.

    Args:
        context: Of the card's step.
        licence: Of the base.
        lineage: Of the training.
        base_head: Metadata of the base's card.
    """
    (artifact,) = context.inputs
    facts = _facts(context)
    relation, library, tags = facts.relation, facts.library_name, facts.tags
    base: Any = _base_id(context)
    if _is_own_model(context):
        base = _named_base(base_head)
    elif relation == "finetune" and not _is_fine_tuned(context):
        relation = ""
    known: dict[str, Any] = {}
    if base:
        known["base_model"] = base
        known["base_model_relation"] = relation
    known |= licence.metadata
    known["language"] = base_head.get("language")
    said = artifact.metadata.get("library")
    if isinstance(said, str) and library == "transformers":
        library, tags = said, (*tags, said)
    known["library_name"] = library
    known["pipeline_tag"] = facts.pipeline_tag or _task(context, base_head.get("pipeline_tag"))
    known["datasets"] = [*lineage.datasets]
    told = (tag for tag in lineage.tags if tag not in _FORMATS)
    known["tags"] = [*dict.fromkeys(("uploader", *tags, *told))]
    return {
        name: value
        for name, value in known.items()
        if value and not errors_of(f"---\n{json.dumps({name: value})}\n---\n")
    }


def render(context: StepContext, licence: Licence, lineage: Lineage, *, has_curve: bool) -> str:
    """Return the part of the card that is ours, from the template.

    Raises:
        UsageError: The user's template is not there or not a template.
    """
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    (artifact,) = context.inputs
    given = context.settings.card_template
    own = own_card(context)
    names = {file.name for file in artifact.files} | {path.name for path in licence.files}
    try:
        # As ModelCard.from_template does it, without a second for importing the Hub's client. The
        # metadata come later; templates made for that function may name them.
        introduction = f"{_introduction(artifact, context)} {context.release.without}".strip()
        # A template of somebody else's may be given: it is kept from Python.
        template = ImmutableSandboxedEnvironment().from_string(_template(given))
        text = template.render(
            card_data="{}",
            title="" if own.has_own_text else plain(_title(context)),
            introduction=introduction,
            notice=licence.notice,
            sections=[s for s in context.sections if s.text.strip()],
            training=training.section(lineage, has_curve=has_curve),
            licence=licence.name,
            licence_of_base=licence.of_base,
            own_licence=_own_licence(own, licence),
            licence_link=licence.metadata.get("license_link", ""),
            licence_files=sorted(names & {path.name for path in licence.files}),
            model_id=context.model_id,
            base_model=_base_id(context) or "",
            lineage=lineage,
        )
    except TemplateError as error:
        raise UsageError(
            f"the template of the model card cannot be used: {error}",
            owner=given or "uploader-hf",
            next=f"start from a copy of {TEMPLATE}",
        ) from error
    return str(text).strip()


def _template(given: str) -> str:
    path = from_home(given) if given else TEMPLATE
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the template of the model card cannot be read: {error}",
            owner="--hf-card-template",
            next=f"give a text file; start from a copy of {TEMPLATE}",
        ) from error


def _with_own_text(
    context: StepContext, metadata: Mapping[str, Any], block: str, licence: Licence
) -> str:
    """Put what a person wrote around our part, and their metadata before what is known."""
    ours = yaml_head(metadata)
    own = own_card(context)
    if own.generated and own.has_own_text:  # the library's title is gone
        own = replace(own, before=f"# {plain(_title(context))}\n\n{own.before}")
    theirs = _own_metadata(own)
    if licence.of_base and licence.name and _facts(context).relation != "adapter":
        # The weights of the base are in it, so its licence holds, whatever that of the adapter is.
        theirs = {name: value for name, value in theirs.items() if not name.startswith("license")}
    head = merge_metadata(ours, yaml_head(theirs))
    return str(replace(own, head=head, block=block).signed())


def own_card(context: StepContext | PlanContext) -> Card:
    """Return the README of the source taken apart, without paths of its owner's machine.

    It is that of the adapter, or of a full model that is the user's own; that of a model which was
    fetched tells of another repository.
    """
    folder = context.sources.get("adapter")
    if folder is None and _is_own_model(context):
        folder = context.sources.get("checkpoint")
    card = take_apart(read_card(folder))
    before, after = (without_private_paths(text) for text in (card.before, card.after))
    return replace(card, before=before, after=after)


def check(context: PlanContext) -> Iterator[Finding]:
    """Say which paths of a README are not published as they are."""
    folder = context.sources.get("adapter") or context.sources.get("checkpoint")
    text = read_card(folder)
    if is_generated(text):
        return
    paths = [*dict.fromkeys(private_paths(text))]
    if paths:
        yield Finding(
            level="note",
            what=f"README.md of the source names {', '.join(paths[:3])}: in the cards only the "
            "last part of a path of this machine is published",
        )


def _is_own_model(context: StepContext | PlanContext) -> bool:
    """Tell whether the source is a full model of the user's, and no one that was fetched."""
    return context.release.source == "checkpoint" and context.release.base_model is None


def _own_metadata(own: Card) -> dict[str, Any]:
    """Return the metadata of a README that are a person's and may be published."""
    head = load_metadata(own.persons_head() or "")
    # A card of ours tells of another format.
    another = _OF_A_FORMAT if own.text_digest is not None else ()
    return {
        name: value
        for name, value in head.items()
        if name not in another and not any(private_paths(str(value)))
    }


def _named_base(head: Mapping[str, Any]) -> list[str] | str | None:
    """Return the base models that the card of a full fine-tune names, where they may be public."""
    named = head.get("base_model")
    names = named if isinstance(named, list) else [named]
    # A trainer writes down what it was given, which may have been a folder.
    public = [n for n in names if isinstance(n, str) and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", n)]
    if [n for n in public if n.split("/")[0].lower() not in _FOLDERS] != names:
        return None
    return public if isinstance(named, list) else public[0]


def _own_licence(own: Card, licence: Licence) -> str:
    """Return the licence that a person gave an adapter, "" where it is the base's."""
    head = _own_metadata(own)
    named = head.get("license_name") or head.get("license")
    if not licence.of_base or not isinstance(named, str) or named == licence.name:
        return ""
    return named


def _base_id(context: StepContext) -> str | None:
    release = context.release
    return release.base_model if release.base_is_hub_id else None


def _task(context: StepContext, of_base: Any) -> str | None:
    """Return the task as the maker of the artifact says it; None where it says that it is unknown.

    Args:
        context: Of the card's step.
        of_base: What the base's own card says, which may be nearer.
    """
    (artifact,) = context.inputs
    seen, near = _pipeline(context), of_base if isinstance(of_base, str) else None
    if "task" not in artifact.metadata:
        return near or seen
    said = artifact.metadata["task"]
    if said == "text-generation" and seen == "image-text-to-text":
        return seen  # the adapter alone does not know that its base sees
    if not isinstance(said, str) or any({said, near} <= family for family in _NEAR):
        return near
    return said


def _pipeline(context: StepContext) -> str | None:
    """Return the task of the architecture, where it has only one."""
    folder = context.sources.get("base") or context.sources.get("checkpoint")
    try:
        config = parse_json((folder / "config.json").read_text("utf-8")) if folder else {}
        names = [str(name) for name in config.get("architectures") or ()]
    except (OSError, ValueError, AttributeError):
        return None
    if any(name.endswith("ForCausalLM") for name in names):
        return "text-generation"
    if "vision_config" in config and any("ForConditionalGeneration" in name for name in names):
        return "image-text-to-text"
    return None


def _is_fine_tuned(context: StepContext) -> bool:
    """Tell whether the base was changed; a full model is only brought into another format."""
    return context.release.source != "checkpoint"


def _title(context: StepContext) -> str:
    """Return the name of the repository, or of the release where there is none."""
    return context.model_id.split("/")[-1] or context.release.name


def _facts(context: StepContext) -> CardFacts:
    """Return what the maker of the artifact says for cards."""
    (artifact,) = context.inputs
    return context.cards.get(artifact.kind, CardFacts(title=artifact.kind, tags=(artifact.kind,)))


def _introduction(artifact: Artifact, context: StepContext) -> str:
    facts = _facts(context)
    text = plain(facts.title).rstrip(". ")
    if facts.title != artifact.kind:
        text = text[:1].upper() + text[1:]
    if not _is_fine_tuned(context):
        text = text.replace("Merged model", "Model")
    base = _base_id(context)
    if base is None:
        return f"{text}."
    how = "fine-tuned from" if _is_fine_tuned(context) else "made from"
    commit = context.release.base_revision
    # An adapter holds nothing of the base: without a pin its commit is only the newest one today.
    known = commit is not None and (context.release.base_pinned or facts.relation != "adapter")
    at = f", commit `{plain(commit or '')}`" if known else ""
    return f"{text}, {how} [{plain(base)}](https://huggingface.co/{base}){at}."
