"""The flags of ``adapter_config.json``, of PEFT's LoRA, by what they mean here.

A flag that is skipped makes a model that is subtly wrong, so there are four groups: flags with a
meaning here, flags that only concerned training, flags that are refused by name, and everything
else, which is refused unless it is switched off.
"""

from __future__ import annotations

READ = {
    "alpha_pattern",
    "base_model_name_or_path",
    "bias",
    "ensure_weight_tying",
    "fan_in_fan_out",
    "init_lora_weights",
    "layer_replication",
    "lora_B_layout",
    "lora_alpha",
    "lora_bias",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "r",
    "rank_pattern",
    "revision",
    "target_modules",
    "target_parameters",
    "task_type",
    "trainable_token_indices",
    "use_dora",
    "use_rslora",
}
"""They have a meaning: what an AdapterConfig is made of."""

TRAINING_ONLY = {
    "auto_mapping",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "merge_weights",
    "modules_to_tie",
    "qalora_group_size",
    "runtime_config",
    "target_modules_to_tie",
}
"""How training chose modules, initialised or regularised them.

What was stored is what counts: merging follows the keys of the file and never resolves targets
again.
"""

REFUSED = {
    "alora_invocation_tokens": "an activated LoRA works on some tokens only and cannot be merged",
    "arrow_config": "Arrow routes between adapters at run time",
    "kasa_config": "KaSA also changes the base weights",
    "megatron_config": "adapters of Megatron's parallel layers are not read",
    "monteclora_config": "Monteclora samples weights at run time",
    "use_bdlora": "BD-LoRA stores block-diagonal matrices",
    "use_qalora": "QALoRA pools the inputs of quantised layers",
    "velora_config": "VeLoRA is not verified against its own merge",
}
"""Refused by name, and why."""

NOT_MERGED = {
    *("ADAPTION_PROMPT", "CARTRIDGE", "CPT", "MULTITASK_PROMPT_TUNING", "POLY", "PREFIX_TUNING"),
    *("PROMPT_TUNING", "P_TUNING", "XLORA"),
}
"""Types of PEFT that add inputs or routes and no change of weights."""


def is_off(value: object) -> bool:
    """Return whether a flag has a value that switches it off, whatever it is."""
    return value is None or value is False or value in ("", [], {}, 0)
