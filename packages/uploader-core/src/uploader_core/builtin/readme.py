"""The README of the release folder: what is in it and how it was made sure."""

from __future__ import annotations

from collections.abc import Sequence

from uploader_core.artifact import Artifact
from uploader_core.contract.step_context import StepContext
from uploader_core.human_text import size_text
from uploader_core.manifest_file import NAME


def write_readme(context: StepContext) -> Artifact:
    """Write ``README.md`` from the records of the artifacts and the plugins' sections."""
    release = context.release
    lines = [f"# {release.name}", ""]
    if release.base_is_hub_id:
        how = "Made" if release.source == "checkpoint" else "Fine-tuned"
        known = release.base_pinned or release.source == "checkpoint"
        at = f", commit `{release.base_revision}`" if release.base_revision and known else ""
        lines += [f"{how} from `{release.base_model}`{at}.", ""]
    if release.without:
        lines += [release.without, ""]
    lines += ["| folder | files | size |", "| --- | ---: | ---: |"]
    for artifact in context.inputs:
        lines.append(
            f"| [`{artifact.kind}/`]({artifact.kind}/) | {len(artifact.files)} "
            f"| {size_text(artifact.size)} |"
        )
    for artifact in context.inputs:
        about = [section for section in context.sections if section.kind == artifact.kind]
        if about:
            lines += ["", f"## {artifact.kind}"]
        for section in about:
            measured = [m for m in context.measurements if m.path == artifact.path]
            files = [file.name for made in (artifact, *measured) for file in made.files]
            text = _with_folder(section.text, artifact.kind, files)
            lines += ["", f"### {section.heading}", "", text]
    lines += [
        "",
        "## Check this folder",
        "",
        f"Every file is listed with its sha256 in [`{NAME}`]({NAME}). Compare them with:",
        "",
        "    uploader verify .",
        "",
    ]
    context.output.write("README.md", "\n".join(lines), role="document")
    return context.artifact()


def _with_folder(text: str, folder: str, files: Sequence[str]) -> str:
    """Let links to files work from the folder above."""
    text = text.strip()
    for name in files:
        text = text.replace(f"]({name})", f"]({folder}/{name})")
    return text
