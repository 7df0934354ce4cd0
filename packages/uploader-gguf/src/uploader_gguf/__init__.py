"""GGUF files for llama.cpp and Ollama, straight from base model and adapter."""

from __future__ import annotations

from uploader_gguf.llama_cpp.smoke import generate

__all__ = ["generate"]
