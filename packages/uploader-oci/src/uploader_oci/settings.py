"""Settings of the destination ``oci:``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from uploader_core.plugin import Size, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a user can choose."""

    POLICY: ClassVar = ("foreign", "allow_secret")

    format: str = setting(
        "modelpack",
        help="form of the manifests: ModelPack, Docker Model Runner's, Ollama's, or all three over "
        "the same blobs; or ModelPack with the weights alone",
        choices=("modelpack", "docker", "ollama", "all", "weights"),
    )
    layout: str = setting(
        "separate",
        help="a tag per format, or a single one with a folder for each",
        choices=("separate", "single"),
    )
    tag: tuple[str, ...] = setting((), help="KIND=TAG: tag of one format, another than ours")
    foreign: str = setting(
        "refuse",
        help="a tag that is there and that no release made: refuse the release, or replace it",
        choices=("refuse", "replace"),
    )
    allow_secret: tuple[str, ...] = setting(
        (), help="fingerprints of findings in text files that are no secrets"
    )
    mount_from: tuple[str, ...] = setting(
        (),
        help="repositories of the registry that may have the same files, such as that of the base",
        changes_result=False,
    )
    verify: str = setting(
        "digest",
        help="how arrival is proven: by the digests that the registry lists, or by reading back",
        choices=("digest", "read"),
    )
    chunk: Size = setting(
        Size("32MiB"),
        help="bytes of one request of a large file; 0 sends each file in one",
        changes_result=False,
    )
    timeout: float = setting(
        60.0,
        help="seconds without any answer before a request is repeated",
        changes_result=False,
    )
    plain_http: bool = setting(
        False,
        help="speak http, without encryption, with a registry on another machine",
        changes_result=False,
    )
