"""The hooks that a plugin may implement.

Registration hooks take no arguments and return specs; core plans and runs them. Their order never
matters: ``tryfirst`` and ``trylast`` change nothing, order comes from data flow alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from uploader_core.contract.specs import (
        ConvertSpec,
        Diagnosis,
        DocumentSpec,
        ExecutorSpec,
        Hint,
        ReaderSpec,
        SaveSpec,
        SourceSpec,
        UploadSpec,
    )

hookspec = pluggy.HookspecMarker("uploader")
hookimpl = pluggy.HookimplMarker("uploader")


@hookspec
def uploader_savers() -> Iterable[SaveSpec]:
    """Register formats that are made from the source itself.

    Example::

        @hookimpl
        def uploader_savers():
            yield SaveSpec(
                name="lora",
                summary="the adapter as it was trained",
                consumes=("adapter",),
                produces="lora",
                run="uploader_lora.save:save",
            )

    If this fails, the plugin is named as broken; the run stops only when the plugin was asked for
    or is needed.
    """
    raise NotImplementedError


@hookspec
def uploader_converters() -> Iterable[ConvertSpec]:
    """Register formats that are made from another artifact.

    Example::

        @hookimpl
        def uploader_converters():
            yield ConvertSpec(
                name="onnx",
                summary="ONNX for onnxruntime",
                consumes=("merged-16bit",),
                produces="acme.onnx",
                run="uploader_onnx.convert:convert",
            )

    If this fails: as for :func:`uploader_savers`.
    """
    raise NotImplementedError


@hookspec
def uploader_uploaders() -> Iterable[UploadSpec]:
    """Register destinations.

    Example::

        @hookimpl
        def uploader_uploaders():
            yield UploadSpec(
                name="dir",
                summary="a folder on this machine",
                scheme="dir",
                run="uploader_core.builtin.folder_destination:upload",
            )

    If this fails: as for :func:`uploader_savers`.
    """
    raise NotImplementedError


@hookspec
def uploader_documenters() -> Iterable[DocumentSpec]:
    """Register documents, or sections for the documents of others.

    Example::

        @hookimpl
        def uploader_documenters():
            yield DocumentSpec(
                name="gguf-files",
                summary="the quantisations and how to run them",
                section="Files",
                describes=("gguf",),
                run="uploader_gguf.card:section",
            )

    If a section fails, the document is written without it and the report says so.
    """
    raise NotImplementedError


@hookspec
def uploader_sources() -> Iterable[SourceSpec]:
    """Register places that a source or a base model can be fetched from.

    Example::

        @hookimpl
        def uploader_sources():
            yield SourceSpec(
                name="hub",
                summary="a model or adapter on the Hugging Face Hub",
                matches=r"[\\w.-]+/[\\w.-]+(@[\\w./-]+)?",
                run="uploader_hf.fetching.source:fetch",
            )

    If this fails: as for :func:`uploader_savers`.
    """
    raise NotImplementedError


@hookspec
def uploader_source_readers() -> Iterable[ReaderSpec]:
    """Register what knows a folder (or file) of some kind as a source.

    Core itself reads adapters of PEFT and model folders of transformers, through this hook. A
    reader of another distribution is asked before; where two know the same folder the user has to
    leave one out. The plugin is listed in the entry-point group ``uploader_core.readers``.

    Example::

        @hookimpl
        def uploader_source_readers():
            yield ReaderSpec(
                name="mlx",
                summary="an adapter of MLX",
                kinds=("acme.mlx-adapter",),
                run="uploader_mlx.reading:read",
            )

    and in ``uploader_mlx/reading.py``::

        def read(context):
            folder = context.locate().path
            weights = folder / "adapters.safetensors"
            if not weights.is_file():
                return None
            size = weights.stat().st_size
            file = ArtifactFile(name=weights.name, size=size, sha256="", role="weights")
            kind = "acme.mlx-adapter"
            artifact = Artifact(kind=kind, path=folder, files=(file,))
            return Sources(kind=kind, folder=folder, artifacts={kind: artifact})

    If this fails, or the function does, a warning of the plan names the plugin, and the others
    are asked.
    """
    raise NotImplementedError


@hookspec
def uploader_executors() -> Iterable[ExecutorSpec]:
    """Register what runs steps on other machines, chosen with ``--executor NAME``.

    The plugin is listed in the entry-point group ``uploader_core.executors`` by that name.

    Example::

        @hookimpl
        def uploader_executors():
            yield ExecutorSpec(
                name="slurm",
                summary="jobs of a Slurm cluster",
                settings=SlurmSettings,
                run="uploader_slurm.executor:open_executor",
            )

    If this fails: as for :func:`uploader_savers`.
    """
    raise NotImplementedError


@hookspec
def uploader_run_started(plan: Any) -> None:
    """Observe the start of a run. A failure is logged and changes nothing."""


@hookspec
def uploader_step_finished(step: Any, outcome: Any) -> None:
    """Observe the end of a step. A failure is logged and changes nothing."""


@hookspec
def uploader_run_finished(report: Any) -> None:
    """Observe the end of a run. A failure is logged and changes nothing."""


@hookspec
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    """Say what ``uploader doctor`` should know: tools, versions, logins, with a fix for each fault.

    Light, and quick: metadata and files, no heavy imports. It runs in a worker of its own that sees
    the variables that the plugin's specs name as secrets; a token is never part of what is said.
    The network may be asked only when ``online`` is true.

    Example::

        @hookimpl
        def uploader_diagnostics(online):
            found = shutil.which("onnxsim")
            yield Diagnosis(name="onnxsim", level="ok" if found else "warn",
                            what=found or "not installed", fix="pip install onnxsim")

    If this fails or takes too long, a line of the report says so.
    """
    raise NotImplementedError


@hookspec
def uploader_error_hints(error: BaseException) -> Iterable[Hint]:
    """Offer what to try next after an error. A failure is ignored."""
    raise NotImplementedError


@hookspec(firstresult=True)
def uploader_execute(step: Any, context: Any) -> Any:
    """Run one step. Core has the one implementation; plugins may only wrap it.

    A wrapper (``@hookimpl(wrapper=True)``) can retry or trace. What it raises is the step's error.
    """
