"""What a pipeline shall do, whatever CI runs it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

OUTPUT = "release"
LOG = "release.log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A release on a tag.

    Attributes:
        source: Folder in the repository, or a name that a plugin can fetch.
        destinations: ``scheme:rest`` each.
        plugins: Formats; none for those that are the default.
        base: As ``--base``.
        name: As ``--name``.
        limits: Options of the fidelity gate with their values.
        options: More options of ``uploader run``, as they are typed.
        sign: Whether it is signed with the identity of the job.
        tags: Which tags make a release, as a shell pattern.
        python: Version.
        requirements: Name of the file with the versions.
        cached: Folder or file by which the downloads are known again.
    """

    source: str
    destinations: tuple[str, ...]
    plugins: tuple[str, ...] = ()
    base: str | None = None
    name: str | None = None
    limits: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    sign: bool = True
    tags: str = "v*"
    python: str = "3.11"
    requirements: str = "uploader-requirements.txt"
    cached: str = ""

    @property
    def resource(self) -> str:
        """The repository that the identity is for, where one goes to the Hub; "" otherwise."""
        hub = (to.partition(":")[2] for to in self.destinations if to.startswith("hf:"))
        return next(hub, "")

    def plan(self, tag: str) -> str:
        """Return the command that shows what would be done, and asks everybody for leave.

        Args:
            tag: How the shell knows the tag.
        """
        return self._command("plan", *self._published(tag))

    def make(self) -> str:
        """Return the command that makes and measures, and sends nothing."""
        return self._command("run", *self._made())

    def publish(self, tag: str) -> str:
        """Return the command that signs and sends what was made.

        Args:
            tag: How the shell knows the tag.
        """
        return self._command("run", *self._published(tag))

    def verify(self) -> str:
        """Return the command that compares what was made with its manifest."""
        return f"uploader verify {OUTPUT}"

    def _made(self) -> list[str]:
        words = ["--output", OUTPUT]
        if self.plugins:
            words += ["--plugins", ",".join(self.plugins)]
        for option, value in (("--base", self.base), ("--name", self.name)):
            words += [option, value] if value else []
        words += ["--measure"] if self.limits else []
        return [*map(shlex.quote, (*words, *self.limits, *self.options)), "--yes"]

    def _published(self, tag: str) -> list[str]:
        words = self._made()[:-1]
        for to in self.destinations:
            words += ["--to", shlex.quote(to)]
        if self.resource:
            words += ["--hf-tag", f'"{tag}"']
        words += ["--provenance-keyless"] if self.sign else []
        return [*words, "--yes"]

    def _command(self, verb: str, *words: str) -> str:
        kept = [word for word in words if verb == "run" or word != "--yes"]
        lines: list[str] = [f"uploader {verb} {shlex.quote(self.source)}"]
        for word in kept:
            # A line for each option, so that a change is one line.
            if word.startswith("--"):
                lines.append(word)
            else:
                lines[-1] += f" {word}"
        return " \\\n  ".join(lines)
