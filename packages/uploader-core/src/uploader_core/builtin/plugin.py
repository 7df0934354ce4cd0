"""Core's one built-in plugin: ``dir:`` as destination, README and lineage of a release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from uploader_core.contract.costs import Resources
from uploader_core.contract.hookspecs import hookimpl
from uploader_core.contract.settings import setting
from uploader_core.contract.specs import DocumentSpec, ExecutorSpec, UploadSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderSettings:
    """Settings of the destination ``dir:``."""

    POLICY: ClassVar = ("foreign",)

    foreign: str = setting(
        "refuse",
        help="files there that no release put there and that programs would load: refuse the "
        "release, remove them, or keep them beside it",
        choices=("refuse", "remove", "keep"),
    )


@hookimpl
def uploader_uploaders() -> Iterable[UploadSpec]:
    yield UploadSpec(
        name="copy",
        summary="a folder on this machine",
        scheme="dir",
        run="uploader_core.builtin.folder_destination:upload",
        check="uploader_core.builtin.folder_destination:check",
        estimate="uploader_core.builtin.folder_destination:estimate",
        verify="uploader_core.builtin.folder_destination:verify",
        still_there="uploader_core.builtin.folder_destination:still_there",
        settings=FolderSettings,
        isolation="inline",
        resources=Resources(lane="light"),
    )


@hookimpl
def uploader_executors() -> Iterable[ExecutorSpec]:
    yield ExecutorSpec(
        name="local",
        summary="processes of this machine that outlive the run",
        run="uploader_core.builtin.local_executor:open_executor",
        remote=False,
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="readme",
        summary="what is in the release folder",
        output="README.md",
        scope="release",
        run="uploader_core.builtin.readme:write_readme",
        isolation="inline",
        resources=Resources(lane="light"),
    )
    # One travels with each artifact, one stays in the release folder.
    yield DocumentSpec(
        name="lineage",
        summary="how the model was trained, and the licences of its base",
        output="training_lineage.json",
        run="uploader_core.builtin.companions:write",
        isolation="inline",
        resources=Resources(lane="light"),
    )
    yield DocumentSpec(
        name="release-lineage",
        summary="how the model was trained",
        output="training_lineage.json",
        scope="release",
        run="uploader_core.lineage:write",
        isolation="inline",
        resources=Resources(lane="light"),
    )
