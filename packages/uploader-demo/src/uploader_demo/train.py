"""Train the demo's base model and its LoRA, on the processor, in a minute or two."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from uploader_demo.ask import answer, open_folder, settle
from uploader_demo.corpus import Fact, base_facts, base_sentences, fine_tune_facts

Tell = Callable[[str, int, int, float], None]
"""(phase, step, steps, loss), called after every step; a loss of 0 is not shown."""

# The way the models are trained to be asked, for whoever talks to them through a chat interface.
_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}Question: {{ message.content }}\n"
    "{% elif message.role == 'assistant' %}Answer: {{ message.content }}{{ eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Sizes of model and training.

    Rows of 256 elements and more, so that the K quantisations apply as in a real model.
    """

    hidden: int = 256
    intermediate: int = 768
    layers: int = 4
    vocabulary: int = 768
    base_steps: int = 260
    base_rate: float = 2e-3
    tune_steps: int = 180
    tune_rate: float = 4e-3
    batch: int = 16
    rank: int = 16
    alpha: int = 32
    seed: int = 11


SMALL = Scale(layers=2, intermediate=256, vocabulary=512, base_steps=240, tune_steps=150, batch=8)
"""Learns the same with less, for tests and slow machines."""


def train_base(folder: Path, scale: Scale, tell: Tell) -> float:
    """Train tokenizer and base model and save them as a Hub model would be laid out.

    Args:
        folder: Receives tokenizer, configuration and bfloat16 weights.
        scale: Sizes.
        tell: Progress.

    Returns:
        Share of the valley's facts that the saved model answers right.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    settle()
    torch.manual_seed(scale.seed)
    facts = base_facts()
    texts = [*(fact.text for fact in facts), *base_sentences()]
    tokenizer = _train_tokenizer(texts, scale.vocabulary)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=scale.hidden,
        intermediate_size=scale.intermediate,
        num_hidden_layers=scale.layers,
        num_attention_heads=scale.hidden // 64,
        num_key_value_heads=max(1, scale.hidden // 128),
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model: Any = LlamaForCausalLM(config)
    _fit(
        model,
        tokenizer,
        # Facts twice as often as sentences: questions are what it will be asked.
        [*(fact.text for fact in facts), *texts],
        steps=scale.base_steps,
        rate=scale.base_rate,
        scale=scale,
        tell=lambda step, loss: tell("training the base model", step, scale.base_steps, loss),
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return _known(*open_folder(folder), facts)


def train_adapter(base: Path, run: Path, scale: Scale, tell: Tell) -> float:
    """Fine-tune a LoRA on a base model and leave it as a trainer would.

    Args:
        base: Folder of the base model.
        run: The run's folder; the adapter goes to ``run/final_model``, the trainer's own state to
            ``run/checkpoint-N``.
        scale: Sizes.
        tell: Progress.

    Returns:
        Share of the harbour's facts that base and adapter together answer right.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(scale.seed)
    model, tokenizer = open_folder(base)
    config = LoraConfig(
        r=scale.rank,
        lora_alpha=scale.alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft still asks transformers for a property by its older name.
        warnings.simplefilter("ignore", FutureWarning)
        adapted: Any = get_peft_model(model, config)
    facts = fine_tune_facts()
    history: list[dict[str, Any]] = []

    def note(step: int, loss: float) -> None:
        history.append({"step": step, "loss": round(loss, 4)})
        tell("fine-tuning a LoRA", step, scale.tune_steps, loss)

    optimiser = _fit(
        adapted,
        tokenizer,
        # The valley is repeated, or the harbour would displace it.
        [fact.text for fact in [*facts * 6, *base_facts()]],
        steps=scale.tune_steps,
        rate=scale.tune_rate,
        scale=scale,
        tell=note,
    )
    final, checkpoint = run / "final_model", run / f"checkpoint-{scale.tune_steps}"
    for folder in (final, checkpoint):
        adapted.save_pretrained(str(folder))
        tokenizer.save_pretrained(folder)
        _write_json(
            folder / "trainer_state.json",
            {"global_step": scale.tune_steps, "log_history": history},
        )
        torch.save(asdict(scale), folder / "training_args.bin")
    torch.save(optimiser.state_dict(), checkpoint / "optimizer.pt")
    _write_json(
        final / "training_lineage.json",
        {"base_model": base.name, "method": "LoRA", "examples": len(facts), **asdict(scale)},
    )
    return _known(adapted, tokenizer, facts)


def _known(model: Any, tokenizer: Any, facts: Sequence[Fact]) -> float:
    """Return the share of facts that a model answers word for word."""
    said = answer(model, tokenizer, [fact.prompt for fact in facts])
    return sum(a == f.answer for a, f in zip(said, facts, strict=True)) / len(facts)


def _train_tokenizer(texts: Sequence[str], size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    make: Any = PreTrainedTokenizerFast
    fast = make(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.chat_template = _CHAT_TEMPLATE
    return fast


def _fit(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    steps: int,
    rate: float,
    scale: Scale,
    tell: Callable[[int, float], None],
) -> Any:
    """Fit a causal model to short texts, each ended by the end-of-sequence token.

    Returns:
        The optimiser, for who saves its state.
    """
    import torch

    rows = [[*tokenizer.encode(text), tokenizer.eos_token_id] for text in texts]
    shuffle = random.Random(scale.seed)  # noqa: S311 - a seeded order of examples, no secret
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda s: min((s + 1) / warm, max(0.05, (steps - s) / (steps - warm)))
    )
    model.train()
    queue: list[list[int]] = []
    for step in range(1, steps + 1):
        while len(queue) < scale.batch:
            queue += shuffle.sample(rows, len(rows))
        batch, queue = queue[: scale.batch], queue[scale.batch :]
        width = max(len(row) for row in batch)
        tokens = torch.full((len(batch), width), tokenizer.eos_token_id)
        labels = torch.full((len(batch), width), -100)
        for n, row in enumerate(batch):
            tokens[n, : len(row)] = torch.tensor(row)
            labels[n, : len(row)] = torch.tensor(row)
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        tell(step, float(loss.detach()))
    model.eval()
    return optimiser


def _write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
