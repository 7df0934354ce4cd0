"""What the loopback Hub keeps on disk: objects by digest, and one JSON file per repository."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
_TAG = 32
"""Digits of a part's digest that serve as its ETag."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a commit.

    Attributes:
        sha256: Digest of the content, by which it is stored.
        size: Bytes of the content.
        oid: Git blob id: of the content, or of the pointer when it is an LFS file.
        lfs: Whether git holds a pointer only.
    """

    sha256: str
    size: int
    oid: str
    lfs: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit with its whole tree."""

    sha: str
    title: str
    description: str
    parent: str | None
    time: float
    files: Mapping[str, Entry]


@dataclass
class Repo:
    """A model repository.

    Attributes:
        id: ``owner/name``.
        private: Visibility.
        commits: By sha.
        branches: Name to sha; ``main`` is always there.
        tags: Name to sha.
        pulls: Title, author and status of pull requests by number; their branches are
            ``refs/pr/N``.
        gated: False, ``auto`` or ``manual``: who wants to read the files has to be accepted.
        accepted: Users that were.
    """

    id: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, dict[str, Any]] = field(default_factory=dict)
    gated: bool | str = False
    accepted: list[str] = field(default_factory=list)

    def resolve(self, revision: str) -> Commit | None:
        """Find a commit by branch, tag, pull request or sha."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(sha)

    @property
    def size(self) -> int:
        """Bytes of every object that some commit holds, each once: what the Hub counts."""
        entries = {e.sha256: e.size for c in self.commits.values() for e in c.files.values()}
        return sum(entries.values())

    def history(self, revision: str) -> Iterator[Commit]:
        """Walk from a revision to the first commit."""
        commit = self.resolve(revision)
        while commit is not None:
            yield commit
            commit = self.commits.get(commit.parent) if commit.parent else None


def blob_id(content: bytes) -> str:
    """Return the id that git gives a blob: sha1 over ``blob <size>\\0<content>``."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 - git's own


def pointer(sha256: str, size: int) -> bytes:
    """Return the pointer file that git holds in place of an LFS object."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return text.encode("ascii")


def pointer_size(sha256: str, size: int) -> int:
    """Return the bytes of an object's pointer file."""
    return len(pointer(sha256, size))


class Store:
    """Repositories and objects below a folder; a new server on the folder finds them again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.guard = threading.RLock()
        self.repos: dict[str, Repo] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        (folder / "objects").mkdir(parents=True, exist_ok=True)
        (folder / "repos").mkdir(exist_ok=True)
        for path in sorted((folder / "repos").glob("*.json")):
            repo = _repo_from_json(json.loads(path.read_text("utf-8")))
            self.repos[repo.id] = repo
        if (folder / "collections.json").is_file():
            self.collections = json.loads((folder / "collections.json").read_text("utf-8"))

    def object(self, sha256: str) -> Path:
        return self.folder / "objects" / sha256

    def has(self, sha256: str) -> bool:
        return self.object(sha256).is_file()

    def size(self, sha256: str) -> int | None:
        """Return the bytes of an object, None when it was never stored."""
        return self.object(sha256).stat().st_size if self.has(sha256) else None

    def put(self, content: bytes) -> str:
        """Store a small object and return its digest."""
        digest = hashlib.sha256(content).hexdigest()
        if not self.has(digest):
            self._write(self.object(digest), [content])
        return digest

    def receive(self, blocks: Iterable[bytes], sha256: str) -> bool:
        """Store a stream; False when its digest is another, and then nothing is kept."""
        return self._write(self.object(sha256), blocks, sha256=sha256) is not None

    def put_part(self, sha256: str, number: int, blocks: Iterable[bytes]) -> str:
        """Store one part of an object that comes in several; return the part's tag."""
        return str(self._write(self._part(sha256, number), blocks))[:_TAG]

    def join_parts(self, sha256: str, parts: list[tuple[int, str]]) -> bool:
        """Make an object of its parts.

        Args:
            sha256: Digest that the whole must have.
            parts: Number and tag of each, in order.

        Returns:
            False when a part is missing or is not the one with this tag, or when the whole has
            another digest.
        """
        paths = [self._part(sha256, number) for number, _ in parts]
        tags = [_digest(path)[:_TAG] if path.is_file() else None for path in paths]
        if tags != [tag for _, tag in parts]:
            return False
        blocks = (block for path in paths for block in _blocks(path))
        if not self.receive(blocks, sha256):
            return False
        for path in paths:
            path.unlink()
        return True

    def _part(self, sha256: str, number: int) -> Path:
        return self.folder / f"{sha256}.part{number:05}"

    def _write(
        self, path: Path, blocks: Iterable[bytes], *, sha256: str | None = None
    ) -> str | None:
        """Write a file that is there whole or not at all, also after a power cut.

        Returns:
            Its digest, or None when ``sha256`` was given and is another.
        """
        digest = hashlib.sha256()
        partial = self.folder / f"{path.name}.{threading.get_ident()}.partial"
        try:
            with partial.open("wb") as file:
                for block in blocks:
                    digest.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            if sha256 not in (None, digest.hexdigest()):
                return None
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return digest.hexdigest()

    def create(self, repo_id: str, *, private: bool) -> Repo:
        """Create a repository with the commit that the Hub makes at first."""
        repo = Repo(id=repo_id, private=private)
        content = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
        entry = Entry(self.put(content), len(content), blob_id(content), lfs=False)
        self.repos[repo_id] = repo
        self.add_commit(repo, "main", "initial commit", "", {".gitattributes": entry})
        return repo

    def add_commit(
        self, repo: Repo, branch: str, title: str, description: str, files: Mapping[str, Entry]
    ) -> Commit:
        """Append a commit to a branch and write the repository's file."""
        parent = repo.branches.get(branch)
        tree = sorted((name, entry.oid) for name, entry in files.items())
        moment = time.time()
        text = json.dumps([parent, title, description, tree, moment, len(repo.commits)])
        sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - as long as git's
        commit = Commit(sha, title, description, parent, moment, dict(files))
        repo.commits[sha] = commit
        repo.branches[branch] = sha
        self.save(repo)
        return commit

    def save(self, repo: Repo) -> None:
        """Write a repository's file."""
        self._write(self._path(repo.id), [json.dumps(asdict(repo)).encode()])

    def save_collections(self) -> None:
        """Write the collections' file."""
        self._write(self.folder / "collections.json", [json.dumps(self.collections).encode()])

    def delete(self, repo_id: str) -> None:
        del self.repos[repo_id]
        self._path(repo_id).unlink(missing_ok=True)

    def _path(self, repo_id: str) -> Path:
        return self.folder / "repos" / (repo_id.replace("/", "--") + ".json")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            yield block


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _repo_from_json(data: dict[str, Any]) -> Repo:
    commits = {
        sha: Commit(
            **{
                **commit,
                "files": {name: Entry(**entry) for name, entry in commit["files"].items()},
            }
        )
        for sha, commit in data["commits"].items()
    }
    return Repo(**{**data, "commits": commits})
