"""What makers of sound folders share: a base, a LoRA on it, and what a trainer leaves beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sound_files import edit

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """A folder as a trainer leaves it.

    Attributes:
        folder: What the user points at.
        plugins: Formats that fit it, as ``--plugins`` takes them.
        options: Other options that its user gives.
    """

    folder: Path
    plugins: str
    options: tuple[str, ...] = ()


def load(base: str, cls: str = "AutoModelForCausalLM", **options: Any) -> Any:
    """Load a base by its name, as a training script does."""
    import torch
    import transformers

    return getattr(transformers, cls).from_pretrained(base, **{"dtype": torch.bfloat16, **options})


def tokenizer_of(base: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


def adapted(model: Any, **config: Any) -> Any:
    """Put a LoRA on a model and move its values, as training does."""
    import torch
    from peft import LoraConfig, get_peft_model

    made = get_peft_model(
        model, LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": ALL, **config})
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_((0.02 * noise).to(parameter))
    return made


def trainer_files(folder: Path, **state: object) -> None:
    """Write what transformers' Trainer leaves beside the weights of a checkpoint."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"state": {}, "param_groups": []}, folder / "optimizer.pt")
    torch.save({"last_epoch": 2}, folder / "scheduler.pt")
    torch.save({"python": None}, folder / "rng_state.pth")
    torch.save({"learning_rate": 1e-4}, folder / "training_args.bin")
    history = [{"loss": 2.5, "step": 1}, {"loss": 1.5, "step": 2}]
    edit(folder / "trainer_state.json", global_step=2, log_history=history, **state)
