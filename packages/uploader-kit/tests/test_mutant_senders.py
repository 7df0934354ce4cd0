"""Destinations that break one rule each, and what the kit says of them."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Callable, Iterator

import pytest

from kit_plugins import failed_checks, sender, told
from uploader_kit import Destination

pytestmark = pytest.mark.usefixtures("home")

SENDER = """
import os
from pathlib import Path
from uploader_core.plugin import (IntegrityError, RefusedError, UploadSpec, find_leftovers,
                                  hash_file, hookimpl)

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="u", summary="u", scheme="{name}", run="acme_{name}:upload",
                     check="acme_{name}:check", secrets=("ACME_TOKEN",),
                     still_there="acme_{name}:still_there")

def manifest_of(target):
    path = Path(target) / "upload_manifest.json"
    return hash_file(path)[1] if path.exists() else None

def still_there(context):
    return manifest_of(context.target) == context.receipt.revision

def check(context):
    return ()

def upload(context):
    sent = 0
    target = Path(context.target)
    there = [p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()]
    old = target / "upload_manifest.json"
    left = find_leftovers(there, [f.name for f in context.files], context.loads, kinds=(),
                          manifest=old.read_bytes() if old.exists() else None, place="there")
    for file in sorted(context.files, key=lambda file: file.role == "document"):
        place = target / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and hash_file(place)[1] == file.sha256:
            continue
        if hash_file(file.path)[1] != file.sha256:
            raise IntegrityError("it changed", owner=str(file.path), next="run it again")
        partial = place.with_name(place.name + ".partial")
        partial.write_bytes(file.path.read_bytes())
        partial.replace(place)
        sent += file.size
    for name in left.earlier:
        (target / name).unlink()
    for file in context.files:
        if hash_file(target / file.name)[1] != file.sha256:
            raise IntegrityError(f"{{file.name}} is not as it was sent", next="run it again")
    return context.receipt(url="x", files=len(context.files), bytes_sent=sent,
                           revision=manifest_of(target))
"""

# A change of the sound sender, the check that says so, and words of its sentence.
ARRIVES, TWICE = "everything arrives", "second upload sends nothing"
DAMAGE, CHANGED = "damage at the destination is noticed", "file that changed is refused"
REPLACED, KEPT = "second release replaces the first", "replaced release is not kept"
SECRETS, CHILDREN = "secrets are not told", "secrets stay in the upload"
DECLARED = "declared capabilities are true"
LISTED = "        if hash_file(target / file.name)[1] != file.sha256:"
TOKEN = "context.secrets['ACME_TOKEN']"
START = "    sent = 0\n"
BEGUN = '    old = target / "upload_manifest.json"\n'
SENT = "        sent += file.size\n"
SENDERS = {
    "drops": (
        START,
        START + "    import dataclasses\n"
        "    context = dataclasses.replace(context, files=context.files[1:])\n",
        ARRIVES,
        "the receipt counts 3 of 4",
    ),
    "leaves": ("in left.earlier:", "in ():", REPLACED, "of an earlier release is still there"),
    "miscounts": ("files=len(context.files)", "files=0", ARRIVES, "the receipt counts 0 of 4"),
    "million": (
        "files=len(context.files)",
        "files=10**6",
        ARRIVES,
        "the receipt counts 1,000,000 of 4",
    ),
    "nowhere": ('url="x"', 'url=""', ARRIVES, "at no address"),
    "believes": (
        "return manifest_of(context.target) ==",
        "return True or",
        KEPT,
        "still_there says True of a release that is replaced",
    ),
    "doubts": (
        "return manifest_of(context.target) ==",
        "return False and",
        KEPT,
        "still_there says False",
    ),
    "modest": ("sent += file.size", "sent = 0", ARRIVES, "the receipt says 0 of 3,0"),
    "boasts": ("bytes_sent=sent", "bytes_sent=sent or 1", TWICE, "sent 1 bytes again"),
    "truncates": (
        "partial.write_bytes(file.path.read_bytes())",
        "partial.write_bytes(file.path.read_bytes()[:9])",
        ARRIVES,
        "is not as it was sent",
    ),
    "unnamed": (
        'raise IntegrityError("it changed"',
        'raise (lambda *words, **_: PermissionError(*words))("it changed"',
        CHANGED,
        "raise IntegrityError, not",
    ),
    "unlisted": (
        LISTED,
        "        if False:",
        "destination is listed before the receipt",
        "model.safetensors was changed at the destination after it was sent",
    ),
    "hasty": (
        'key=lambda file: file.role == "document"',
        'key=lambda file: file.role != "document"',
        "documents are sent last",
        "README.md was at the destination while model.safetensors was not",
    ),
    "litters": (
        BEGUN,
        BEGUN + "    target.mkdir(); (target / 'notes.txt').write_text('x')\n",
        "nothing else is left at the destination",
        "notes.txt is at the destination and not in context.files",
    ),
    "meddles": (
        START,
        START + "    context.files[0].path.with_name('sent.txt').write_text('x')\n",
        "release folder is left alone",
        "sent.txt",
    ),
    "deletes": (
        SENT,
        SENT + "        file.path.unlink()\n",
        "release folder is left alone",
        "model.safetensors",
    ),
    "tears": (
        'partial = place.with_name(place.name + ".partial")',
        "partial = place",
        "interrupted upload leaves nothing torn",
        "model.safetensors was half there under its final name",
    ),
    "logs": (START, START + f"    context.log.info({TOKEN})\n", SECRETS, "was in the log"),
    "shouts": (START, START + f"    print({TOKEN})\n", SECRETS, "ACME_TOKEN was in the log"),
    "receipts": ('url="x"', f'url="https://" + {TOKEN}', SECRETS, "was in the receipt"),
    "encodes": (
        START,
        START + "    import base64\n    raise RefusedError(base64.b64encode(b'me:' + "
        f"{TOKEN}.encode()).decode())\n",
        SECRETS,
        "ACME_TOKEN was in the error",
    ),
    "progresses": (
        START,
        START + f"    context.progress('as ' + {TOKEN}, 1, 1)\n",
        SECRETS,
        "ACME_TOKEN was in the progress",
    ),
    "names": (
        BEGUN,
        BEGUN + f"    target.mkdir(exist_ok=True); (target / {TOKEN}).write_text('x')\n",
        SECRETS,
        "is in the name of a file at the destination",
    ),
    "argues": (
        START,
        START + f"    import subprocess; subprocess.run(['true', {TOKEN}])\n",
        CHILDREN,
        "ACME_TOKEN in the arguments of true",
    ),
    "bequeaths": (
        START,
        START + "    import subprocess; subprocess.run(['true'])\n",
        CHILDREN,
        "ACME_TOKEN in the environment of true",
    ),
    "refuses": (
        "return ()",
        "raise RefusedError('no', owner='acme', next='go')",
        "check answers",
        "no",
    ),
    "finds": (
        "return ()",
        "from uploader_core.plugin import Finding; return (Finding(level='error', what='no'),)",
        "check answers",
        "no",
    ),
    "hangs": (START, "    import time; time.sleep(99)\n", ARRIVES, "still running after 3 s"),
    "dawdles": ("return ()", "import time; time.sleep(99)", "check answers", "after 3 s"),
    "secretive": (
        'secrets=("ACME_TOKEN",)',
        'secrets=("ACME_TOKEN",), capabilities=("private",)',
        DECLARED,
        "it declares private, and the receipt does not say",
    ),
    "fleeting": (
        'secrets=("ACME_TOKEN",)',
        'secrets=("ACME_TOKEN",), capabilities=("revision",)',
        DECLARED,
        "it declares revision, and the receipt has none",
    ),
    "returns": ("return context.receipt(url=", "return dict(url=", ARRIVES, "context.receipt"),
}


@pytest.mark.parametrize("name", SENDERS)
def test_wrong_destination_is_told_its_rule_and_place(
    install: Callable[..., None], name: str
) -> None:
    old, new, check, words = SENDERS[name]
    assert old in SENDER
    source = SENDER.replace(old, new).replace("{name}", name)
    limits = {"limit": 3.0, "check_limit": 3.0} if name in ("hangs", "dawdles") else {}
    case = type("X", (sender(install, name, source.replace("{{", "{").replace("}}", "}")),), limits)
    assert words in told(case, check)


def test_sound_destination_is_told_nothing(install: Callable[..., None]) -> None:
    assert failed_checks(sender(install, "sound", SENDER.format(name="sound"))) == []


def test_program_that_shall_have_a_secret_may_be_named(install: Callable[..., None]) -> None:
    source = SENDER.replace(START, START + "    import subprocess; subprocess.run(['true'])\n")
    case = sender(install, "rclone", source.format(name="rclone"))
    assert told(type("X", (case,), {"trusted": ("true",)}), CHILDREN) == ""


VERIFIED = """
def verify(context):
    from uploader_core.plugin import Verification, parse_json
    listed = parse_json((Path(context.target) / "upload_manifest.json").read_text())["files"]
    return Verification(files=len(listed), size=1, problems=())
"""


def test_verification_that_never_finds_anything_is_told(install: Callable[..., None]) -> None:
    named = SENDER.replace('secrets=("ACME_TOKEN",)', 'secrets=(), verify="acme_{name}:verify"')
    case = sender(install, "blind", named.format(name="blind") + VERIFIED)
    assert "and verify finds nothing wrong" in told(case, "verification tells damage")


STARTED = """
def clean_up(context):
    for session in {sessions}:
        session.unlink()
"""


@pytest.mark.parametrize(
    ("name", "sessions"), [("tidy", "context.state.iterdir()"), ("untidy", "()")]
)
def test_session_that_stays_open_is_told(
    install: Callable[..., None], name: str, sessions: str
) -> None:
    begun = "    (context.state / 's1').touch()\n    context.progress('sending', 0, 1)\n"
    named = SENDER.replace('secrets=("ACME_TOKEN",)', 'secrets=(), clean_up="acme_{name}:clean_up"')
    source = named.replace(START, begun + START).format(name=name) + STARTED.format(
        sessions=sessions
    )

    class Server(sender(install, name, source)):  # type: ignore[misc]
        @contextlib.contextmanager
        def destination(self) -> Iterator[Destination]:
            with super().destination() as place:
                state = self.root("stopped") / "state"
                yield dataclasses.replace(place, open_sessions=lambda: len([*state.glob("*")]))

    words = told(Server, "stopped upload leaves nothing open")
    assert words == (
        "" if name == "tidy" else "1 sessions are open at the destination after clean_up"
    )


# What a destination does that asks a server, and the words of the check.
ASKED = (
    START
    + """    import os, socket
    from urllib.parse import urlsplit
    from uploader_core.plugin import AuthError, TemporaryError
    at = urlsplit(os.environ["ACME_URL"])
    try:
        socket.create_connection((at.hostname, at.port)).close()
    except OSError:
        raise {absent}("nobody is there", next="start the server") from None
    if context.secrets["ACME_TOKEN"].startswith("wrong"):
        raise {wrong}("the server does not know the token", next="log in")
"""
)
SEARCHES = """    from uploader_core.plugin import refuse_secrets
    refuse_secrets(context.files, "--x-allow-secret")
"""
ANSWERS = {
    "polite": ("TemporaryError", "AuthError", "", ""),
    "gruff": (
        "RefusedError",
        "AuthError",
        "must end as TemporaryError, so that whoever runs it knows whether to wait or to log in",
        "",
    ),
    "shifty": ("TemporaryError", "RefusedError", "", "a secret that the server does not know must"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_how_a_destination_says_that_it_cannot_work(
    install: Callable[..., None], name: str
) -> None:
    absent, wrong, of_absent, of_wrong = ANSWERS[name]
    asking = ASKED.format(absent=absent, wrong=wrong) + SEARCHES * (name == "polite")
    case = sender(install, name, SENDER.format(name=name).replace(START, asking))

    class Server(case):  # type: ignore[misc,valid-type]
        @contextlib.contextmanager
        def destination(self) -> Iterator[Destination]:
            with super().destination() as place, socket.create_server(("127.0.0.1", 0)) as server:
                url = f"http://127.0.0.1:{server.getsockname()[1]}"
                environment = {**place.environment, "ACME_URL": url}
                yield dataclasses.replace(
                    place, url=url, url_variable="ACME_URL", environment=environment
                )

    for check, words in (
        ("absent server is temporary", of_absent),
        ("wrong secret is an auth error", of_wrong),
        ("secret in a text is not published", "" if name == "polite" else "a token in README.md"),
    ):
        said = told(Server, check)
        assert words in said if words else said == ""
