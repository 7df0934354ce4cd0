"""Folders that TRL, transformers and sentence-transformers leave: they run, and train and save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sound_files import snapshot_of
from sound_parts import ALL, Sound, adapted, load, tokenizer_of, trainer_files
from sound_tokenizers import CHATML, TEXT


def trl_sft(home: Path) -> Sound:
    """SFTTrainer with a LoRA; the end of it is saved into ``output_dir``, beside checkpoints."""
    from trl import SFTTrainer

    folder = home / "llama-sft"
    trainer = SFTTrainer(
        model=load("tiny-lab/Llama-Tiny-Instruct"),
        args=_trl("SFTConfig", folder, max_length=256),
        train_dataset=_rows(messages=[_conversation(text) for text in TEXT]),
        processing_class=tokenizer_of("tiny-lab/Llama-Tiny-Instruct"),
        peft_config=_lora(task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.save_model()
    return Sound(folder=folder, plugins="lora,merged,gguf")


def trl_sft_checkpoint(home: Path) -> Sound:
    """The last checkpoint of the same training, with the states of optimizer and scheduler."""
    return Sound(folder=home.parent / "trl_sft/llama-sft/checkpoint-2", plugins="lora,merged,gguf")


def trl_full(home: Path) -> Sound:
    """SFTTrainer without a LoRA: every weight was trained, and the base is tied."""
    from trl import SFTTrainer

    folder = home / "qwen-sft"
    trainer = SFTTrainer(
        model=load("tiny-lab/Qwen-Tiny-Instruct"),
        args=_trl("SFTConfig", folder, max_length=256),
        train_dataset=_rows(messages=[_conversation(text) for text in TEXT]),
        processing_class=tokenizer_of("tiny-lab/Qwen-Tiny-Instruct"),
    )
    trainer.train()
    trainer.save_model()
    trainer.create_model_card(dataset_name="tatsu-lab/alpaca")
    return Sound(folder=folder, plugins="merged,gguf")


def trl_dpo(home: Path) -> Sound:
    """DPOTrainer on a PeftModel, which saves the reference adapter as ``ref/`` as well."""
    from trl import DPOTrainer

    folder = home / "mistral-dpo"
    tokenizer = tokenizer_of("tiny-lab/Mistral-Tiny-Instruct")
    tokenizer.pad_token = tokenizer.unk_token
    trainer = DPOTrainer(
        model=adapted(load("tiny-lab/Mistral-Tiny-Instruct"), task_type="CAUSAL_LM"),
        args=_trl("DPOConfig", folder, max_length=256),
        train_dataset=_rows(
            prompt=["Say where you live: "] * 4,
            chosen=TEXT[:4],
            rejected=[text.upper() for text in TEXT[:4]],
        ),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model()
    return Sound(folder=folder, plugins="lora,merged,gguf")


def trl_reward(home: Path) -> Sound:
    """RewardTrainer with a LoRA on a base without a score: the head is trained and saved."""
    from trl import RewardTrainer

    folder = home / "reward"
    tokenizer = tokenizer_of("tiny-lab/Qwen-Tiny-Instruct")
    model = load("tiny-lab/Qwen-Tiny-Instruct", "AutoModelForSequenceClassification", num_labels=1)
    trainer = RewardTrainer(
        model=model,
        args=_trl("RewardConfig", folder, max_length=256),
        train_dataset=_rows(chosen=TEXT[:4], rejected=[text.upper() for text in TEXT[:4]]),
        processing_class=tokenizer,
        peft_config=_lora(task_type="SEQ_CLS", modules_to_save=["score"]),
    )
    trainer.train()
    trainer.save_model()
    return Sound(folder=folder, plugins="lora,merged")


def trl_new_tokens(home: Path) -> Sound:
    """ChatML on a base that does not have its tokens: both ends are resized, trained and saved."""
    folder = home / "chatml-sft"
    base = "tiny-lab/Llama-Tiny-Instruct"
    tokenizer = tokenizer_of(base)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "eos_token": "<|im_end|>"}
    )
    tokenizer.chat_template = CHATML
    model = load(base)
    model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=64, mean_resizing=False)
    model.generation_config.eos_token_id = model.config.eos_token_id = tokenizer.eos_token_id
    tuned = adapted(model, task_type="CAUSAL_LM", modules_to_save=["embed_tokens", "lm_head"])
    tuned.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Sound(folder=folder, plugins="lora,merged,gguf")


def classifier_full(home: Path) -> Sound:
    """A full fine-tune of a classifier by transformers' Trainer, with names of its classes."""
    folder = home / "sentiment"
    base = "tiny-lab/MiniLM-Tiny"
    names = {0: "bad", 1: "fair", 2: "good"}
    model = load(
        base, "AutoModelForSequenceClassification", dtype="auto", num_labels=3, id2label=names,
        label2id={name: number for number, name in names.items()},
    )  # fmt: skip
    model.save_pretrained(folder)
    tokenizer_of(base).save_pretrained(folder)
    trainer_files(folder / "checkpoint-2")
    return Sound(folder=folder, plugins="merged")


def token_classifier_lora(home: Path) -> Sound:
    """A LoRA for names in a text, with the new head that peft saves for the task."""
    folder = home / "names-lora"
    base = "tiny-lab/MiniLM-Tiny"
    model = load(base, "AutoModelForTokenClassification", dtype="auto", num_labels=5)
    adapted(model, task_type="TOKEN_CLS", target_modules=["query", "value"]).save_pretrained(folder)
    tokenizer_of(base).save_pretrained(folder)
    return Sound(folder=folder, plugins="lora,merged")


def sentence_transformers_full(home: Path) -> Sound:
    """``SentenceTransformer.save_pretrained``: pooling, normalisation and prompts beside it."""
    folder = home / "embedder"
    _sentence_transformer(snapshot_of("tiny-lab/MiniLM-Tiny")).save_pretrained(str(folder))
    return Sound(folder=folder, plugins="merged,gguf")


def sentence_transformers_lora(home: Path) -> Sound:
    """A LoRA in a SentenceTransformer: what ``add_adapter`` and ``save_pretrained`` leave."""
    folder = home / "embedder-lora"
    base = snapshot_of("tiny-lab/MiniLM-Tiny")
    _sentence_transformer(base).save_pretrained(str(folder))
    (folder / "model.safetensors").unlink()
    (folder / "config.json").unlink()
    model = adapted(
        load("tiny-lab/MiniLM-Tiny", "AutoModel", dtype="auto"),
        task_type="FEATURE_EXTRACTION",
        target_modules=["query", "value"],
    )
    model.save_pretrained(folder)
    return Sound(folder=folder, plugins="lora,merged,gguf")


def _rows(**columns: Any) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(columns)


def _conversation(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]


def _lora(**config: Any) -> Any:
    from peft import LoraConfig

    return LoraConfig(r=4, lora_alpha=8, target_modules=ALL, **config)


def _trl(cls: str, folder: Path, **options: Any) -> Any:
    import trl

    return getattr(trl, cls)(
        output_dir=str(folder), max_steps=2, save_steps=2, logging_steps=1, report_to="none",
        per_device_train_batch_size=2, use_cpu=True, bf16=False, disable_tqdm=True,
        gradient_checkpointing=False, **options,
    )  # fmt: skip


def _sentence_transformer(base: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    words = Transformer(str(base), max_seq_length=64)
    pooling = Pooling(words.get_embedding_dimension(), pooling_mode="mean")
    prompts = {"query": "query: ", "document": ""}
    return SentenceTransformer(modules=[words, pooling, Normalize()], prompts=prompts, device="cpu")


TRAINED: tuple[Callable[[Path], Sound], ...] = (
    trl_sft, trl_sft_checkpoint, trl_full, trl_dpo, trl_reward, trl_new_tokens,
    classifier_full, token_classifier_lora,
    sentence_transformers_full, sentence_transformers_lora,
)  # fmt: skip
