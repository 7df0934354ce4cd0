"""The command ``uploader convert-pickle``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

from uploader_core.api import SourceError, UsageError
from uploader_lora.pickles.sharded import index_in, new_index, targets_of, write_index

_NAMES = {
    "adapter_model.bin": "adapter_model.safetensors",
    "pytorch_model.bin": "model.safetensors",
}
_ENDINGS = (".bin", ".pt", ".pth", ".ckpt")
_STATES = {"training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "rng_state.pth"}
_VARIABLES = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "TMPDIR", "TEMP")
_SMALL = (".json", ".jinja", ".model", ".txt", ".md")
_MINUTES = 30


@click.command("convert-pickle")
@click.argument("source", metavar="FILE_OR_FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--output", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Where the safetensors are written (default: next to the pickle).",
)  # fmt: skip
def convert_pickle(source: Path, output: Path | None) -> int:
    """Turn weights that were saved as a pickle into safetensors, with the same bits.

    A pickle is a program. It is read in a process without credentials, where only tables of
    tensors are made of it; whatever else it would run ends the reading. The pickle stays.
    """
    folder = output or (source if source.is_dir() else source.parent)
    index = index_in(source)
    if index is None:
        targets = {
            file: folder / _NAMES.get(file.name, f"{file.stem}.safetensors")
            for file in _files(source)
        }
    else:
        targets = targets_of(index, folder)
        _refuse_existing(new_index(index, folder))
    beside = [] if output is None or not source.is_dir() else _beside(source, output)
    for target in targets.values():
        _refuse_existing(target)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for file, target in targets.items():
            _tell(target, _convert(file, target))
        if index is not None:
            write_index(index, folder)
    except BaseException:
        if index is not None:  # some files of a checkpoint are none
            for target in (new_index(index, folder), *targets.values()):
                target.unlink(missing_ok=True)
        raise
    for path, target in beside:
        shutil.copyfile(path, target)
    return 0


def _tell(target: Path, said: dict[str, dict[str, str]]) -> None:
    click.echo(f"  {target}  {said['tensors']} tensors")
    for name, kind in said["left_out"].items():
        click.echo(f"  left out: {name[:80]!r}, a {kind} and no tensor")


def _beside(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Return what goes to another folder with the weights, and its place there.

    Raises:
        SourceError: Something of that name is there.
    """
    if output.resolve() == source.resolve():
        return []
    found = [
        (path, output / path.name)
        for path in sorted(source.iterdir())
        if path.suffix in _SMALL
        and path.is_file()
        and not path.is_symlink()
        and not path.name.endswith(".index.json")
    ]
    for _, target in found:
        _refuse_existing(target)
    return found


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UsageError(
            f"there is no file and no folder {source}",
            safe="nothing was written",
            next="name a file such as adapter_model.bin, or the folder that it is in",
        )
    found = [p for name in _NAMES if (p := source / name).is_file()]
    found = found or sorted(
        p for p in source.iterdir() if p.suffix in _ENDINGS and p.name not in _STATES
    )
    if not found:
        raise SourceError(
            f"{source} holds no weights that were saved as a pickle",
            owner=str(source),
            safe="nothing was written",
            next="name the file, such as adapter_model.bin",
        )
    return found


def _convert(file: Path, target: Path) -> dict[str, dict[str, str]]:
    partial = target.with_name(target.name + ".partial")
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "uploader_lora.pickles.convert", str(file), str(partial)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment | {"PYTHONUTF8": "1"},
            timeout=_MINUTES * 60,
            check=False,
        )
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        said = json.loads(lines[-1]) if lines else {"error": "the process that read it has died"}
        if "error" not in said:
            partial.replace(target)
            return dict(said)
    except subprocess.TimeoutExpired:
        said = {"error": f"it took more than {_MINUTES} minutes"}
    finally:
        partial.unlink(missing_ok=True)
    raise SourceError(
        f"{file.name} was not converted: {said['error']}",
        owner=str(file),
        safe="nothing of it was run, and nothing was written",
        next="save it again as safetensors where it was trained: save_pretrained(..., "
        "safe_serialization=True)",
    )


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise SourceError(
            f"{target} is there already",
            owner=str(target),
            safe="it was left as it is",
            next="move it away, or give another folder with --output",
        )
