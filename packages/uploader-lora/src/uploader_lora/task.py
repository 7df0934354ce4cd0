"""What a model is for: the Hub's name of its task, and the class that loads it.

Decided from ``config.json``'s architectures, the adapter's ``task_type`` and the files of
sentence-transformers. Makers of artifacts say it in ``Artifact.metadata`` (``task``,
``auto_class``, ``library``), where cards and last screens find it. What is unknown is None: then
nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import Json
from uploader_lora.companions import companion_files
from uploader_lora.modules import MODULES
from uploader_lora.stored import read_json

SENTENCES = "sentence-transformers"


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a model is for.

    Attributes:
        tag: ``pipeline_tag`` of the Hub.
        auto_class: Class of transformers, or of sentence-transformers, that loads it.
        library: Of that class; None for transformers.
    """

    tag: str | None = None
    auto_class: str | None = None
    library: str | None = None

    def to_json(self) -> dict[str, Json]:
        """Return it as it is in an artifact's metadata."""
        return {"task": self.tag, "auto_class": self.auto_class, "library": self.library}

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Task:
        """Return what an artifact's metadata say."""
        tag, auto, library = (metadata.get(k) for k in ("task", "auto_class", "library"))
        return cls(
            tag=tag if isinstance(tag, str) else None,
            auto_class=auto if isinstance(auto, str) else None,
            library=library if isinstance(library, str) else None,
        )


_GENERATION = Task(tag="text-generation", auto_class="AutoModelForCausalLM")
_CLASSIFICATION = Task(tag="text-classification", auto_class="AutoModelForSequenceClassification")
_TOKENS = Task(tag="token-classification", auto_class="AutoModelForTokenClassification")
_ANSWERS = Task(tag="question-answering", auto_class="AutoModelForQuestionAnswering")
_MASKED = Task(tag="fill-mask", auto_class="AutoModelForMaskedLM")
_SEQ2SEQ = Task(tag="text2text-generation", auto_class="AutoModelForSeq2SeqLM")
_SPEECH = Task(tag="automatic-speech-recognition", auto_class="AutoModelForSpeechSeq2Seq")
_VISION = Task(tag="image-text-to-text", auto_class="AutoModelForImageTextToText")
_FEATURES = Task(tag="feature-extraction", auto_class="AutoModel")

_BY_TASK_TYPE = {
    "SEQ_CLS": _CLASSIFICATION,
    "TOKEN_CLS": _TOKENS,
    "QUESTION_ANS": _ANSWERS,
    "FEATURE_EXTRACTION": _FEATURES,
}
"""peft's. CAUSAL_LM and SEQ_2_SEQ_LM say less than an architecture does, and count without one."""

_BY_ENDING = (
    ("ForCausalLM", _GENERATION),
    ("LMHeadModel", _GENERATION),
    ("ForSequenceClassification", _CLASSIFICATION),
    ("ForTokenClassification", _TOKENS),
    ("ForQuestionAnswering", _ANSWERS),
    ("ForMaskedLM", _MASKED),
    ("ForCTC", Task(tag="automatic-speech-recognition", auto_class="AutoModelForCTC")),
    ("ForAudioClassification",
     Task(tag="audio-classification", auto_class="AutoModelForAudioClassification")),
    ("ForImageClassification",
     Task(tag="image-classification", auto_class="AutoModelForImageClassification")),
)  # fmt: skip
_ENCODERS = {
    "SentenceTransformer": "sentence-similarity",
    "SparseEncoder": "feature-extraction",
    "CrossEncoder": "text-ranking",
}
"""Classes of sentence-transformers by the name in their configuration."""

_SENTENCES = "config_sentence_transformers.json"
_SPEECH_MODELS = ("Whisper", "Speech2Text", "SpeechEncoderDecoder", "Moonshine")


def task_of(
    config: Mapping[str, Any],
    files: Mapping[str, Path],
    task_type: str | None = None,
) -> Task:
    """Return what a model is for.

    Args:
        config: Its ``config.json``; of an adapter alone as far as it is known.
        files: The files next to the weights, by name.
        task_type: Of the adapter, as peft writes it.

    Raises:
        SourceError: A file of sentence-transformers cannot be read.
    """
    if MODULES in files:
        said = read_json(files[_SENTENCES]).get("model_type") if _SENTENCES in files else None
        name = said if isinstance(said, str) and said in _ENCODERS else "SentenceTransformer"
        return Task(tag=_ENCODERS[name], auto_class=name, library=SENTENCES)
    if task_type in _BY_TASK_TYPE:
        return _BY_TASK_TYPE[task_type]
    names = config.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else ""
    if "vision_config" in config and name.endswith(("ForConditionalGeneration", "ForCausalLM")):
        return _VISION
    if name.endswith("ForConditionalGeneration"):
        if name.startswith(_SPEECH_MODELS):
            return _SPEECH
        # Others, such as those for sound and text, have no class of their own here.
        return _SEQ2SEQ if config.get("is_encoder_decoder") else Task()
    if name == "MarianMTModel":
        return Task(tag="translation", auto_class="AutoModelForSeq2SeqLM")
    for ending, task in _BY_ENDING:
        if name.endswith(ending):
            return task
    if name.endswith("Model") and "Encoder" not in name and "vision_config" not in config:
        return _FEATURES
    if name:
        return Task()
    return {"CAUSAL_LM": _GENERATION, "SEQ_2_SEQ_LM": _SEQ2SEQ}.get(task_type or "", Task())


def adapter_task(folder: Path, base: Path | None = None) -> Task:
    """Return what an adapter is for.

    Args:
        folder: Of the adapter.
        base: Folder of its base, whose configuration says more; None where it is not here.

    Raises:
        SourceError: A configuration cannot be read.
    """
    config = read_json(folder / "adapter_config.json")
    described: Mapping[str, Any] = {}
    if base is not None and (base / "config.json").is_file():
        described = read_json(base / "config.json")
    elif isinstance(mapping := config.get("auto_mapping"), dict):  # where it has no task_type
        described = {"architectures": [mapping.get("base_model_class")]}
    kind = config.get("task_type")
    return task_of(described, companion_files(folder), kind if isinstance(kind, str) else None)
