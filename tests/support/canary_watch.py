"""Watch what becomes of secrets: every process of a run, and the documents, say what they see.

:data:`MODULES` goes on the import path of a run. ``sitecustomize`` writes down the environment of
each Python process and the modules of ours that it imports, and breaks the step that is to fail.
``witness_step`` puts the environment of its step into a document, which is released and published.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

MODULES = {
    "sitecustomize": """
        import json, os, re, signal, sys, tempfile

        if folder := os.environ.get("CANARY_SEEN"):
            arguments = " ".join(sys.orig_argv)
            said, _ = tempfile.mkstemp(".jsonl", dir=folder)

            def say(what):
                os.write(said, json.dumps(what).encode() + b"\\n")

            say({"arguments": arguments, "environment": dict(os.environ)})
            breaks, _, how = os.environ.get("CANARY_BREAKS", "").partition("=")

            def watch(event, given):
                if event == "import" and given[0].startswith(("uploader_", "witness_")):
                    say(given[0])
                if event != "open" or not breaks or "workers.child" not in arguments:
                    return
                if given[2] & (os.O_WRONLY | os.O_RDWR) and re.search(breaks, str(given[0])):
                    say({"broke": str(given[0])})
                    if how == "kill":
                        os.kill(os.getpid(), signal.SIGKILL)
                    everything = "\\n".join(f"{k}={v}" for k, v in os.environ.items())
                    print(everything)
                    print(everything, file=sys.stderr)
                    raise RuntimeError(everything)

            sys.addaudithook(watch)
    """,
    "witness_plugin": """
        from uploader_core.plugin import DocumentSpec, hookimpl

        @hookimpl
        def uploader_documenters():
            for scope in ("artifact", "place"):
                yield DocumentSpec(
                    name=f"witness-{scope}",
                    summary="what a step sees",
                    output=f"witness-{scope}.json",
                    scope=scope,
                    run="witness_step:write",
                    order=90,
                )
    """,
    "witness_step": """
        import json, os
        import witness_plugin  # which is told of; what is named in a spec is not

        def write(context):
            text = json.dumps(dict(os.environ), indent=1)
            print(text)
            name = "place" if context.files else "artifact"
            context.output.write(f"witness-{name}.json", text, role="document")
            return context.artifact()
    """,
}
"""A distribution that is installed for the run."""
POINTS = dict.fromkeys(("plugins", "documents"), {"witness": "witness_plugin"})

# Whose steps may hold what; nobody's hold the rest.
OWNERS = {
    "hub": "uploader_hf",
    "signing": "uploader_provenance",
    "registry": "uploader_oci",
    "nobody": "",
}


def lines_of(value: str) -> set[str]:
    """Return a secret, and of one of several lines those that only it has."""
    return {value, *re.findall(r"^[A-Za-z0-9+/=]{40,}$", value, re.MULTILINE)}


def found_in(content: bytes, secrets: Iterable[str]) -> list[str]:
    """Return those of some secrets that are in a content."""
    return [secret for secret in secrets if secret.encode() in content]


def processes_with(secrets: Mapping[str, Iterable[str]], run: int) -> list[str]:
    """Return processes that hold secrets and should not, by what the system says of them.

    Nobody's arguments may hold one. Environments may: of the run itself, and of its workers those
    of one group of secrets. Which steps those are of is told by :func:`steps_with`.

    Args:
        secrets: By group, see :data:`OWNERS`.
        run: Number of its process.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
            parent = re.search(r"^PPid:\s*(\d+)$", (folder / "status").read_text(), re.MULTILINE)
            became = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if not arguments or became != arguments:
            continue  # between its fork and its program: neither one nor the other
        # A child that was forked a moment ago is still called as its parent.
        itself = folder.name == str(run) or b"\0--debug\0" in arguments
        worker = (
            parent is not None
            and parent[1] == str(run)
            and b"uploader_core.workers.child" in arguments
        )
        held = [group for group, known in secrets.items() if found_in(environment, known)]
        shown = [s for known in secrets.values() for s in found_in(arguments, known)]
        if shown or (held and not itself and not (worker and len(held) == 1)):
            found.append(f"{shown} {held}: {arguments.decode('utf-8', 'replace')}")
    return found


def steps_with(secrets: Mapping[str, Iterable[str]], folder: Path) -> list[str]:
    """Return workers that hold secrets and do other work, by what they said of themselves.

    Args:
        secrets: By group, see :data:`OWNERS`.
        folder: Where they said it.
    """
    found = []
    for path in folder.glob("*.jsonl"):
        # One that was killed when it began has said nothing, or half a line.
        lines = path.read_text("utf-8").splitlines(keepends=True)
        said = [json.loads(line) for line in lines if line.endswith("\n")]
        if not said:
            continue
        first, *more = said
        if "workers.child" not in first["arguments"]:
            continue
        modules = [name for name in more if isinstance(name, str)]
        packages = {name.partition(".")[0] for name in modules} - {"uploader_core"}
        environment = json.dumps(first["environment"], ensure_ascii=False).encode()
        for group, known in secrets.items():
            forms = {json.dumps(secret)[1:-1] for secret in known}
            if found_in(environment, forms) and packages - {OWNERS[group]}:
                found.append(f"{group}: {sorted(packages)}")
    return found


def saying(text: str, folder: Path) -> int:
    """Return how many processes said something of themselves."""
    return len([path for path in folder.glob("*.jsonl") if text in path.read_text("utf-8")])


def files_with(secrets: Iterable[str], folder: Path) -> list[str]:
    """Return files below a folder that hold a secret."""
    known = [form.encode() for secret in secrets for form in (secret, json.dumps(secret)[1:-1])]
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [f"{os.fspath(path)}: {s!r}" for s in known if s in content]
    return found
