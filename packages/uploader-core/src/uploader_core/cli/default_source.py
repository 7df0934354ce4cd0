"""What is released where nobody names a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uploader_core.builtin.local_source.folder_files import has_weights, names_in
from uploader_core.builtin.local_source.training_runs import describe, find_runs, shown
from uploader_core.builtin.local_source.unusable_folders import explain, explain_inside
from uploader_core.errors import UsageError
from uploader_core.user_config.configuration import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A source that was chosen for the user.

    Attributes:
        source: As the user would have typed it.
        because: Why this one, for people.
    """

    source: str
    because: str


def choose_source(folder: Path, config: Config) -> Choice:
    """Choose what to release: the folder itself, else the settings' source, else the newest run.

    Args:
        folder: The working folder.
        config: With ``source`` of ``uploader.toml``.

    Raises:
        UsageError: There is nothing.
        SourceError: There is only what cannot be released yet, such as shards of FSDP.
    """
    names = names_in(folder)
    adapter = "adapter_config.json" in names
    if (adapter or "config.json" in names) and has_weights(names):
        kind = "an adapter" if adapter else "a model"
        return Choice(source=str(folder), because=f"the current folder holds {kind}")
    if config.source is not None:
        return Choice(source=config.source, because=f"source in {config.source_file}")
    runs = find_runs([folder])
    if runs:
        among = f" of {len(runs)}" if len(runs) > 1 else ""
        because = f"the newest training run{among} in {folder}: {describe(runs[0])}"
        return Choice(source=shown(runs[0].path), because=because)
    error = explain(folder, weak=False) or explain_inside(folder)
    raise error or UsageError(
        f"there is no SOURCE, and no training run was found in {folder}",
        safe="nothing was written",
        next="uploader run PATH_TO/final_model",
    )
