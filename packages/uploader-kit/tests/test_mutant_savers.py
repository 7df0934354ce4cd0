"""Savers that break one rule each, and what the kit says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kit_plugins import failed_checks, saver, told

pytestmark = pytest.mark.usefixtures("home")

# What a saver does at its end, and the checks that say so.
SAVERS = {
    "other": (
        "return context.artifact()",
        "import dataclasses; return dataclasses.replace(context.artifact(), kind='acme.z')",
        "step runs in a worker",
    ),
    "nil": ("return context.artifact()", "return None", "step runs in a worker"),
    "helpless": (', next="save it again"', "", "failure names the plugin"),
    "torn": (
        'context.output.write("copy.safetensors", data, role="weights")',
        "import time; place = context.output.path; place.mkdir(parents=True, exist_ok=True)\n"
        "    file = (place / 'copy.safetensors').open('wb'); file.write(data[:9]); file.flush()\n"
        "    time.sleep(0.2); file.write(data[9:]); file.close()",
        "manifest matches files",
    ),
}


@pytest.mark.parametrize("name", SAVERS)
def test_saver(install: Callable[..., None], site: Path, name: str) -> None:
    old, new, wanted = SAVERS[name]
    case = saver(install, name, "", "pass")
    work = site / f"acme_{name}_work.py"
    text = work.read_text("utf-8")
    assert old in text
    work.write_text(text.replace(old, new), "utf-8")
    assert wanted in failed_checks(case)


# What the saver does before it writes its file; the check that says so, and words of its sentence.
WRONGS = {
    "program-writes": (
        "subprocess.run(['sh', '-c', 'echo x > ~/was-here'])",
        "programs that it starts write nothing elsewhere",
        "was-here",
    ),
    "program-asks": (
        "subprocess.run(['bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/9'], stderr=-3)",
        "programs that it starts use no network",
        "127.0.0.1 port 9",
    ),
    "random": (
        "data += random.randbytes(4)",
        "same input gives the same bytes",
        "nothing was changed between the two",
    ),
    "number": (
        "data += str(os.getpid()).encode()",
        "same input gives the same bytes",
        "process numbers",
    ),
    "hour": (
        "data += time.strftime('%H').encode()",
        "same input gives the same bytes",
        "only the clock was another",
    ),
    "date": (
        "data += str(datetime.date.today()).encode()",
        "same input gives the same bytes",
        "only the clock was another",
    ),
    "order": (
        "data += ' '.join({'q', 'k', 'v', 'o', 'up', 'down'}).encode()",
        "same input gives the same bytes",
        "PYTHONHASHSEED",
    ),
    "host": (
        "data += socket.gethostname().encode()",
        "same input gives the same bytes",
        "only the names of host and user",
    ),
    "input-path": (
        "data += str(path).encode()",
        "nothing about this machine is told",
        "copy.safetensors has a path of this machine",
    ),
    "key-inside": (
        "context.output.write('notes.txt', 'token: hf_' + 'aBcDeFgHiJ' * 4)",
        "nothing about this machine is told",
        "notes.txt has ",
    ),
    "key-as-name": (
        "context.output.write('hf_' + 'aBcDeFgHiJ' * 4, data)",
        "nothing about this machine is told",
        "the name of a file looks like a secret",
    ),
    "metadata": (
        "return context.artifact({'made': time.time()})",
        "same input gives the same bytes",
        "the metadata 'made' is",
    ),
    "busy": ("\n    while True: pass", "step runs in a worker", "still running after 3 s"),
    "endless": (
        "\n    while True: context.progress('on', 1, None); time.sleep(0.05)",
        "step runs in a worker",
        "still running after 3 s",
    ),
    "forgetful": (
        "[context.output.write(f'{n}.bin', data, role='weights') for n in range(3)]",
        "finished files are kept after a kill",
        "ask context.output.done(name)",
    ),
}


@pytest.mark.parametrize("name", WRONGS)
def test_wrong_saver_is_told_its_rule_and_place(install: Callable[..., None], name: str) -> None:
    body, check, words = WRONGS[name]
    case = saver(install, "saver_" + name.replace("-", "_"), "", body)
    vars_of_limit = {"limit": 3.0} if name in ("busy", "endless") else {}
    assert words in told(type("X", (case,), vars_of_limit), check)


def test_difference_is_shown_with_its_place_and_both_values(install: Callable[..., None]) -> None:
    case = saver(install, "stamped", "", "data += time.strftime('=%Y').encode()")
    sentence = told(case, "same input gives the same bytes")
    assert "copy.safetensors differs from byte 4,6" in sentence
    assert sentence.count("=20") == 2


def test_other_bytes_are_not_called_half_written(install: Callable[..., None]) -> None:
    case = saver(install, "dice", "", "data += random.randbytes(4)")
    said = told(case, "killed and run again it gives the same bytes")
    assert said == "the step gives other bytes each time, which is told of it elsewhere"


def test_file_that_is_there_before_it_is_whole_is_found_by_a_kill(
    install: Callable[..., None],
) -> None:
    body = "context.output.path.mkdir(parents=True); f = (context.output.path / 'x.bin').open('wb')"
    case = saver(install, "early", "", f"{body}; f.write(data); f.close(); raise SystemExit")
    wrong = "killed and run again it gives the same bytes"
    assert "SystemExit" in told(case, wrong)
    case = saver(
        install,
        "open",
        "",
        f"{body.replace('parents=True', 'parents=True, exist_ok=True')}; f.write(data); f.close()",
    )
    assert "half-written: x.bin" in told(case, wrong)


def test_three_files_that_are_asked_for_are_kept(install: Callable[..., None]) -> None:
    body = (
        "\n    for n in range(3):"
        "\n        if context.output.done(f'{n}.bin') is None:"
        "\n            context.output.write(f'{n}.bin', data, role='weights')"
    )
    assert told(saver(install, "mindful", "", body), "finished files are kept after a kill") == ""


# The check, estimate or proof of a sound saver; the check that says so, and words of its sentence.
ANSWERS = "check and estimate answer"
NOTHING = "check and estimate write nothing"
RIGHT = "estimate is about right"
LIGHT = {
    "sound": ("estimate", "Estimate(bytes_written=10_000, peak_memory=1 << 20)", RIGHT, ""),
    "check-writes": ("check", "open(os.path.expanduser('~/plan'), 'w').close()", NOTHING, "/plan"),
    "check-makes": ("check", "os.makedirs(context.output)", NOTHING, "os.mkdir"),
    "check-hangs": ("check", "time.sleep(99)", ANSWERS, "check was still running after 2 s"),
    "estimate-hangs": ("estimate", "time.sleep(99)", ANSWERS, "estimate was still running after"),
    "prove-hangs": ("prove", "time.sleep(99)", ANSWERS, "prove was still running after"),
    "nothing": ("estimate", "None", ANSWERS, "did not return an Estimate"),
    "minus": ("estimate", "Estimate(bytes_written=-5)", RIGHT, "bytes_written is -5"),
    "byte": ("estimate", "Estimate(bytes_written=1)", RIGHT, "said 1, the step wrote 4,6"),
    "gigabyte": (
        "estimate",
        "Estimate(bytes_written=10**9)",
        RIGHT,
        "said 1,000,000,000, the step wrote 4,6",
    ),
    "memory": ("estimate", "Estimate(bytes_written=9_000)", RIGHT, "peak_memory said 0 MB"),
}


@pytest.mark.parametrize("name", LIGHT)
def test_what_runs_before_a_step_is_told_its_rule(
    install: Callable[..., None], site: Path, name: str
) -> None:
    function, value, check, words = LIGHT[name]
    body = "spare = bytearray(600 << 20)" if name == "memory" else "pass"
    name = "light_" + name.replace("-", "_")  # modules of other tests stay imported
    case = saver(install, name, "", body)
    plugin, work = site / f"acme_{name}.py", site / f"acme_{name}_work.py"
    given = f'run="acme_{name}_work:save", {function}="acme_{name}_work:{function}"'
    plugin.write_text(plugin.read_text("utf-8").replace(f'run="acme_{name}_work:save"', given))
    result = value if function == "estimate" else f"{value} or ()"
    with work.open("a", encoding="utf-8") as file:
        file.write(f"\ndef {function}(context):\n    return {result}\n")
    limits = {"check_limit": 2.0, "limit": 5.0} if "hangs" in name else {}
    said = told(type("X", (case,), limits), check)
    assert (words in said) if words else said == ""


# What a saver that names pieces does before it writes its file; words of the sentence about it.
PIECES = {
    "sound": (
        "\n    for n in ('1.bin', '2.bin'):"
        "\n        if n in (context.pieces or [n]) and not context.output.done(n):"
        "\n            context.output.write(n, data, role='weights')"
        "\n    if context.pieces: return context.artifact()",
        "",
    ),
    "all-at-once": (
        "[context.output.write(n, data, role='weights') for n in ('1.bin', '2.bin')]",
        "a worker made 2.bin, 1.bin, a piece of another one",
    ),
    "other-bytes": (
        "\n    for n in context.pieces or ('1.bin', '2.bin'):"
        "\n        if not context.output.done(n):"
        "\n            context.output.write(n, data + bytes(len(context.pieces)), role='weights')"
        "\n    if context.pieces: return context.artifact()",
        "made in pieces it has other bytes",
    ),
}


@pytest.mark.parametrize("name", PIECES)
def test_pieces(install: Callable[..., None], site: Path, name: str) -> None:
    body, words = PIECES[name]
    name = "pieces_" + name.replace("-", "_")
    case = saver(install, name, "", body)
    plugin, work = site / f"acme_{name}.py", site / f"acme_{name}_work.py"
    given = f'run="acme_{name}_work:save", estimate="acme_{name}_work:estimate"'
    plugin.write_text(plugin.read_text("utf-8").replace(f'run="acme_{name}_work:save"', given))
    with work.open("a", encoding="utf-8") as file:
        file.write(
            "\ndef estimate(context):"
            "\n    from uploader_core.plugin import Piece"
            "\n    return Estimate(pieces=tuple(Piece(name=f'{n}.bin', size=9) for n in (1, 2)))\n"
        )
    said = told(case, "pieces of several workers give the same bytes")
    assert (words in said) if words else said == ""
