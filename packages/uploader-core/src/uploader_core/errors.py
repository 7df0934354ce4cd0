"""Every error that uploader raises on purpose, in one tree.

::

    UploaderError                     1   unexpected
    ├── UsageError                    2   the request itself is wrong
    ├── PartialError                  3   some steps are done, some are not
    ├── RefusedError                  4   preflight or policy said no
    │   ├── SourceError               4   adapter or base cannot be used as it is
    │   └── SpaceError                4   disk or memory would not suffice
    ├── TemporaryError                5   the same command may work later
    ├── AuthError                     6   no token, wrong token, wrong account
    ├── IntegrityError                7   bytes are not what their record says
    └── PluginError                   8   a plugin or a tool is missing or failed
        ├── PluginNotInstalledError
        ├── PluginBrokenError
        └── StepFailedError

An error says four things: what failed, whose it is, what is safe, and the next command. They are
fields and not one text, so that a terminal, a JSON consumer and a worker process carry the same.
"""

from __future__ import annotations

from typing import ClassVar


class UploaderError(Exception):
    """Base of the tree.

    Args:
        what: What failed, one sentence with the values that matter.
        owner: Whose it is: a file, a plugin with its version, a server.
        safe: What is untouched or kept, so that nobody has to wonder.
        next: The command or edit that helps, ready to be typed.
    """

    exit_code: ClassVar[int] = 1
    error_id: ClassVar[str] = "UPL-UNEXPECTED"

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

    def to_json(self) -> dict[str, str | int | None]:
        """Return the fields that cross a process boundary."""
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


def _tree(root: type[UploaderError]) -> dict[str, type[UploaderError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def from_json(data: dict[str, object]) -> UploaderError:
    """Rebuild an error that a worker process sent.

    Args:
        data: What :meth:`UploaderError.to_json` returned on the other side.

    Returns:
        The error in its own class, or in the base class when a plugin sent one that this version
        of core does not know.
    """
    cls = _tree(UploaderError).get(str(data.get("error")), UploaderError)

    def text(key: str) -> str | None:
        value = data.get(key)
        return None if value is None else str(value)

    return cls(
        text("what") or "unknown error", owner=text("owner"), safe=text("safe"), next=text("next")
    )
