"""Inputs that were made to do harm, each through the command: it runs nothing, and says what it is.

A fifth of them by default, all of them with ``nox -s hostile``. :mod:`hostile_corpus` has them, by
sorts of file. What each cost is measured in forks of a process that has everything imported.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostile_bench import Bench
from hostile_corpus import CORPUS
from hostile_gguf import CHAT
from hostile_place import SECRET, USUAL, Hostile, Place, make_place, walk
from uploader_command import Uploader

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks at /proc")

SECONDS = 1.0
"""Processor time that an input may cost, beyond what its start and a sound release do."""
MEASURED = "UPLOADER_TEST_TIMES"
"""Variable of the session ``hostile``, where nothing else uses the processor."""
MEBIBYTES = 200

_UNEXPECTED = re.compile(
    r"Traceback|unexpected \w+|report (?:it|what)|failed: \w*(?:Error|Exception|Interrupt)\b|"
    r"[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""What nobody should read: an error that nobody expected, or what a terminal would obey."""

CASES = [
    pytest.param(case, id=str(case), marks=[pytest.mark.slow] * (number % 5 != 0))
    for number, case in enumerate(CORPUS)
]


@pytest.fixture(scope="session")
def bench(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("bench")
    place = make_place(pristine, root / "sound")
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    bench = Bench(place.run(plugins=f"{USUAL},gguf"), variables)
    assert bench.sound.code == 0
    yield bench
    bench.close()


@pytest.fixture(scope="session")
def usual(
    bench: Bench, pristine: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], float]:
    """Processor time of a release of the sound fine-tune."""

    @functools.cache
    def seconds(plugins: str) -> float:
        place = make_place(pristine, tmp_path_factory.mktemp("usual") / "sound")
        (place.adapter / "chat_template.jinja").write_text(CHAT)  # so that something renders it
        outcome = bench(place.run(plugins=plugins), place.root)
        assert outcome.code == 0, outcome.said
        return outcome.seconds

    return seconds


@pytest.fixture
def place(pristine: Path, tmp_path: Path) -> Place:
    return make_place(pristine, tmp_path / "theirs")


def check(case: Hostile, place: Place, before: object, code: int, said: str) -> None:
    """Compare what happened with what may happen."""
    assert not place.canary.exists(), "code of the input was run"
    assert place.snapshot() == before, "something was written outside of the release"
    assert _UNEXPECTED.search(said) is None, said
    if case.harmless:
        assert code == 0, said
    else:
        assert code in {2, 3, 4, 7, 8}, said
        assert re.search(r"^  next\s+\S", said, re.MULTILINE), said
    assert re.search(case.told, said), said
    for path in walk(place.output) if place.output.exists() else ():
        assert not path.is_symlink()
        if path.is_file():
            content = path.read_bytes()
            assert SECRET.encode() not in content, f"{path} has what lies outside"
            assert b"Traceback" not in content, content.decode()


def test_corpus_is_large_and_of_many_sorts() -> None:
    assert len(CORPUS) == len({str(case) for case in CORPUS}) >= 300
    assert len(Counter(case.sort for case in CORPUS)) >= 16


@pytest.mark.parametrize("case", CASES)
def test_input_runs_nothing_and_is_named(
    case: Hostile, place: Place, bench: Bench, usual: Callable[[str], float]
) -> None:
    arguments = case.arguments(place)
    before = place.snapshot()

    outcome = bench(arguments, place.root)

    check(case, place, before, outcome.code, outcome.said)
    if os.environ.get(MEASURED):
        # llama.cpp and what renders templates are started before they meet the input.
        started = case.harmless or case.plugins != USUAL
        assert outcome.seconds < SECONDS + (usual(case.plugins) if started else 0)
    assert outcome.mebibytes < MEBIBYTES


@pytest.mark.parametrize("case", [pytest.param(c, id=str(c)) for c in CORPUS[7::60]])
def test_the_same_is_so_in_a_process_of_its_own(
    case: Hostile, place: Place, uploader: Uploader
) -> None:
    arguments = case.arguments(place)
    before = place.snapshot()

    done: subprocess.CompletedProcess[str] = uploader(*arguments)

    check(case, place, before, done.returncode, done.stderr + done.stdout)
