"""Code for a model card that loads a model with the class that its task needs."""

from __future__ import annotations

from uploader_lora.task import SENTENCES, Task

_WITH_PROCESSOR = ("image-text-to-text", "automatic-speech-recognition", "image-classification",
                   "audio-classification")  # fmt: skip


def preparing(task: Task) -> str:
    """Return the class that prepares a model's input."""
    return "AutoProcessor" if task.tag in _WITH_PROCESSOR else "AutoTokenizer"


def loading(task: Task, name: str) -> list[str]:
    """Return lines of Markdown: code that loads a full model, or which class is to be taken.

    Args:
        task: What the model is for.
        name: By what it is loaded.
    """
    if task.auto_class is None:
        return ["Load it with the class that `architectures` in its `config.json` names."]
    if task.library == SENTENCES:
        use = {
            "CrossEncoder": 'scores = model.predict([("a question", "a passage")])',
        }.get(task.auto_class, 'vectors = model.encode(["one text", "another text"])')
        return [
            "```python",
            f"from sentence_transformers import {task.auto_class}",
            "",
            f'model = {task.auto_class}("{name}")',
            use,
            "```",
        ]
    prepare = preparing(task)
    variable = "processor" if prepare == "AutoProcessor" else "tokenizer"
    return [
        "```python",
        f"from transformers import {task.auto_class}, {prepare}",
        "",
        f'model = {task.auto_class}.from_pretrained("{name}", dtype="auto")',
        f'{variable} = {prepare}.from_pretrained("{name}")',
        "```",
    ]
