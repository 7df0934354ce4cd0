"""What the outcome of loading means for a release: nothing, a word in the plan, or a refusal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from uploader_core.plugin import Finding
from uploader_merged.load_proof import words
from uploader_merged.load_proof.subject import Outcome, Stray, Subject
from uploader_merged.load_proof.words import some

# Encoders are trained without it, and what loads them for embeddings does not ask it.
_POOLER = re.compile(r"(^|\.)pooler(\.dense)?\.(weight|bias)$")

# Tensors next to a model that is complete without them: level, and what they are.
_BESIDE = (
    ("note", "layers that predict several tokens (MTP)",
     re.compile(r"(^|\.)(mtp|nextn|mtp_block|mtp_layers)[._]")),
    ("note", "constants that the model computes itself",
     re.compile(r"(^|\.)(rotary_emb\.inv_freq|masked_bias|position_ids)$")),
    ("warning", "a value head of reinforcement learning",
     re.compile(r"^(v_head|value_head)\.")),
    ("warning", "an encoder of images or sound, and config.json is of the text model alone",
     re.compile(r"^(model\.)?(vision_(tower|model)|visual|audio_tower|multi_modal_projector"
                r"|mm_projector)\.")),
)  # fmt: skip

# Layers behind the last one that config.json announces as such, by what only they have.
_AHEAD = ("num_nextn_predict_layers", "mtp_num_hidden_layers")
_OF_AHEAD = re.compile(r"\.(eh_proj|enorm|hnorm|shared_head)\.")

_TASK_HEAD = re.compile(r"head|cls|score|classif|qa_|predict|vocab|proj|embed_out|generator")


def judge(outcome: Outcome, subject: Subject, folder: Path) -> Iterator[Finding]:
    """Yield what an outcome means.

    Args:
        outcome: Of loading the subject.
        subject: What was loaded.
        folder: Of the model, for messages.
    """
    if outcome.unproved is not None:
        yield Finding(
            level="warning" if outcome.loader == "transformers" else "note",
            what=f"it was not proved that the release loads: {outcome.unproved}",
            next="pip install -U transformers accelerate, or load the release before you publish "
            "it",
        )
    elif outcome.trouble is not None:
        yield _not_built(outcome, subject)
    else:
        yield from _built(outcome, subject, folder)


def _built(outcome: Outcome, subject: Subject, folder: Path) -> Iterator[Finding]:
    if outcome.named_class is not None:
        yield Finding(
            level="warning",
            what=f"config.json names the class {outcome.named_class}, which {outcome.loader} does "
            f"not have for the model type {subject.config.get('model_type')}; transformers takes "
            f"{outcome.model_class}, and vLLM and llama.cpp go by the name",
            next=f'"architectures": ["{outcome.model_class}"] in config.json',
        )
    strays = list(outcome.strays)
    for level, what, known in _beside(outcome, subject):
        if known:
            strays = [stray for stray in strays if stray not in known]
            yield Finding(
                level="warning" if level == "warning" else "note",
                what=f"{what}: {some(s.name for s in known)}; transformers leaves them out",
            )
    unmade = {name for name, _ in outcome.failed}
    missing = [n for n in outcome.missing if not _POOLER.search(n) and n not in unmade]
    if any(_POOLER.search(name) for name in outcome.missing):
        yield Finding(
            level="note",
            what="the files have no pooler, so loading makes one of random values; embeddings from "
            "the mean or from one token do not use it",
        )
    reasons = [
        words.missing(missing, subject) if missing else "",
        words.failed(outcome.failed, subject) if outcome.failed else "",
        words.dropped(strays, subject) if strays else "",
        words.misfits(outcome.misfits, subject) if outcome.misfits else "",
        words.mistyped(outcome.mistyped) if outcome.mistyped else "",
    ]
    if any(reasons):
        yield Finding(
            level="error",
            what=f"the model in {folder} does not load complete as {outcome.model_class} "
            f"({outcome.loader}): " + "; ".join(filter(None, reasons)),
            next=_advice(outcome, subject, missing, strays),
        )


def _beside(outcome: Outcome, subject: Subject) -> Iterator[tuple[str, str, list[Stray]]]:
    """Yield tensors that the model is complete without: level, what they are, and which."""
    for level, what, pattern in _BESIDE:
        yield level, what, [s for s in outcome.strays if pattern.search(s.name)]
    count, ahead = words.layers(subject)[0], words.number_of(subject.config, _AHEAD)
    numbers = range(count, count + ahead) if count is not None and ahead else range(0)
    behind = [s for s in outcome.strays if words.layer_of(s.name) in numbers]
    known = behind if any(_OF_AHEAD.search(s.name) for s in behind) else []
    yield "note", _BESIDE[0][1], known
    heads = [
        s for s in outcome.strays if s.place == "top" and _TASK_HEAD.search(s.name.split(".")[0])
    ]
    yield "note", f"a head, which {outcome.model_class} has not", heads if outcome.headless else []


def _not_built(outcome: Outcome, subject: Subject) -> Finding:
    said = _of_newer(outcome, subject)
    if said is not None:
        return Finding(
            level="warning",
            what=f"it was not proved that the release loads: its configuration is of transformers "
            f"{said}, and {outcome.loader} says {outcome.trouble}",
            next="pip install -U transformers",
        )
    by = subject.config.get("transformers_version")
    return Finding(
        level="error",
        what=f"{outcome.loader} cannot build {outcome.model_class or 'the model'} with this "
        f"config.json: {outcome.trouble}",
        next="correct config.json, or take the one that was saved with the weights"
        + (f" (by transformers {by[:20]})" if isinstance(by, str) else ""),
    )


def _advice(outcome: Outcome, subject: Subject, missing: list[str], strays: list[Stray]) -> str:
    said = _of_newer(outcome, subject)
    if said is not None:
        return f"pip install -U transformers (the configuration is of {said})"
    rows = words.rows_instead(outcome.misfits, subject)
    if rows is not None and not (missing or strays):
        return f'save config.json with the weights, or correct it: "vocab_size": {rows}'
    if missing and all(words.HEADS.search(name) for name in missing):
        return (
            'if the model is tied, "tie_word_embeddings": true in config.json; if not, save it '
            "again with its head"
        )
    return (
        "save weights and config.json together again (model.save_pretrained(FOLDER) of the plain, "
        "complete model), or name the complete base with --base"
    )


def _of_newer(outcome: Outcome, subject: Subject) -> str | None:
    """Return the version that saved the configuration, when it is newer than what loads it."""
    said = subject.config.get("transformers_version")
    ours = outcome.loader.rpartition(" ")[2]
    newer = isinstance(said, str) and _version(said) > _version(ours)
    return said[:20] if newer and isinstance(said, str) else None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
