"""What a destination says when it cannot work, or shall not: a wrong secret, a server that is not
there, a release with a token in it."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from uploader_core.artifact import UploadFile
from uploader_core.contract.specs import UploadSpec
from uploader_core.disk.safe_write import hash_file
from uploader_kit.announcing import announce, does_not_apply
from uploader_kit.conformance import StepConformance, expect
from uploader_kit.destination import moved


class RefusalConformance(StepConformance):
    """Checks of what is said in advance or at once; :class:`UploadConformance` inherits them.

    Attributes:
        check_limit: Seconds that the check may take.
    """

    spec_type = UploadSpec
    check_limit: ClassVar[float] = 60.0

    def test_check_answers(self) -> None:
        """The preflight runs in a worker with the secrets and does not refuse a good target."""
        spec = self.the_spec()
        if spec.check is None:
            does_not_apply("the destination has no check")
        with self._open("check") as (_, trial):
            result = replace(trial, limit=self.check_limit).check()
            expect(result.error is None, f"{spec.check}: {result.error}")

    def test_wrong_secret_is_an_auth_error(self) -> None:
        """A secret that the server does not know ends as AuthError. Announced: it warns today."""
        with self._open("stranger") as (place, trial):
            names = [n for n in trial.spec.secrets if place.environment.get(n)]
            if not names:
                does_not_apply("the destination is given no secret here")
            wrong = {name: "wrong-" + place.environment[name][::-1] for name in names}
            error = replace(trial, environment={**trial.environment, **wrong}).run().error
        if error is None:
            does_not_apply("the server on this machine lets everybody in")
        self._expect_sentence(error, 6, "AuthError", "a secret that the server does not know")

    def test_absent_server_is_temporary(self) -> None:
        """A server that does not answer is a TemporaryError, in time. Announced: it warns today."""
        with self._open("absent") as (place, trial):
            if place.url is None:
                does_not_apply("there is no server")
            target, environment = moved(place, _nobody_at(place.url))
            changed = {**trial.environment, **environment}
            error = replace(trial, target=target, environment=changed).run().error
        expect(error is not None, "nobody listens at the address, and a receipt was given")
        self._expect_sentence(error, 5, "TemporaryError", "a server that does not answer")

    def test_secret_in_a_text_is_not_published(self) -> None:
        """A text file with a token in it stops the upload. Announced: it warns today."""
        with self._open("leak") as (place, trial):
            if place.url is None:
                does_not_apply("what stays on this machine is read by nobody else")
            files = _with_a_token(trial.files)
            error = replace(trial, files=files).run().error
        if error is None:
            announce(
                self.plugin,
                "a token in README.md was published: call uploader_core.plugin.refuse_secrets "
                "before the first byte",
            )
            return
        expect(error.exit_code == 4, f"raise RefusedError, not {type(error).__name__}: {error}")
        expect(_TOKEN not in str(error.to_json()), "the error has the token in it")

    def _expect_sentence(self, error: Any, code: int, name: str, about: str) -> None:
        expect(error.next, f"{error.what!r} does not say what to do next")
        if error.exit_code != code:
            announce(
                self.plugin,
                f"{about} must end as {name}, so that whoever runs it knows whether to wait or to "
                f"log in, and not as {type(error).__name__}: {error.what}",
            )

    def _open(self, name: str, *, bad_line: bool = False) -> AbstractContextManager[Any]:
        raise NotImplementedError


_TOKEN = "hf" + "_KitKitAbCdEfGhIjKlMnOpQrStUvWx01"


def _with_a_token(files: tuple[UploadFile, ...]) -> tuple[UploadFile, ...]:
    """Write a token into the README of a release, which is still as it was recorded."""
    found = []
    for file in files:
        if file.name == "README.md":
            file.path.write_text(f"# A model\n\nlog in with {_TOKEN}\n", "utf-8")
            size, sha256 = hash_file(file.path)
            file = replace(file, size=size, sha256=sha256)
        found.append(file)
    return tuple(found)


def _nobody_at(url: str) -> str:
    """Return the address with a port of this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return urlunsplit(urlsplit(url)._replace(netloc=f"127.0.0.1:{port}"))
