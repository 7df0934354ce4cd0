"""What strace writes of several processes is read as what each of them did."""

from __future__ import annotations

from pathlib import Path

from uploader_kit.tracing import written

TRACE = """\
7 openat(AT_FDCWD</work>, "/inside/a", O_WRONLY|O_CREAT, 0666) = 3</inside/a>
7 openat(AT_FDCWD</work>, "/home/read", O_RDONLY) = 3</home/read>
8 openat(AT_FDCWD</work>, "/home/was-here", O_WRONLY|O_CREAT|O_TRUNC, 0666 <unfinished ...>
7 mkdir("/home/failed", 0777) = -1 EEXIST (File exists)
8 <... openat resumed>) = 3</home/was-here>
9 rename("/inside/a",  <unfinished ...>
9 <... rename resumed>"/home/b") = 0
10 unlink("/home/never") <unfinished ...>
"""


def test_call_that_stands_in_two_lines_is_seen(tmp_path: Path) -> None:
    log = tmp_path / "trace.txt"
    log.write_text(TRACE, "utf-8")
    assert written(log, [Path("/inside")]) == ["/home/was-here", "/home/b"]
