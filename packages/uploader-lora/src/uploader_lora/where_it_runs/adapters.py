"""Which engines load a LoRA adapter on its base, from its configuration and headers.

Read in the engines' sources; none of them was run.
"""

from __future__ import annotations

from collections.abc import Iterator

from uploader_lora.adapter import Adapter
from uploader_lora.config import AdapterConfig
from uploader_lora.where_it_runs.described import Described
from uploader_lora.where_it_runs.verdicts import Verdict, verdict

_MERGE = "release `merged-16bit` for it"
_SERVING = "release `lora-serving` for it"
_NEAR = f"{_MERGE}, or `lora-serving-lossy`, which is near it"
_DORA = "DoRA is not supported"
_RSLORA = "it scales by alpha / r, and not by alpha / sqrt(r) as rsLoRA does"
_ONE_SCALE = "it knows one rank and one alpha for all modules"
_BEGUN = "it takes no adapter that was initialised by"
_MENDED = (_RSLORA, _ONE_SCALE, _BEGUN)
"""Reasons that ``lora-serving`` does away with."""

_RANKS = (16, 32, 64, 128, 256, 320, 512)
"""``MaxLoRARanks`` of vllm/config/lora.py; 16 without an option."""

_INITIAL = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""``init_lora_weights`` that vLLM takes besides true and false
(``PEFTHelper._init_is_supported``)."""


def of_adapter(
    adapter: Adapter, base: Described, trained: Adapter | None = None
) -> tuple[Verdict, ...]:
    """Return a verdict for each engine.

    Args:
        adapter: Read from its folder.
        base: Its base model, as far as that is known.
        trained: The adapter that it was made from, which other formats would be made from as well;
            None for one that was trained itself.
    """
    gguf = "gguf-lora" if _is_plain(trained or adapter) else "gguf"
    other = f"release `{gguf}` for it"
    return (
        verdict("transformers", "with", needs="peft"),
        _judged("vLLM", list(_vllm(adapter)), base, _rank_option(adapter)),
        _judged("SGLang", list(_sglang(adapter)), base),
        _judged("TGI", list(_tgi(adapter)), base),
        verdict("llama.cpp", "not", because="it reads GGUF", instead=other),
        verdict("Ollama", "not", because="it reads GGUF", instead=other),
        verdict(
            "MLX",
            "not",
            because="mlx-lm's adapters have other names, shapes and keys than PEFT's",
            instead="release `mlx-lora` or `mlx` for it",
        ),
    )


def _is_plain(adapter: Adapter) -> bool:
    """Return whether an adapter is nothing but low-rank products, which GGUF's adapters hold."""
    config = adapter.config
    return not (
        config.use_dora or config.lora_bias or config.target_parameters
        or adapter.replacements or adapter.token_rows or list(_beyond_lora(config))
    )  # fmt: skip


def _judged(engine: str, reasons: list[str], base: Described, option: str = "") -> Verdict:
    if reasons:
        instead = _MERGE
        if all(reason.startswith(_MENDED) for reason in reasons):
            instead = _SERVING
        elif all(reason.startswith((*_MENDED, _DORA)) for reason in reasons):
            instead = _NEAR
        return verdict(engine, "not", because="; ".join(reasons), instead=instead)
    missing = base.unknown_to(engine)
    if missing:
        return verdict(engine, "unknown", because=missing)
    return verdict(engine, "with", needs=option) if option else verdict(engine, "runs")


def highest_rank(adapter: Adapter) -> int:
    """Return the highest rank that the configuration names; what engines go by."""
    return max(adapter.config.r, *adapter.config.rank_pattern.values(), 0)


def _rank_option(adapter: Adapter) -> str:
    rank = highest_rank(adapter)
    if rank <= _RANKS[0]:
        return ""
    return f"--max-lora-rank {next((allowed for allowed in _RANKS if rank <= allowed), rank)}"


def _vllm(adapter: Adapter) -> Iterator[str]:
    """Yield what vLLM refuses.

    ``PEFTHelper._validate_features`` and ``validate_legal`` of vllm/lora/peft_helper.py,
    ``parse_fine_tuned_lora_name`` of vllm/lora/utils.py.
    """
    config = adapter.config
    saved = [name for name in config.modules_to_save if name not in ("classifier", "score")]
    if saved:
        yield f"it has modules that are stored whole ({', '.join(saved)})"
    if config.lora_bias or config.bias != "none":
        yield "biases are not supported"
    how = config.raw.get("init_lora_weights")
    if config.initialisation is None and isinstance(how, str) and how.lower() not in _INITIAL:
        yield f"{_BEGUN} {how}"
    if highest_rank(adapter) > _RANKS[-1]:
        yield f"ranks above {_RANKS[-1]} are not supported"
    yield from _beyond_lora(config)
    yield from _ends(adapter)


def _sglang(adapter: Adapter) -> Iterator[str]:
    """Yield what SGLang refuses, leaves out, or scales in another way without a word.

    ``LoRAManager.validate_new_adapter`` of sglang/srt/lora/lora_manager.py, ``LoRAAdapter`` of
    lora.py beside it.
    """
    if adapter.config.use_rslora:
        yield _RSLORA
    yield from _left_out(adapter)
    yield from _beyond_lora(adapter.config)
    yield from _ends(adapter, low_rank=False)


def _tgi(adapter: Adapter) -> Iterator[str]:
    """Yield what ``LoraConfig`` of text_generation_server/adapters/lora.py has no place for."""
    yield from _left_out(adapter)
    yield from _beyond_lora(adapter.config)
    yield from _ends(adapter)


def _left_out(adapter: Adapter) -> Iterator[str]:
    config = adapter.config
    if config.rank_pattern or config.alpha_pattern:
        yield _ONE_SCALE
    if any(full.reason == "modules_to_save" for full in adapter.replacements):
        yield "it leaves out modules that are stored whole"
    if config.lora_bias or config.bias != "none":
        yield "it leaves out biases"


def _beyond_lora(config: AdapterConfig) -> Iterator[str]:
    if config.use_dora:
        yield _DORA
    if config.initialisation is not None:
        yield f"{config.initialisation} changed the base's weights"
    if config.layer_replication is not None:
        yield "replicated layers are not supported"


def _ends(adapter: Adapter, *, low_rank: bool = True) -> Iterator[str]:
    """Yield what is at the ends of a model: embeddings, head, and fused experts.

    Args:
        adapter: The adapter.
        low_rank: Whether low-rank changes of embeddings and head count; vLLM takes them for few
            architectures.
    """
    if adapter.token_rows or adapter.config.trainable_tokens:
        yield "rows of the embedding that were trained by themselves are not supported"
    if any(full.reason in ("embedding", "base_layer") for full in adapter.replacements):
        yield "the embedding is stored whole, which is left out or refused"
    if low_rank and any(_is_end(update.module) for update in adapter.updates):
        yield "changes of embedding or head are loaded for few architectures only"
    if adapter.config.target_parameters:
        yield "adapters of fused experts (target_parameters) were not looked at"


def _is_end(module: str) -> bool:
    name = module.rpartition(".")[2]
    return "embed" in name or name in ("lm_head", "wte", "output")
