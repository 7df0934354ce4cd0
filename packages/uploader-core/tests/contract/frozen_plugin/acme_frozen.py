"""Uses every hook, every field and every function of API version 1. Never edited."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import (
    ConvertSpec,
    DocumentSpec,
    Estimate,
    FetchedSource,
    Finding,
    Hint,
    IntegrityError,
    Resources,
    SaveSpec,
    SourceSpec,
    UploadGroup,
    UploadSpec,
    hash_file,
    hookimpl,
    setting,
)

uploader_api = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    text: str = setting("frozen", help="what is written")
    copies: int = setting(1, help="how many files", choices=None)
    mode: str = setting("plain", help="how", choices=("plain", "loud"))


@hookimpl
def uploader_savers():
    yield SaveSpec(
        name="frozen",
        summary="a text about an adapter",
        consumes=("adapter",),
        produces="acme.frozen",
        run="acme_frozen:save",
        check="acme_frozen:check",
        estimate="acme_frozen:estimate",
        settings=Settings,
        needs=("uploader-core>=0.1",),
        isolation="process",
        resources=Resources(lane="cpu"),
        default=True,
    )


@hookimpl
def uploader_converters():
    yield ConvertSpec(
        name="index",
        summary="an index of the text",
        consumes=("acme.frozen",),
        produces="acme.index",
        run="acme_frozen:index",
        default=False,
        virtual=False,
    )


@hookimpl
def uploader_documenters():
    yield DocumentSpec(
        name="notes",
        summary="a document",
        output="NOTES.md",
        scope="artifact",
        describes=("acme.frozen",),
        run="acme_frozen:document",
    )
    yield DocumentSpec(
        name="section",
        summary="a section",
        section="Frozen",
        describes=("acme.frozen",),
        order=5,
        isolation="inline",
        run="acme_frozen:section",
    )


@hookimpl
def uploader_uploaders():
    yield UploadSpec(
        name="upload",
        summary="a folder",
        scheme="frozen",
        accepts=("acme.frozen", "acme.index"),
        group="acme_frozen:group",
        capabilities=("private",),
        secrets=("ACME_TOKEN",),
        run="acme_frozen:upload",
    )


@hookimpl
def uploader_sources():
    yield SourceSpec(
        name="shelf", summary="a shelf", matches=r"shelf/.+", run="acme_frozen:fetch", secrets=()
    )


@hookimpl
def uploader_run_started(plan):
    assert plan.steps


@hookimpl
def uploader_step_finished(step, outcome):
    assert step.id == outcome.step


@hookimpl
def uploader_run_finished(report):
    assert report.outcomes


@hookimpl
def uploader_error_hints(error):
    yield Hint(code="frozen", text="ask the author of acme-frozen")


@hookimpl(wrapper=True)
def uploader_execute(step, context):
    return (yield)


def check(context):
    if context.input("adapter").size == 0:
        yield Finding(level="error", what="the adapter is empty", next="train it")


def estimate(context):
    return Estimate(bytes_written=len(context.settings.text) * context.settings.copies, exact=True)


def save(context):
    for n in range(context.settings.copies):
        if context.output.done(f"text-{n}.txt") is None:
            context.output.write(f"text-{n}.txt", context.settings.text, role="other")
        context.progress("writing", n + 1, context.settings.copies, "files")
    return context.artifact({"copies": context.settings.copies})


def index(context):
    source = context.input("acme.frozen")
    with context.output.create("index.txt", role="other") as writer:
        for file in source.files:
            writer.write(f"{file.sha256}  {file.name}\n".encode())
    return context.artifact()


def document(context):
    context.log.info("writing NOTES.md")
    context.output.write("NOTES.md", f"# {context.release.name}\n", role="document")
    return context.artifact()


def section(context):
    return f"{len(context.inputs)} artifact"


def group(context):
    return (UploadGroup(target=context.target, kinds=context.kinds, flatten=False),)


def upload(context):
    root = Path(context.target)
    for file in context.files:
        (root / file.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.path, root / file.name)
        if hash_file(root / file.name) != (file.size, file.sha256):
            raise IntegrityError(f"{file.name} is damaged", next="again")
    return context.receipt(
        url=str(root), files=len(context.files), bytes_sent=sum(f.size for f in context.files)
    )


def fetch(context):
    return FetchedSource(path=Path(context.reference), model_id=context.reference)
