"""An implementation of fsspec like any other: objects in memory, behind a line that can break."""

from __future__ import annotations

from typing import Any, ClassVar

from fsspec.implementations.memory import MemoryFileSystem


class LineFileSystem(MemoryFileSystem):
    """``line://``.

    Attributes:
        breaks: How many reads are still to break off.
        reads: Ranges that were read: name, start, stop.
        written: Names that were written, in order.
    """

    protocol = "line"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    breaks: ClassVar[int] = 0
    reads: ClassVar[list[tuple[str, int, int]]] = []
    written: ClassVar[list[str]] = []

    @classmethod
    def forget(cls) -> None:
        """Have nothing, and nothing on record."""
        cls.store.clear()
        cls.pseudo_dirs[:] = [""]
        cls.breaks = 0
        cls.reads.clear()
        cls.written.clear()

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        text = str(path).removeprefix("line://").strip("/")
        return f"/{text}" if text else ""

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        cls = type(self)
        if cls.breaks > 0:
            cls.breaks -= 1
            raise ConnectionResetError(104, "Connection reset by peer")
        cls.reads.append((path.rpartition("/")[2], start, end))
        found: bytes = super().cat_file(path, start=start, end=end, **kwargs)
        return found

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        type(self).written.append(rpath.rpartition("/")[2])
        super().put_file(lpath, rpath, **kwargs)
