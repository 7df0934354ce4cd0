"""Files on their way to Ollama: what is there is not sent, be it under the digest of its copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from uploader_core.plugin import StepContext, UploadFile
from uploader_ollama.model.pieces import Piece
from uploader_ollama.server.client import Client
from uploader_ollama.server.copied import copied_digest


@dataclass
class Sending:
    """The files of one upload, one after the other.

    Attributes:
        context: Of the step.
        client: Of the Ollama.
        bytes: That went out so far.
    """

    context: StepContext
    client: Client
    bytes: int = 0
    _done: int = 0
    _copies: dict[str, str] = field(default_factory=dict)

    def bring(self, piece: Piece) -> str:
        """Make Ollama have a model, and return the digest that it has it by.

        Ollama copies what it gets and drops the file itself at its next start, when nothing names
        it any more. Of the copy it makes the same copy again, so it serves as well.
        """
        digest = digest_of(piece.file)
        if piece.facts.role == "model" and not self.client.has_blob(digest):
            copy = f"sha256:{self.copy_of(piece)}"
            if self.client.has_blob(copy):
                self._advance(piece.file)
                return copy
        self.send(piece.file)
        return digest

    def send(self, file: UploadFile) -> None:
        """Make Ollama have a file."""
        total = sum(f.size for f in self.context.files)
        here = 0

        def sent(size: int) -> None:
            nonlocal here
            here, self.bytes = here + size, self.bytes + size
            what = f"sending: {PurePosixPath(file.name).name}"
            self.context.progress(what, min(self._done + here, total), total)

        self.client.send_blob(file.path, file.size, digest_of(file), sent)
        self._advance(file)

    def copy_of(self, piece: Piece) -> str:
        """Return the digest of the copy that Ollama makes of a model; it is computed once."""
        file = piece.file
        if file.name not in self._copies:

            def hashed(done: int) -> None:
                self.context.progress(f"hashing: {file.name}", min(done, file.size), file.size)

            self._copies[file.name] = copied_digest(file.path, hashed)
        return self._copies[file.name]

    def _advance(self, file: UploadFile) -> None:
        self._done += file.size
        self.context.progress("sending", self._done, sum(f.size for f in self.context.files))


def digest_of(file: UploadFile) -> str:
    """Return a file's digest as Ollama writes it."""
    return f"sha256:{file.sha256}"
