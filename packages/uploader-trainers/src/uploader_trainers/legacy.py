"""The command line that trainers' ``upload_to_hf.py`` had, as a run of today.

An argument line is the old one when it has an option that only the old script knew, or is nothing
but ``MODEL_PATH USER/NAME``. Everything else goes to ``uploader`` as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from uploader_core import api
from uploader_core.api import UploaderError, UsageError

_KINDS = {"merged_16bit": "merged-16bit", "merged_4bit": "merged-4bit", "lora": "lora"}
_QUANTS = ("Q4_K_M", "Q5_K_M", "Q8_0")
LINEAGE = "training_lineage.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Translation:
    """An old argument line in today's words.

    Attributes:
        arguments: For ``uploader``, beginning with ``run``.
        token: What ``--token`` gave; it must not be seen in a command line again.
        throwaway: Release folder that is removed after it was published and verified.
        remarks: What is not as it was, for the note.
    """

    arguments: tuple[str, ...]
    token: str | None = None
    throwaway: Path | None = None
    remarks: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """The line that tells the new form."""
        remarks = "".join(f"; {remark}" for remark in self.remarks)
        return f"note: this is now  {shlex.join(['uploader', *self.arguments])}{remarks}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(
            f"{message} (in the options of the old upload_to_hf.py)",
            safe="nothing was started",
            next="uploader run --help",
        )


def _parser() -> _Parser:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("model_path", nargs="?")
    parser.add_argument("repo_id", nargs="?")
    parser.add_argument("--save-method", choices=tuple(_KINDS), default="merged_16bit")
    parser.add_argument("--create-gguf", action="store_true")
    parser.add_argument("--gguf-quantizations", nargs="+", default=list(_QUANTS))
    parser.add_argument("--skip-standard", action="store_true")
    parser.add_argument("--gguf-only", metavar="REPO")
    parser.add_argument("--private", action="store_true")
    parser.add_argument("--output-dir", type=Path)
    parser.add_argument("--training-lineage", type=Path)
    parser.add_argument("--no-save-local", action="store_true")
    parser.add_argument("--token")
    parser.add_argument("--model-size")  # only ever chose a guess; sizes are read from headers now
    return parser


OPTIONS = frozenset(o for action in _parser()._actions for o in action.option_strings)
"""Options that only the old script has."""


def is_old(arguments: Sequence[str]) -> bool:
    """Tell an argument line of the old script from one of today."""
    if any(argument.split("=", 1)[0] in OPTIONS for argument in arguments):
        return True
    return len(arguments) == 2 and not any(
        a.startswith("-") or a in api.command_names() for a in arguments
    )


def translate(arguments: Sequence[str]) -> Translation:
    """Say in today's words what an old argument line asks for.

    The old script published for everybody unless ``--private`` was given. A line that says nothing
    of it is private now: nobody becomes public by not typing.

    Args:
        arguments: Of which :func:`is_old` holds.

    Raises:
        UsageError: It asks for nothing, or has what the old script did not know either.
    """
    old = _parser().parse_args(list(arguments))
    if not old.gguf_only and (not old.model_path or not old.repo_id):
        _parser().error("MODEL_PATH and USER/NAME are needed, or --gguf-only USER/NAME")
    if old.gguf_only:
        source, repo, kinds = old.gguf_only, f"{old.gguf_only}-GGUF", ["gguf"]
        layout = []
    else:
        source, repo = old.model_path, old.repo_id
        kinds = [] if old.skip_standard else [_KINDS[old.save_method]]
        kinds += ["gguf"] if old.create_gguf else []
        layout = ["--hf-layout", "single"]  # where the old script put everything
        _check_lineage(old.training_lineage, Path(source))
    if not kinds:
        _parser().error("--skip-standard without --create-gguf leaves nothing to upload")
    name = repo.rsplit("/", 1)[-1]
    output = None if old.output_dir is None else old.output_dir / name
    throwaway = _throwaway(source, repo) if old.no_save_local else None
    new = ["run", source, "--plugins", ",".join(kinds)]
    if "gguf" in kinds:
        new += ["--gguf-quants", ",".join(q.upper() for q in old.gguf_quantizations)]
    new += ["--to", f"hf:{repo}", *layout]
    if throwaway or output:
        new += ["--output", str(throwaway or output)]
    return Translation(
        arguments=(*new, "--yes"),
        token=old.token,
        throwaway=throwaway,
        remarks=() if old.private else ("private; --hf-public publishes for everybody",),
    )


def _check_lineage(given: Path | None, model: Path) -> None:
    """A lineage is read where the trainer leaves it, next to the weights that it is about."""
    if given is None:
        return
    expected = model / LINEAGE
    if not given.is_file():
        raise UsageError(f"there is no file {given}", owner="--training-lineage")
    if not expected.is_file() or expected.read_bytes() != given.read_bytes():
        raise UsageError(
            f"{given} is not the lineage in {model}",
            owner="--training-lineage",
            safe="nothing was started",
            next=shlex.join(["cp", str(given), str(expected)]),
        )


def _throwaway(source: str, repo: str) -> Path:
    """Name a folder in the cache, the same for the same request: an interrupted one goes on."""
    import platformdirs

    path = api.from_home(source)
    key = f"{path.resolve() if path.exists() else source}\n{repo}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    name = repo.rsplit("/", 1)[-1]
    return platformdirs.user_cache_path("uploader", appauthor=False) / "unsaved" / digest / name


def main(arguments: Sequence[str], *, trainer: Path | None = None) -> int:
    """Run a wrapper's arguments and return the exit code.

    Args:
        arguments: Without the program's name; an old line, or anything that ``uploader`` takes.
        trainer: The trainer's folder, where runs are looked for when there are no arguments.
    """
    try:
        translation = translate(arguments) if is_old(arguments) else None
    except UploaderError as error:
        return api.show_error(error, arguments)
    if translation is None:
        if not arguments:
            return _uploader(["guide", *([] if trainer is None else [str(trainer)])])
        known = arguments[0] in api.command_names() or arguments[0] in api.OPTIONS
        return _uploader([*arguments] if known else ["run", *arguments])
    click.echo(translation.note, err=True)
    if translation.token is not None:
        os.environ["HF_TOKEN"] = translation.token
    code = _uploader(translation.arguments)
    if code == 0 and translation.throwaway is not None:
        # Made by this run, in a folder of its own, and compared at its destination.
        shutil.rmtree(translation.throwaway.parent, ignore_errors=True)
    return code


def _uploader(arguments: Sequence[str]) -> int:
    # The manifest names the command; it must be the one that can be typed again.
    sys.argv = ["uploader", *arguments]
    return api.run_command_line(arguments)
