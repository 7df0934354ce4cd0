"""The names under which trainers say things about a training that may be published.

Names of ``transformers.TrainingArguments``, of TRL's configurations and of peft's ``LoraConfig``,
and those that hand-written trainers use for the same.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


METHOD = _words(
    """
    peft_type task_type r lora_alpha lora_dropout bias lora_bias target_modules
    exclude_modules target_parameters modules_to_save layers_to_transform layers_pattern
    rank_pattern alpha_pattern use_rslora use_dora init_lora_weights fan_in_fan_out
    peft_version
    """
)

TRAINING = _words(
    """
    trainer trainer_type trainer_class method training_method training_type finetuning_type
    num_train_epochs epochs num_epochs max_steps steps total_steps train_steps learning_rate
    lr lr_scheduler_type lr_scheduler warmup_ratio warmup_steps weight_decay optim optimizer
    adam_beta1 adam_beta2 adam_epsilon max_grad_norm per_device_train_batch_size
    per_device_eval_batch_size gradient_accumulation_steps gradient_checkpointing batch_size
    micro_batch_size effective_batch_size total_batch_size max_seq_length max_length
    max_prompt_length max_completion_length sequence_length seq_length packing padding_free
    neftune_noise_alpha completion_only_loss assistant_only_loss bf16 fp16 tf32 precision
    dtype mixed_precision load_in_4bit load_in_8bit quantization bnb_4bit_quant_type
    bnb_4bit_use_double_quant lora_r lora_rank lora_alpha lora_dropout target_modules
    use_rslora use_dora random_state seed data_seed chat_template_name beta loss_type
    desirable_weight undesirable_weight label_smoothing reward_weights num_generations
    temperature examples num_examples train_samples num_train_samples eval_samples
    num_eval_samples dataset_size dataset_split train_split tune_steps started_at
    finished_at timestamp training_date duration training_time
    """
)

RESULTS = _words(
    """
    loss final_loss train_loss training_loss eval_loss best_metric perplexity accuracy
    mean_token_accuracy train_runtime train_samples_per_second train_steps_per_second
    total_flos num_tokens epoch
    """
)

HARDWARE = _words(
    """
    gpu gpus gpu_name gpu_names gpu_model gpu_count num_gpus gpu_memory gpu_memory_gb
    gpu_total_memory_gb vram vram_gb max_memory_gb peak_memory_gb peak_vram_gb device
    device_name device_count world_size cuda cuda_version compute_capability cpu_count
    ram_gb
    """
)

PACKAGES = _words(
    """
    torch pytorch transformers trl peft unsloth unsloth_zoo datasets tokenizers accelerate
    bitsandbytes safetensors sentencepiece xformers flash_attn triton deepspeed axolotl
    llamafactory llama_factory python cuda numpy vllm liger_kernel uploader uploader_core
    """
)

NUMBERS_OF_A_LOG = re.compile(
    r"step|epoch|loss|learning_rate|grad_norm|entropy|num_tokens|mean_token_accuracy|kl|reward"
    r"|reward_std|train_(?:loss|runtime|samples_per_second|steps_per_second)|total_flos"
    r"|(?:rewards|logps|logits|completions)/[\w/.-]{1,40}"
    r"|eval_(?:loss|runtime|accuracy|perplexity|samples_per_second|steps_per_second|entropy|kl"
    r"|mean_token_accuracy|num_tokens|(?:rewards|logps|logits)/[\w/.-]{1,40})"
)

_FILES = re.compile(r".*\.(?:jsonl?|csv|tsv|parquet|txt|arrow|zip|gz|zst|ya?ml|xlsx?|py)", re.I)
_FOLDERS = {
    "data", "dataset", "datasets", "train", "training", "tmp", "home", "mnt", "local", "input",
}  # fmt: skip


def is_dataset(name: str) -> bool:
    """Tell whether a text can be nothing but a dataset's id on the Hub (``user/name``)."""
    owner, slash, rest = name.partition("/")
    return (
        bool(slash)
        and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}", owner) is not None
        and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}", rest) is not None
        and owner.lower() not in _FOLDERS
        and not _FILES.fullmatch(rest)
        and ".." not in name
    )
