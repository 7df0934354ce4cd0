"""The kit on a format that comes in variants, all made in one pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kit_plugins import failed_checks, told
from uploader_kit import SaveConformance

pytestmark = pytest.mark.usefixtures("home")

PLUGIN = """
from dataclasses import dataclass
from uploader_core.plugin import Estimate, RefusedError, SaveSpec, hookimpl, setting

@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    quants: tuple[str, ...] = setting(("q4", "q8"), help="sizes", changes_result=False)

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.{name}",
                   run="acme_{name}:save", estimate="acme_{name}:estimate", settings=Settings,
                   variants="acme_{name}:variants", together=True)

def variants(settings):
    return settings.quants

def estimate(context):
    size = context.input("adapter").file("adapter_model.safetensors").stat().st_size
    return Estimate(bytes_written=size // int(context.variant[1:]), exact=True)

def save(contexts):
    for context in contexts:
        path = context.input("adapter").file("adapter_model.safetensors")
        data = path.read_bytes()
        if len(data) < 8 + int.from_bytes(data[:8], "little") + 3584:
            raise RefusedError("the adapter is cut off", owner=str(path), next="save it again")
        if context.output.done("a.bin") is None:
            part = data[: len(data) // int(context.variant[1:])]
            context.output.write("a.bin", part, role="weights")
    return tuple(context.artifact() for context in contexts){end}
"""


def conformance(
    install: Callable[..., None], name: str, end: str = "", source: str = PLUGIN
) -> type[SaveConformance]:
    install(
        f"acme-{name}",
        {f"acme_{name}": source.format(name=name, end=end)},
        {"plugins": {name: f"acme_{name}"}, "artifacts": {f"acme.{name}": f"acme_{name}"}},
        requires="uploader-core>=0.1,<1",
    )
    return type("X", (SaveConformance,), {"plugin": name})


def test_sound_variants_pass(install: Callable[..., None]) -> None:
    assert failed_checks(conformance(install, "manifold")) == []


def test_a_pass_that_returns_too_few_artifacts_fails(install: Callable[..., None]) -> None:
    assert "step runs in a worker" in failed_checks(conformance(install, "few", "[1:]"))


CARELESS = (
    'if context.output.done("a.bin") is None:',
    'if contexts[0].output.done("a.bin") is None:',
)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            *CARELESS,
            "acme.manycareless-q8 is not what it is when made alone",
        ),
        (
            "for context in contexts:",
            "(context,) = contexts\n    for _ in (1,):",
            "in one call, the",
        ),
        ("for context in contexts)", "for context in reversed(contexts))", "in one call"),
    ],
    ids=["manycareless", "manyfirst", "manyreversed"],
)
def test_a_call_that_does_not_make_what_it_is_asked_for(
    old: str, new: str, words: str, install: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    assert old in PLUGIN
    case = conformance(install, name, source=PLUGIN.replace(old, new))
    assert words in told(case, "every variant is made alone and together")


def test_how_it_is_run_is_said_in_pairs(install: Callable[..., None]) -> None:
    named = PLUGIN.replace("together=True", 'together=True, use="acme_{name}:use"')
    case = conformance(install, "mumbles2", "\n\ndef use(context):\n    return ['run it']", named)
    assert "expected a program and a command" in told(case, "how to run it is said")
