"""Folders of trainers that need a GPU or an environment of their own, as their code writes them.

The docstring of each function names the place. Weights are saved by peft and transformers.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from sound_files import edit, snapshot_of
from sound_parts import Sound, adapted, load, tokenizer_of, trainer_files

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


LAYOUTS: tuple[Callable[[Path], Sound], ...] = (
    unsloth_lora, unsloth_merged, unsloth_vision,
    axolotl_lora, axolotl_full,
    llama_factory_lora, llama_factory_export,
    ms_swift_lora, ms_swift_full, ms_swift_vision, ms_swift_embedding,
)  # fmt: skip
