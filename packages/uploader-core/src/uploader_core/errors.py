"""Every error that uploader raises on purpose, in one tree.

::

    UploaderError                     1   unexpected
    ├── UsageError                    2   the request itself is wrong
    ├── PartialError                  3   some steps are done, some are not
    ├── RefusedError                  4   preflight or policy said no
    │   ├── SourceError               4   adapter or base cannot be used as it is
    │   ├── SpaceError                4   disk or memory would not suffice
    │   └── FidelityError             9   a format lost too much, or nobody knows
    ├── TemporaryError                5   the same command may work later
    ├── AuthError                     6   no token, wrong token, wrong account
    ├── IntegrityError                7   bytes are not what their record says
    └── PluginError                   8   a plugin or a tool is missing or failed
        ├── PluginNotInstalledError
        ├── PluginBrokenError
        └── StepFailedError

An error says four things: what failed, where it comes from, what is safe, and the next command.
They are fields and not one text, so that a terminal, a JSON consumer and a worker process carry the
same. Whoever knows more about an error than the one who raised it makes a new one with
:meth:`UploaderError.replace`.

Plugins may subclass any of them. Such a class need not be importable where the error arrives: what
crosses a process boundary names the nearest class of this module, and keeps exit code and id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, TypeVar

E = TypeVar("E", bound="UploaderError")


class UploaderError(Exception):
    """Base of the tree.

    Args:
        what: What failed, one sentence with the values that matter.
        owner: Where it comes from: a file, a plugin with its version, a server.
        safe: What is untouched or kept, so that nobody has to wonder.
        next: The command or edit that helps, ready to be typed.

    Attributes:
        reasons: The errors of which this one was made; empty for an error of its own.
    """

    exit_code: ClassVar[int] = 1
    error_id: ClassVar[str] = "UPL-UNEXPECTED"
    reasons: tuple[UploaderError, ...] = ()

    def __init__(
        self,
        what: str,
        *,
        owner: str | None = None,
        safe: str | None = None,
        next: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.owner = owner
        self.safe = safe
        self.next = next

    def __str__(self) -> str:
        return self.what

    def replace(
        self: E,
        *,
        what: str | None = None,
        owner: str | None = None,
        safe: str | None = None,
        next: str | None = None,
    ) -> E:
        """Return an error of the same class in which the given fields are other ones.

        The error itself stays as it is: it may be in a log, or in another thread, already.
        """
        # Not through __init__, for a plugin's own class may take other arguments.
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        given = {"what": what, "owner": owner, "safe": safe, "next": next}
        new.__dict__.update({k: v for k, v in given.items() if v is not None})
        new.args = (new.what,)
        new.__cause__, new.__traceback__ = self.__cause__, self.__traceback__
        new.__suppress_context__ = self.__suppress_context__
        return new

    def to_json(self) -> dict[str, str | int | None]:
        """Return the fields for consumers of JSON."""
        return {
            "error": type(self).__name__,
            "error_id": self.error_id,
            "exit_code": self.exit_code,
            "what": self.what,
            "owner": self.owner,
            "safe": self.safe,
            "next": self.next,
        }


class UsageError(UploaderError):
    """The request itself is wrong: an unknown name, an impossible combination."""

    exit_code = 2
    error_id = "UPL-USAGE"


class PartialError(UploaderError):
    """Some steps are done and kept, others failed."""

    exit_code = 3
    error_id = "UPL-PARTIAL"


class RefusedError(UploaderError):
    """Preflight or policy refused before anything was harmed."""

    exit_code = 4
    error_id = "UPL-REFUSED"


class FidelityError(RefusedError):
    """A format lost more than is allowed, or it is not known how much: it is not published."""

    exit_code = 9
    error_id = "UPL-FIDELITY"


class SourceError(RefusedError):
    """The adapter or the base cannot be used as it is."""

    error_id = "UPL-SOURCE"


class SpaceError(RefusedError):
    """Disk or memory does not suffice."""

    error_id = "UPL-SPACE"


class TemporaryError(UploaderError):
    """A fault that may pass; the same command may work later."""

    exit_code = 5
    error_id = "UPL-TEMPORARY"


class AuthError(UploaderError):
    """No token, a wrong token, or one without the right to do this."""

    exit_code = 6
    error_id = "UPL-AUTH"


class IntegrityError(UploaderError):
    """Bytes are not what their record says."""

    exit_code = 7
    error_id = "UPL-INTEGRITY"


class PluginError(UploaderError):
    """A plugin or a tool is missing or failed."""

    exit_code = 8
    error_id = "UPL-PLUGIN"


class PluginNotInstalledError(PluginError):
    """Nothing installed answers to this plugin id, kind or scheme."""

    error_id = "UPL-PLUGIN-MISSING"


class PluginBrokenError(PluginError):
    """A plugin cannot be imported, or what it registers is not valid."""

    error_id = "UPL-PLUGIN-BROKEN"


class StepFailedError(PluginError):
    """A step ended without a result: it raised, crashed, was killed or hung."""

    error_id = "UPL-STEP"


class CancelledError(UploaderError):
    """The user stopped the run; everything finished so far is kept."""

    exit_code = 130
    error_id = "UPL-INTERRUPTED"


_CLASSES = {
    c.__name__: c
    for c in list(vars().values())
    if isinstance(c, type) and issubclass(c, UploaderError)
}


def once(errors: list[UploaderError]) -> list[UploaderError]:
    """Leave out what was said already: several formats are often stopped by the same thing.

    Args:
        errors: In the order in which they are told.
    """
    found: dict[str, UploaderError] = {}
    for error in errors:
        found.setdefault(error.what, error)
    return [*found.values()]


def combine(errors: list[UploaderError]) -> UploaderError:
    """Make one error of all the reasons for a refusal; a single one stays as it is.

    What several steps say alike is one reason.
    """
    errors = once(errors)
    if len(errors) == 1:
        return errors[0]
    codes = {error.exit_code for error in errors}
    kind = type(errors[0]) if len(codes) == 1 else RefusedError
    whats = "\n".join(f"  {n}. {error.what}" for n, error in enumerate(errors, 1))
    nexts = "\n".join(
        f"  {n}. {error.next}" for n, error in enumerate(errors, 1) if error.next is not None
    )
    combined = kind(
        f"{len(errors)} things stand in the way:\n{whats}",
        safe="nothing was started",
        next=f"\n{nexts}" if nexts else None,
    )
    combined.reasons = tuple(errors)
    return combined


def of_several(errors: Iterable[UploaderError | None]) -> type[UploaderError]:
    """Return the class of error of a run in which several steps failed, or one of many."""
    fidelity = all(isinstance(error, FidelityError) for error in errors)
    return FidelityError if fidelity else PartialError


def refuse_if(errors: Iterable[UploaderError]) -> None:
    """Raise the errors as one, if there are any."""
    if found := list(errors):
        raise combine(found)


def to_message(error: UploaderError) -> dict[str, str | int | None]:
    """Return an error's fields and the nearest class of this module, for another process."""
    nearest = next(c.__name__ for c in type(error).__mro__ if c in _CLASSES.values())
    return {**error.to_json(), "is_a": nearest}


def from_json(data: Mapping[str, object]) -> UploaderError:
    """Rebuild an error that another process sent.

    Args:
        data: What :func:`to_message` or :meth:`UploaderError.to_json` returned there.

    Returns:
        The error in its own class when that is one of this module. Otherwise in a class of the
        same name, exit code and id below the nearest class of this module, as far as it is named.
    """
    name, code, error_id = (data.get(key) for key in ("error", "exit_code", "error_id"))
    cls = _CLASSES.get(str(data.get("is_a"))) or _CLASSES.get(str(name), UploaderError)
    if isinstance(name, str) and "is_a" in data and name != cls.__name__:
        own: dict[str, object] = {"__doc__": f"{name}, as another process sent it."}
        if isinstance(code, int) and 0 < code < 256:
            own["exit_code"] = code
        if isinstance(error_id, str):
            own["error_id"] = error_id
        cls = type(name, (cls,), own)

    def text(key: str) -> str | None:
        value = data.get(key)
        return None if value is None else str(value)

    return cls(
        text("what") or "unknown error", owner=text("owner"), safe=text("safe"), next=text("next")
    )
