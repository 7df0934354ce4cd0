"""Settings of the plugin ``ollama``: a field is ``--ollama-FIELD``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from uploader_core.plugin import setting

ALLOW = "--ollama-allow-secret"
"""Lets a finding in a text file through that is no secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSettings:
    """What a model is made with: of the Modelfile, and of both destinations."""

    template: Path | None = setting(
        None, help="file with a Go template to use instead of the chat template in the GGUF"
    )
    system: str = setting("", help="system prompt of the model")
    parameters: tuple[str, ...] = setting(
        (), help="NAME=VALUE: parameters besides or instead of our own (num_ctx=8192)"
    )
    default: str = setting(
        "", help="kind of GGUF that has the plain name when there are several (Q8_0)"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings(ModelSettings):
    """Settings of the destination ``ollama:``."""

    POLICY: ClassVar = ("remote", "family_template", "allow_secret")

    remote: bool = setting(
        False, help="allow an Ollama on another machine than this one (OLLAMA_HOST)"
    )
    family_template: bool = setting(
        False, help="accept the template of a known family in place of the one in the GGUF"
    )
    allow_secret: tuple[str, ...] = setting(
        (), help="fingerprints of findings in text files that are no secrets"
    )
    base: str = setting("", help="model of Ollama that a GGUF adapter is put on (llama3.2:3b)")
    timeout: float = setting(
        600.0,
        help="seconds without any answer before Ollama counts as gone",
        changes_result=False,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrySettings(ModelSettings):
    """Settings of the destination ``ollama-registry:``."""

    POLICY: ClassVar = ("allow_secret",)

    allow_secret: tuple[str, ...] = setting(
        (), help="fingerprints of findings in text files that are no secrets"
    )
    plain_http: bool = setting(
        False, help="speak to a registry on another machine without encryption"
    )
    chunk: int = setting(
        32 << 20,
        help="bytes of one request of a large file; 0: each file in one",
        changes_result=False,
    )
    registry_timeout: float = setting(
        60.0,
        help="seconds without any answer before a request to a registry is repeated",
        changes_result=False,
    )
