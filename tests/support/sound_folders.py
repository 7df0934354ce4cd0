"""Folders that nothing is wrong with, as trainers leave them: ``python sound_folders.py FOLDER``.

TRL and sentence-transformers train and save for real. What axolotl, LLaMA-Factory, ms-swift and
Unsloth put beside peft's and transformers' own files is written as their code writes it; the
function's docstring names the place. Below FOLDER are then ``hub/``, a cache of the Hub with the
base models in it, ``home/`` with one folder for each trainer, and ``folders.json``: for each name
the folder, the plugins that fit it, and what else the command needs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sound_bases import BASES, CHATML, TEXT, snapshot_of

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
AXOLOTL_CARD = """---
library_name: peft
base_model: {base}
tags:
- axolotl
- base_model:adapter:{base}
- lora
- transformers
datasets:
- tatsu-lab/alpaca
pipeline_tag: text-generation
model-index:
- name: outputs/lora-out
  results: []
---

<!-- This model card has been generated automatically according to the information the Trainer had
access to. You should probably proofread and complete it, then remove this comment. -->

<details><summary>See axolotl config</summary>

axolotl version: `0.13.0`
```yaml
base_model: {base}
adapter: lora
```

</details><br>

# outputs/lora-out

This model is a fine-tuned version of [{base}](https://huggingface.co/{base}).
"""
UNSLOTH_CARD = """---
base_model: {base}
tags:
- text-generation-inference
- transformers
- unsloth
- llama
license: apache-2.0
language:
- en
---

# Uploaded finetuned  model

- **Developed by:** me
- **License:** apache-2.0
- **Finetuned from model :** {base}
"""


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


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None takes a key out."""
    data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    data = {k: v for k, v in {**data, **changes}.items() if v is not None}
    path.write_text(json.dumps(data, indent=2), "utf-8")


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


# ---- TRL and sentence-transformers: they run -------------------------------------------------


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


# ---- Layouts of trainers that need a GPU or an environment of their own ------------------------


def unsloth_lora(home: Path) -> Sound:
    """``model.save_pretrained("lora_model")`` after QLoRA, and the tokenizer's.

    The adapter names the 4-bit base that Unsloth loads for ``tiny-lab/Llama-Tiny-Instruct``, so its
    user gives ``--base`` (unsloth/save.py ``MODEL_CARD``, unsloth_zoo/hf_utils.py
    ``fix_lora_auto_mapping``).
    """
    folder = home / "lora_model"
    base = "tiny-lab/Llama-Tiny-Instruct"
    tokenizer = tokenizer_of(base)
    tokenizer.pad_token = "<|finetune_right_pad_id|>"
    tokenizer.padding_side = "left"
    adapted(load(base), task_type="CAUSAL_LM").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    edit(
        folder / "adapter_config.json",
        base_model_name_or_path="unsloth/llama-tiny-instruct-unsloth-bnb-4bit",
        auto_mapping={
            "base_model_class": "LlamaForCausalLM",
            "parent_library": "transformers.models.llama.modeling_llama",
            "unsloth_fixed": True,
        },
    )
    (folder / "README.md").write_text(UNSLOTH_CARD.format(base=base))
    return Sound(folder=folder, plugins="lora,merged,gguf", options=("--base", base))


def unsloth_merged(home: Path) -> Sound:
    """``save_pretrained_merged("model", tokenizer)``: a model of 16 bits, and Unsloth's card.

    unsloth_zoo/saving_utils.py: config.json loses ``transformers_version``; the sentencepiece model
    and ``added_tokens_decoder`` are kept (``_preserve_sentencepiece_tokenizer_assets``).
    """
    folder = home / "model"
    base = "tiny-lab/Mistral-Tiny-Instruct"
    tokenizer = tokenizer_of(base)
    model = adapted(load(base), task_type="CAUSAL_LM").merge_and_unload()
    model.config.update({"unsloth_version": "2026.8.4"})
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shutil.copyfile(snapshot_of(base) / "tokenizer.model", folder / "tokenizer.model")
    edit(folder / "config.json", transformers_version=None, _name_or_path=base)
    decoder = {
        str(number): {
            key: getattr(token, key)
            for key in ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
        }
        for number, token in tokenizer.added_tokens_decoder.items()
    }
    edit(folder / "tokenizer_config.json", added_tokens_decoder=decoder)
    (folder / "README.md").write_text(UNSLOTH_CARD.format(base=base))
    return Sound(folder=folder, plugins="merged,gguf")


def unsloth_vision(home: Path) -> Sound:
    """A LoRA on the language part of Gemma 3 with eyes, named by a regular expression."""
    folder = home / "gemma_vision"
    base = "tiny-lab/Gemma-Tiny-Vision"
    from transformers import AutoProcessor

    targets = (
        r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)"
        r".*?(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj).*?)"
    )
    model = adapted(load(base, "AutoModelForImageTextToText"), target_modules=targets)
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(base).save_pretrained(folder)
    edit(
        folder / "adapter_config.json",
        auto_mapping={
            "base_model_class": "Gemma3ForConditionalGeneration",
            "parent_library": "transformers.models.gemma3.modeling_gemma3",
            "unsloth_fixed": True,
        },
    )
    return Sound(folder=folder, plugins="lora,merged,gguf")


def axolotl_lora(home: Path) -> Sound:
    """``output_dir`` of axolotl after QLoRA.

    axolotl/train.py ``save_initial_configs``: the base's config.json (with how it was loaded) lies
    beside the adapter; core/trainers/base.py: ``tokens_state.json`` in checkpoints.
    """
    folder = home / "outputs" / "lora-out"
    base = "tiny-lab/Mistral-Tiny-Instruct"
    model = adapted(load(base), task_type="CAUSAL_LM", lora_dropout=0.05)
    tokenizer = tokenizer_of(base)
    tokenizer.pad_token = tokenizer.eos_token
    for place in (folder, folder / "checkpoint-2"):
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
    quantization = {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "bfloat16",
    }  # fmt: skip
    model.get_base_model().config.save_pretrained(folder)
    edit(folder / "config.json", quantization_config=quantization, use_cache=False)
    trainer_files(folder / "checkpoint-2")
    edit(folder / "checkpoint-2" / "tokens_state.json", total=512, trainable=300)
    (folder / "README.md").write_text(AXOLOTL_CARD.format(base=base))
    (folder / "debug.log").write_text("[INFO] [axolotl.train] Training completed!\n")
    return Sound(folder=folder, plugins="lora,merged,gguf")


def axolotl_full(home: Path) -> Sound:
    """``output_dir`` of axolotl after a full fine-tune that was saved in shards."""
    folder = home / "outputs" / "out"
    base = "tiny-lab/Llama-Tiny-Instruct"
    model = load(base)
    model.config.use_cache = False
    model.save_pretrained(folder, max_shard_size="200KB")
    tokenizer_of(base).save_pretrained(folder)
    trainer_files(folder / "checkpoint-2")
    model.save_pretrained(folder / "checkpoint-2")
    card = AXOLOTL_CARD.replace("library_name: peft", "library_name: transformers")
    (folder / "README.md").write_text(card.format(base=base))
    (folder / "debug.log").write_text("[INFO] [axolotl.train] Training completed!\n")
    return Sound(folder=folder, plugins="merged,gguf")


def llama_factory_lora(home: Path) -> Sound:
    """``saves/<model>/lora/sft`` of LLaMA-Factory.

    src/llamafactory/train/sft/workflow.py, train/callbacks.py and extras/constants.py
    (``trainer_log.jsonl``, ``training_args.yaml``); the processor of a text model is its tokenizer.
    """
    folder = home / "saves" / "qwen-tiny" / "lora" / "sft"
    base = "tiny-lab/Qwen-Tiny-Instruct"
    model = adapted(load(base), task_type="CAUSAL_LM")
    tokenizer = tokenizer_of(base)
    tokenizer.padding_side = "right"
    for place in (folder, folder / "checkpoint-2"):
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
    trainer_files(folder / "checkpoint-2")
    for name in ("all_results", "train_results"):
        edit(folder / f"{name}.json", epoch=3.0, train_loss=1.9, total_flos=1.0)
    shutil.copyfile(folder / "checkpoint-2/trainer_state.json", folder / "trainer_state.json")
    shutil.copyfile(folder / "checkpoint-2/training_args.bin", folder / "training_args.bin")
    (folder / "trainer_log.jsonl").write_text('{"current_steps": 2, "loss": 1.5}\n')
    (folder / "training_args.yaml").write_text("stage: sft\nfinetuning_type: lora\n")
    (folder / "llamaboard_config.yaml").write_text("top.model_name: custom\n")
    (folder / "training_loss.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "README.md").write_text(
        "---\nlibrary_name: peft\nlicense: other\n"
        f"base_model: {base}\ntags:\n- llama-factory\n- lora\n- generated_from_trainer\n"
        "model-index:\n- name: sft\n  results: []\n---\n\n# sft\n"
    )
    return Sound(folder=folder, plugins="lora,merged,gguf")


def llama_factory_export(home: Path) -> Sound:
    """``llamafactory-cli export``: the merged model and an Ollama ``Modelfile``.

    src/llamafactory/train/tuner.py ``export_model``.
    """
    folder = home / "output" / "qwen_lora_sft"
    base = "tiny-lab/Qwen-Tiny-Instruct"
    model = adapted(load(base), task_type="CAUSAL_LM").merge_and_unload()
    model.save_pretrained(folder, max_shard_size="5GB")
    tokenizer = tokenizer_of(base)
    tokenizer.padding_side = "left"
    tokenizer.init_kwargs["padding_side"] = "left"
    tokenizer.save_pretrained(folder)
    (folder / "Modelfile").write_text(
        '# ollama modelfile auto-generated by llamafactory\n\nFROM .\n\nTEMPLATE """x"""\n'
    )
    return Sound(folder=folder, plugins="merged,gguf")


def ms_swift_lora(home: Path) -> Sound:
    """``output/<model>/v0-<time>/checkpoint-2`` of ms-swift: no tokenizer beside the adapter.

    swift/trainers/mixin.py ``_save``, swift/tuners/peft.py ``additional_config.json``.
    """
    version = home / "output" / "Qwen-Tiny-Instruct" / "v0-20260822-101500"
    folder = version / "checkpoint-2"
    base = "tiny-lab/Qwen-Tiny-Instruct"
    adapted(load(base), task_type="CAUSAL_LM").save_pretrained(folder)
    trainer_files(folder, best_model_checkpoint=str(folder))
    edit(folder / "additional_config.json", lorap_emb_lr=1e-6)
    for place in (version, folder):
        edit(place / "args.json", model=base, tuner_type="lora", swift_version="4.2.0")
    (version / "logging.jsonl").write_text('{"loss": 1.5}\n')
    return Sound(folder=folder, plugins="lora,merged,gguf")


def ms_swift_full(home: Path) -> Sound:
    """A full checkpoint of ms-swift, whose generation settings are the base's."""
    folder = home / "output" / "Llama-Tiny" / "v1-20260822-111500" / "checkpoint-2"
    base = "tiny-lab/Llama-Tiny-Instruct"
    load(base).save_pretrained(folder)
    tokenizer_of(base).save_pretrained(folder)
    trainer_files(folder)
    edit(folder / "args.json", model=base, tuner_type="full", swift_version="4.2.0")
    return Sound(folder=folder, plugins="merged,gguf")


def ms_swift_vision(home: Path) -> Sound:
    """A LoRA of ms-swift on the language part of Qwen2-VL; the vision tower is frozen."""
    folder = home / "output" / "Qwen2-VL" / "v0-20260822-121500" / "checkpoint-2"
    base = "tiny-lab/Qwen2-VL-Tiny"
    targets = (
        r"^(model.language_model(?=\.).*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj"
        r"|down_proj))$"
    )
    model = load(base, "Qwen2VLForConditionalGeneration")
    adapted(model, target_modules=targets, task_type="CAUSAL_LM").save_pretrained(folder)
    trainer_files(folder)
    edit(folder / "additional_config.json", lorap_emb_lr=1e-6)
    edit(folder / "args.json", model=base, tuner_type="lora", freeze_vit=True)
    return Sound(folder=folder, plugins="lora,merged,gguf")


def ms_swift_embedding(home: Path) -> Sound:
    """A full embedding model of ms-swift, which copies the files of sentence-transformers.

    ``additional_saved_files`` in swift/model/models/qwen.py.
    """
    folder = home / "output" / "Qwen-Tiny-Embedding" / "v0-20260822-131500" / "checkpoint-2"
    base = "tiny-lab/Qwen-Tiny-Embedding"
    load(base, "AutoModel").save_pretrained(folder)
    tokenizer_of(base).save_pretrained(folder)
    for name in ("config_sentence_transformers.json", "modules.json"):
        shutil.copyfile(snapshot_of(base) / name, folder / name)
    shutil.copytree(snapshot_of(base) / "1_Pooling", folder / "1_Pooling")
    trainer_files(folder)
    edit(folder / "args.json", model=base, task_type="embedding", tuner_type="full")
    return Sound(folder=folder, plugins="merged,gguf")


MAKERS: tuple[Callable[[Path], Sound], ...] = (
    trl_sft, trl_sft_checkpoint, trl_full, trl_dpo, trl_reward, trl_new_tokens,
    classifier_full, token_classifier_lora,
    sentence_transformers_full, sentence_transformers_lora,
    unsloth_lora, unsloth_merged, unsloth_vision,
    axolotl_lora, axolotl_full,
    llama_factory_lora, llama_factory_export,
    ms_swift_lora, ms_swift_full, ms_swift_vision, ms_swift_embedding,
)  # fmt: skip


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


def main(root: Path) -> None:
    """Make the bases, then every folder."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for make_base in BASES:
        make_base()
    made = {}
    for make in MAKERS:
        home = root / "home" / make.__name__
        home.mkdir(parents=True)
        os.chdir(home)
        sound = make(home)
        made[make.__name__] = {
            "folder": str(sound.folder),
            "plugins": sound.plugins,
            "options": sound.options,
        }
    (root / "folders.json").write_text(json.dumps(made, indent=2), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
