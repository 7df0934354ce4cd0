"""Which engines load a full model, by the form of its files and its architecture."""

from __future__ import annotations

from typing import Literal

from uploader_lora.where_it_runs.described import Described
from uploader_lora.where_it_runs.names import mends
from uploader_lora.where_it_runs.verdicts import Verdict, verdict

Form = Literal["16-bit", "bitsandbytes", "gguf", "gguf-lora", "compressed", "mlx", "mlx-lora"]

_FULL = "release `merged-16bit` for it"
_RENAMED = "release `merged-16bit` with `--merged-names original`"
_GGUF = "release `gguf` for it"
_LORA = "release `lora` for it"
_MLX = "release `mlx` for it"

_PACKAGES = {
    ("transformers", "bitsandbytes"): "bitsandbytes, accelerate",
    ("transformers", "compressed"): "compressed-tensors",
    # Out of vLLM's tree: vllm#39583, vllm#43529.
    ("vLLM", "bitsandbytes"): "vllm-bnb-plugin",
}
"""What an engine needs besides, by engine and form."""

_UNTRIED = ("TGI", "MLX")
"""Engines whose names of tensors nobody looked at."""

_REFUSED_BY_SGLANG = ("mxfp4",)
"""Kinds for whose dense layers its ``CompressedTensorsConfig`` has no scheme
(sglang/srt/layers/quantization/compressed_tensors/compressed_tensors.py). vLLM's has one for each
that is made here."""


def of_model(form: Form, model: Described) -> tuple[Verdict, ...]:
    """Return a verdict for each engine.

    Args:
        form: Of the files.
        model: Its architecture.
    """
    if form == "gguf":
        return _of_gguf(model)
    if form == "gguf-lora":
        return _of_gguf_adapter()
    if form in ("mlx", "mlx-lora"):
        return _of_mlx(_FULL if form == "mlx" else _LORA)
    return (
        _transformers(form, model),
        _by_architecture("vLLM", form, model),
        _sglang(form, model),
        _tgi(form, model),
        verdict("llama.cpp", "not", because="it reads GGUF", instead=_GGUF),
        verdict("Ollama", "not", because="it runs GGUF", instead=_GGUF),
        _mlx(form, model),
    )


def _loaded(engine: str, form: Form) -> Verdict:
    package = _PACKAGES.get((engine, form))
    return verdict(engine, "with", needs=package) if package else verdict(engine, "runs")


def _transformers(form: Form, model: Described) -> Verdict:
    """A 16-bit model is proved to load in it; what is asked here is what a form does to names."""
    if model.unread_by("transformers"):
        why = "it holds the experts of a layer in one parameter, and these are single"
        return verdict("transformers", "not", because=why, instead=_FULL)
    return _loaded("transformers", form)


def _by_architecture(engine: str, form: Form, model: Described) -> Verdict:
    unread = model.unread_by(engine)
    if unread:
        instead = _renamed(form) if mends(model.architectures) else ""
        return verdict(engine, "not", because=unread, instead=instead)
    missing = model.unknown_to(engine) or (model.in_doubt() if engine in _UNTRIED else "")
    return verdict(engine, "unknown", because=missing) if missing else _loaded(engine, form)


def _renamed(form: Form) -> str:
    return _RENAMED if form == "16-bit" else f"{_RENAMED}, and make this one of that folder"


def _sglang(form: Form, model: Described) -> Verdict:
    if model.scheme in _REFUSED_BY_SGLANG:
        return verdict("SGLang", "not", because=f"it has no code for {model.scheme}", instead=_FULL)
    return _by_architecture("SGLang", form, model)


def _tgi(form: Form, model: Described) -> Verdict:
    """Hugging Face keeps it in maintenance only since January 2026."""
    if form != "16-bit":
        return verdict("TGI", "unknown", because="nobody looked at it with this form")
    return _by_architecture("TGI", form, model)


def _mlx(form: Form, model: Described) -> Verdict:
    """``load_model`` of mlx_lm/utils.py."""
    if form == "bitsandbytes":
        return verdict("MLX", "not", because="it does not read bitsandbytes", instead=_MLX)
    if form == "compressed":
        why = "it takes compressed-tensors with other groups and scales than these"
        return verdict("MLX", "not", because=why, instead=_MLX)
    return _by_architecture("MLX", form, model)


def _of_gguf(model: Described) -> tuple[Verdict, ...]:
    again = "it makes 16 bits of it again, for some architectures"
    # https://github.com/ollama/ollama/issues/5245
    split = "it loads no file that is split"
    whole = "release `gguf` without `--gguf-split-size` for it"
    ollama = verdict("Ollama", "runs")
    if model.split:
        ollama = verdict("Ollama", "not", because=split, instead=whole)
    return (
        verdict("transformers", "not", because=again, instead=_FULL),
        # Out of its tree since 0.24: vllm#39583, vllm#39612.
        verdict("vLLM", "with", needs="vllm-gguf-plugin"),
        verdict("SGLang", "unknown", because="nobody looked at which architectures it takes"),
        verdict("TGI", "not", because="its default engine does not read GGUF", instead=_FULL),
        verdict("llama.cpp", "runs"),
        ollama,
        verdict("MLX", "not", because="mlx-lm does not read GGUF", instead=_MLX),
    )


def _of_mlx(instead: str) -> tuple[Verdict, ...]:
    """A model is proved to be what mlx-lm asks for; its names and codes are nobody else's.

    Args:
        instead: What to release for engines that read safetensors.
    """
    others = ("transformers", "vLLM", "SGLang", "TGI")
    own = "names and codes are mlx-lm's own"
    untried = "its engine for MLX reads folders of its own making"
    return (
        *(verdict(engine, "not", because=own, instead=instead) for engine in others),
        verdict("llama.cpp", "not", because="it reads GGUF", instead=_GGUF),
        verdict("Ollama", "unknown", because=untried),
        verdict("MLX", "runs"),
    )


def _of_gguf_adapter() -> tuple[Verdict, ...]:
    readers = ("transformers", "vLLM", "SGLang", "TGI")
    return (
        *(verdict(e, "not", because="it reads PEFT's layout", instead=_LORA) for e in readers),
        verdict("llama.cpp", "runs"),
        verdict("Ollama", "runs"),
        verdict("MLX", "not", because="it has a layout of its own", instead=_MLX),
    )
