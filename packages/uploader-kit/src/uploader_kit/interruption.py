"""A step that is killed, in the middle of a file and between two, and then run to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uploader_core.artifact import Artifact
from uploader_kit.conditions import Conditions, Death, can_die_by_size
from uploader_kit.files import files_below
from uploader_kit.trial import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Interruption:
    """What became of a step that was killed.

    Attributes:
        torn: Names that files had which were not whole.
        finished: Names of weights that were whole when it was killed.
        made_again: Those of them that the next run made once more.
        artifact: What the last run returned.
    """

    torn: tuple[str, ...]
    finished: tuple[str, ...]
    made_again: tuple[str, ...]
    artifact: Artifact


def interrupt(trial: Trial, reference: Artifact) -> Interruption:
    """Kill a step in the middle of its largest file, then between two files of weights, if any.

    Args:
        trial: In a folder that does not exist.
        reference: What an undisturbed run made.

    Raises:
        UploaderError: The last run, which nobody disturbs, fails.
    """
    weights = tuple(f.name for f in reference.files if f.role == "weights")
    if can_die_by_size():
        half = max((f.size for f in reference.files), default=0) // 2
        trial.run(death=Death(size=half), conditions=Conditions(seed=3))
    else:
        trial.run(kill=60)
    torn = {*_torn(trial, reference)}
    if len(weights) > 1:
        trial.run(death=Death(before_second=weights), conditions=Conditions(seed=3))
        torn |= {*_torn(trial, reference)}
    before = _stamps(trial.output, weights)
    artifact = trial.run(conditions=Conditions(seed=3)).artifact
    after = _stamps(trial.output, weights)
    # Where every file was there, nothing was left to do and nothing is shown by doing it again.
    finished = () if len(before) == len(weights) else tuple(before)
    return Interruption(
        torn=tuple(sorted(torn)),
        finished=finished,
        made_again=tuple(n for n in finished if before[n] != after.get(n)),
        artifact=artifact,
    )


def _torn(trial: Trial, reference: Artifact) -> list[str]:
    """Return the names of files that are neither what they should be nor what was recorded.

    A step that gives other bytes each time has whole files of other bytes: those that it gave
    their names through ``context.output`` have a record with their digest.
    """
    # Of all that the undisturbed run left there, also what it did not list.
    wanted = {name: file.sha256 for name, file in files_below(reference.path).items()}
    recorded = _recorded(trial.units)
    return [
        name
        for name, file in files_below(trial.output).items()
        if file.sha256 not in (wanted.get(name), recorded.get(name))
    ]


def _recorded(units: Path) -> Mapping[str, str]:
    records = [json.loads(path.read_text("utf-8")) for path in units.glob("*.json")]
    return {str(record["name"]): str(record["sha256"]) for record in records}


def _stamps(folder: Path, names: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Return what tells whether a file was made again, by name."""
    found = {}
    for name in names:
        if (folder / name).is_file():
            stat = (folder / name).stat()
            found[name] = (stat.st_ino, stat.st_mtime_ns)
    return found
