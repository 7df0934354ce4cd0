"""What follows from the version of an Ollama: templates, architectures, built-in renderers."""

from __future__ import annotations

import re

from uploader_ollama.model.recipe import OLDEST

_DEVELOPMENT = (0, 0, 0)
"""What a build from source calls itself (``version/version.go``)."""

_SINCE_OLDEST = frozenset(
    """
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bert bitnet bloom chameleon
    chatglm codeshell cogvlm cohere2 command-r dbrx deci deepseek deepseek2 dots1 dream ernie4_5
    ernie4_5-moe exaone exaone4 falcon falcon-h1 gemma gemma-embedding gemma2 gemma3 gemma3n glm4
    glm4moe gpt-oss gpt2 gptj gptneox granite granitehybrid granitemoe grok grovemoe hunyuan-dense
    hunyuan-moe internlm2 jais jamba jina-bert-v2 jina-bert-v3 lfm2 lfm2moe llada llada-moe llama
    llama4 mamba mamba2 minicpm minicpm3 minimax-m2 mistral3 mpt nemotron nemotron_h nemotron_h_moe
    neo-bert nomic-bert nomic-bert-moe olmo olmo2 olmoe openelm orion pangu-embedded phi2 phi3
    phimoe plamo plamo2 plm qwen qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe
    refact rnd1 rwkv6 rwkv6qwen2 rwkv7 seed_oss smallthinker smollm3 solar stablelm starcoder
    starcoder2 t5 t5encoder wavtokenizer-dec xverse
    """.split()  # noqa: SIM905 - 110 names
)
"""Architectures of llama.cpp at commit ec98e2002, which Ollama 0.24.0, the last before 0.30.0,
carried (``llama/llama.cpp/src/llama-arch.cpp``). Later ones came with llama.cpp's builds,
``b9452`` in 0.30.0 up to ``b10488`` in 0.33.0 (``LLAMA_CPP_VERSION``)."""

_RENDERERS = {
    "gemma4": "gemma4",
    "laguna": "laguna",
    "nemotron_h": "nemotron-3-nano",
    "nemotron_h_moe": "nemotron-3-nano",
    "nemotron_h_omni": "nemotron-3-nano",
}
"""Architectures for which ``createModel`` sets RENDERER and PARSER itself
(``server/create.go``)."""


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Read ``0.30.6`` or ``0.33.0-rc2``; None for what is no version."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def is_older(version: str, than: str = OLDEST) -> bool:
    """Return whether a version is older; one built from source, or none, counts as new."""
    ours, theirs = parse_version(version), parse_version(than)
    return ours is not None and theirs is not None and ours != _DEVELOPMENT and ours < theirs


def is_surely_known(architecture: str) -> bool:
    """Return whether every Ollama that renders templates knows an architecture."""
    return architecture in _SINCE_OLDEST


def renderer_of(architecture: str) -> str | None:
    """Return the built-in renderer that ``ollama create`` puts in place of the template."""
    return _RENDERERS.get(architecture)
