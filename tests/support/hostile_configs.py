"""Hostile configurations of adapters and models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hostile_json import MANY_DIGITS, no_json, put, put_raw
from hostile_place import Damage, Hostile, Place, cases, edit


def adapter_config(place: Place) -> Path:
    return place.adapter / "adapter_config.json"


def config(place: Place) -> Path:
    return place.base / "config.json"


def generation_config(place: Place) -> Path:
    return place.base / "generation_config.json"


ADAPTER_CONFIGS: dict[str, Damage] = {
    **no_json(adapter_config),
    "a rank of 4,000 digits": put_raw(adapter_config, "r", MANY_DIGITS),
    "a rank of 2^62": put(adapter_config, r=1 << 62),
    "a rank of NaN": put_raw(adapter_config, "r", "NaN"),
    "an alpha of infinity": put_raw(adapter_config, "lora_alpha", "1e999"),
    "an alpha of 4,000 digits": put_raw(adapter_config, "lora_alpha", MANY_DIGITS),
    "a pattern that takes for ever": put(
        adapter_config,
        rank_pattern={"(a+)+$" * 3: 8, "(.*a){25}$": 8},
        alpha_pattern={"(x+x+)+y": 8},
    ),
    "targets that take for ever": put(adapter_config, target_modules="(.*.*.*)*.*.*q_projX"),
    "100,000 targets": put(adapter_config, target_modules=[f"m{n}" for n in range(100_000)]),
    "targets that are numbers": put(adapter_config, target_modules=[1, {"a": 2}]),
    "layers of 2^62": put(adapter_config, layers_to_transform=[1 << 62]),
    "a base that is a list": put(adapter_config, base_model_name_or_path=["x"]),
    "a base that is a device": put(adapter_config, base_model_name_or_path="/dev/zero"),
    "a base in the home of nobody": put(adapter_config, base_model_name_or_path="~no-one-here/x"),
    "a base with a zero byte": put(adapter_config, base_model_name_or_path="a\0b"),
    "a base of a megabyte": put(adapter_config, base_model_name_or_path="x/" * (1 << 19)),
    "a base that is an option": put(
        adapter_config, base_model_name_or_path="--upload-pack=touch x"
    ),
    "a base that clears the screen": put(adapter_config, base_model_name_or_path="\x1b[2Jx\u202ey"),
    "a revision that leads outside": put(
        adapter_config, base_model_name_or_path="a/b", revision="../../../x"
    ),
    "a revision that is a table": put(adapter_config, revision={"a": 1}),
    "a library to be imported": put(
        adapter_config, auto_mapping={"base_model_class": "Evil", "parent_library": "antigravity.x"}
    ),
    "weights to be initialised from a file": put(
        adapter_config, init_lora_weights="../../outside/secret.txt"
    ),
    "types to be imported": put(adapter_config, task_type="os.system", peft_type="os.system"),
}


def _with_code(**changes: Any) -> Damage:
    """A configuration that names code beside it."""

    def damage(place: Place) -> None:
        for folder in (place.base, place.adapter):
            for module in ("modeling_own", "configuration_own", "tokenization_own", "__init__"):
                code = f"{place.code}\nclass Own: pass\n"
                (folder / f"{module}.py").write_text(code)
        edit(config(place), **changes)

    return damage


_MAP = {
    "AutoConfig": "configuration_own.Own",
    "AutoModelForCausalLM": "modeling_own.Own",
    "AutoTokenizer": ["tokenization_own.Own", None],
}

CONFIGS: dict[str, Damage] = {
    **no_json(config),
    "code for a known type": _with_code(auto_map=_MAP),
    "code for an unknown type": _with_code(auto_map=_MAP, model_type="own", architectures=["Own"]),
    "code of another repository": _with_code(
        auto_map={"AutoModelForCausalLM": "me/other--modeling_own.Own"}, model_type="own"
    ),
    "code that leads outside": _with_code(
        auto_map={"AutoConfig": "../../../outside.Own"}, model_type="own"
    ),
    "a map of code that is a list": _with_code(auto_map=["modeling_own.Own"], model_type="own"),
    "code in a part": _with_code(text_config={"auto_map": _MAP, "model_type": "own"}),
    "code that it says is trusted": _with_code(
        auto_map=_MAP, trust_remote_code=True, model_type="own"
    ),
    "kernels of a stranger": put(config, _attn_implementation_internal="me/evil-kernel"),
    "attention of a stranger": put(config, _attn_implementation="me/evil-kernel"),
    "attention of a stranger, by its new name": put(config, attn_implementation="me/evil-kernel"),
    "experts of a stranger": put(config, _experts_implementation_internal="me/evil-kernel"),
    "a quantiser of a stranger": put(
        config, quantization_config={"quant_method": "own", "modules_to_import": "os"}
    ),
    "pipelines of a stranger": _with_code(
        custom_pipelines={"own": {"impl": "modeling_own.Own", "pt": ["AutoModel"]}}
    ),
    "a type that is a module": put(config, model_type="../../os", architectures=["os.system"]),
    "a type that is a number": put(config, model_type=7),
    "architectures that are a table": put(config, architectures={"a": 1}),
    "architectures of private names": put(config, architectures=["__import__", "__class__"]),
    "10^15 layers": put(config, num_hidden_layers=10**15),
    "10^9 layers": put(config, num_hidden_layers=10**9),
    "layers of 4,000 digits": put_raw(config, "num_hidden_layers", MANY_DIGITS),
    "layers of NaN": put_raw(config, "num_hidden_layers", "NaN"),
    "layers below zero": put(config, num_hidden_layers=-1),
    "a vocabulary of 2^60": put(config, vocab_size=1 << 60),
    "a hidden size that is a text": put(config, hidden_size="256; import os"),
    "a hidden size of 10^12": put(config, hidden_size=10**12),
    "heads of zero": put(config, num_attention_heads=0),
    "a dtype to be imported": put(config, torch_dtype="os.system", dtype="os.system"),
    "an activation to be evaluated": put(config, hidden_act="__import__('os')"),
    "labels of a million": put(config, id2label={str(n): "x" for n in range(1_000_000)}),
    "a rope without end": put(config, rope_scaling={"rope_type": "linear", "factor": 10**400}),
    "a rope of a stranger": put(config, rope_scaling={"rope_type": "os.system", "factor": []}),
}

GENERATION: dict[str, Damage] = {
    **no_json(generation_config),
    "a custom loop": put(generation_config, custom_generate="me/evil", trust_remote_code=True),
    "a compiler": put(generation_config, compile_config={"backend": "os.system"}, cache_config=[1]),
    "tokens of 4,000 digits": put_raw(generation_config, "eos_token_id", MANY_DIGITS),
    "tokens that are a table": put(generation_config, eos_token_id={"a": 1}, bos_token_id=[[[]]]),
    "a million end tokens": put(generation_config, eos_token_id=[*range(1_000_000)]),
    "a watermark to be imported": put(
        generation_config, watermarking_config={"class": "os.system"}
    ),
}

_UNREAD_KEYS = {
    "targets that take for ever", "100,000 targets", "targets that are numbers",
    "layers of 2^62", "a library to be imported",
}  # fmt: skip
"""Of adapters; what was stored counts, and what these say only concerned the training."""

_NOT_RUN = {
    "code of another repository": "has code of its own, in",
    "pipelines of a stranger": "config.json says custom_pipelines",
    "a type that is a module": "not proved that the release loads",
    "architectures of private names": "names no class|not proved|which transformers",
}

HOSTILE_CONFIGS: list[Hostile] = [
    *cases("adapter_config", ADAPTER_CONFIGS, harmless=_UNREAD_KEYS),
    *cases("config", CONFIGS, harmless=_NOT_RUN, told=_NOT_RUN),
    *cases(
        "generation_config",
        GENERATION,
        harmless={
            "a custom loop",
            "a compiler",
            "tokens of 4,000 digits",
            "tokens that are a table",
            "a watermark to be imported",
        },
        told={"a custom loop": "generation_config.json says trust_remote_code, custom_generate"},
    ),
]
