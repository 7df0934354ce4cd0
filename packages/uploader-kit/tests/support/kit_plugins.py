"""A sound little plugin for the tests of the kit to spoil, and a folder as a destination."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from uploader_core.deprecations import UploaderDeprecationWarning
from uploader_core.errors import UploaderError
from uploader_kit import ConformanceError, Destination, SaveConformance, UploadConformance
from uploader_kit.check import run
from uploader_kit.conformance import PluginConformance

PLUGIN = """
from uploader_core.plugin import SaveSpec, hookimpl
{top}

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x",
                   run="{module}_work:save")
"""

WORK = """
import datetime, os, random, socket, subprocess, time
from uploader_core.plugin import Estimate, RefusedError

def save(context):
    path = context.input("adapter").file("adapter_model.safetensors")
    data = path.read_bytes()
    if len(data) < 8 + int.from_bytes(data[:8], "little") + 3584:
        raise RefusedError("the adapter is cut off", owner=str(path), next="save it again")
    {body}
    context.output.write("copy.safetensors", data, role="weights")
    return context.artifact()
"""


def saver(install: Callable[..., None], name: str, top: str, body: str) -> type[SaveConformance]:
    """Install a saver, and return its class on the kit."""
    module = f"acme_{name}"
    install(
        f"acme-{name}",
        {
            module: PLUGIN.format(top=top, module=module),
            f"{module}_work": WORK.format(body=body),
        },
        {"plugins": {name: module}, "artifacts": {"acme.x": module}},
        requires="uploader-core>=0.1,<1",
    )
    return type("X", (SaveConformance,), {"plugin": name})


def failed_checks(case: type[PluginConformance]) -> list[str]:
    """Run every check of a class and return those that fail."""
    return [v.check for v in run((case,), lambda _: None) if v.outcome == "failed"]


_SAID = (ConformanceError, UploaderError, UploaderDeprecationWarning, pytest.skip.Exception)


def told(case: type[PluginConformance], check: str) -> str:
    """Run one check and return what it says; "" when it says nothing."""
    case.setup_class()
    try:
        getattr(case(), f"test_{check.replace(' ', '_')}")()
    except (
        ConformanceError,
        UploaderError,
        UploaderDeprecationWarning,
        pytest.skip.Exception,
    ) as e:
        return str(e)
    finally:
        case.teardown_class()
    return ""


class FolderConformance(UploadConformance):
    """Core's own destination ``dir:``."""

    plugin = "dir"

    @contextlib.contextmanager
    def destination(self) -> Iterator[Destination]:
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "release folder"

            def listing() -> dict[str, str]:
                return {
                    path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
                    for path in folder.rglob("*")
                    if path.is_file()
                }

            yield Destination(
                target=str(folder),
                environment={"ACME_TOKEN": "a-token-of-acme"},
                listing=listing,
                damage=lambda name: (folder / name).write_bytes(b"damaged") and None,
            )


def sender(install: Callable[..., None], name: str, source: str) -> type[FolderConformance]:
    """Install a destination that copies into a folder, and return its class on the kit."""
    module = f"acme_{name}"
    install(
        f"acme-{name}",
        {module: source},
        {"plugins": {name: module}, "schemes": {name: module}},
        requires="uploader-core>=0.1,<1",
    )
    return type("X", (FolderConformance,), {"plugin": name})
