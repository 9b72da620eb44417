"""A content-addressed cache of weights on a volume that several pods may share.

    blobs/sha256/<digest>     complete, verified files; never written again, so they can be read without a lock
                              (writable all the same: NFS evicts, that is locks, only what can be opened for writing)
    refs/<sha256 of URL>.json what a URL gave last: its digest and the validators of a conditional request
    incomplete/<key>.part     a download that is under way or was interrupted
    locks/<key>.lock          held while a file is fetched, so that of several pods one downloads
    derived/…                 what is computed from blobs: small files (the gate's text embeddings), and directories
                              with a `record.json` (converted networks)

A process that serves from a blob, or from a directory of what was derived, holds a shared flock on it; eviction takes
only what it can lock exclusively and what nobody used for a while. Nobody holds the lock between an init container's
fetch and the start of the server, nor while a server that ended waits for its restart: only the time counts then, and
so who serves renews it. All that takes room counts against the limit, what was left half done, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from filelock import FileLock, Timeout

from cetacean_inference.errors import CacheFull, WeightsUnreachable
from cetacean_inference.weights.eviction import Entry, evict

CHUNK: Final = 2**20
RECORD_FILE: Final = "record.json"
"""In each directory of what was derived: what it was made from, and whole once it is there."""
BESIDE: Final = 2**16
"""Bytes that a volume needs beside a file's own: for notes on its download, its ref, and blocks that are not full."""


@dataclass(frozen=True, slots=True)
class Ref:
    """What a URL gave when it was fetched last."""

    url: str
    sha256: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """A file in the cache and where it came from."""

    url: str
    sha256: str
    path: Path


def digest_of(stream: IO[bytes]) -> str:
    """SHA-256 of what is left in `stream`, as 64 hex digits."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


class WeightsCache:
    """The cache under one directory.

    Args:
        root: the directory; made when missing.
        limit_bytes: size of all files together beyond which those unused longest are evicted.
        keep_seconds: files used more recently than this are never evicted.
    """

    def __init__(self, root: Path, *, limit_bytes: int, keep_seconds: float) -> None:
        self.root = root
        self._limit = limit_bytes
        self._keep_seconds = keep_seconds
        self._mine: set[str] = set()
        self._held_open: list[IO[bytes]] = []
        self._blobs = root / "blobs" / "sha256"
        self._refs = root / "refs"
        self._incomplete = root / "incomplete"
        self._locks = root / "locks"
        self.derived = root / "derived"

    def prepare(self) -> None:
        """Make the directories.

        Raises:
            CacheFull: when they cannot be made or written.
        """
        try:
            for directory in (self._blobs, self._refs, self._incomplete, self._locks, self.derived):
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheFull(f"{self.root}: expected a writable directory, got: {error}") from error

    def find(self, sha256: str) -> Path | None:
        """The blob's path, if it is there."""
        path = self._blobs / sha256
        return path if path.is_file() else None

    def ref(self, url: str) -> Ref | None:
        """What `url` gave last; None also when that blob is gone."""
        try:
            ref = Ref(**json.loads(self._ref_path(url).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return ref if self.find(ref.sha256) else None

    def remember(self, ref: Ref) -> None:
        """Record what a URL gave."""
        write_atomically(self._ref_path(ref.url), json.dumps(asdict(ref)).encode())

    @contextlib.contextmanager
    def lock(self, key: str, *, timeout_seconds: float) -> Iterator[None]:
        """Let one process at a time fetch `key` (a digest or a URL).

        Raises:
            WeightsUnreachable: when another process keeps the lock for longer than that.
        """
        try:
            with FileLock(self._locks / f"{_name(key)}.lock", timeout=timeout_seconds):
                yield
        except Timeout as error:
            raise WeightsUnreachable(
                f"{key}: another process fetched it for more than {timeout_seconds:g} s"
            ) from error

    def partial(self, key: str) -> Path:
        """Where the download of `key` gathers its bytes."""
        return self._incomplete / f"{_name(key)}.part"

    def adopt(self, partial: Path, sha256: str) -> Path:
        """Rename a complete, verified file to its name by content."""
        target = self._blobs / sha256
        partial.chmod(0o644)
        partial.replace(target)
        return self.use(sha256)

    def discard(self, sha256: str) -> None:
        """Remove a blob that turned out damaged."""
        (self._blobs / sha256).unlink(missing_ok=True)

    def use(self, sha256: str) -> Path:
        """Note that the blob is used now, and keep this process from evicting it."""
        path = self._blobs / sha256
        self._mine.add(sha256)
        with contextlib.suppress(OSError):  # a read-only mount keeps no times; the flock still protects the blob
            os.utime(path)
        return path

    @contextlib.contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """An empty directory that becomes `derived/<name>` when all went well; call it with the lock of that name.

        Raises:
            OSError: when the cache cannot be written.
        """
        staging, target = self._incomplete / name, self.derived / name
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def hold_derived(self, name: str) -> IO[bytes] | None:
        """Keep a derived directory from being evicted for as long as the returned file is open; None without one."""
        try:
            return self._held(self.derived / name / RECORD_FILE)
        except OSError:
            return None

    def make_room(self, needed: int, *, what: str) -> None:
        """Evict until `needed` more bytes fit both the limit and the volume.

        Raises:
            CacheFull: when they do not fit even then.
        """
        entries = sorted(filter(None, self._entries()), key=lambda entry: entry.used_at)
        used = sum(entry.size for entry in entries)
        for entry in entries:
            if used + needed <= self._limit and self._free() >= needed + BESIDE:
                return
            if self._evict(entry):
                used -= entry.size
        if used + needed > self._limit:
            raise CacheFull(
                f"{what}: needs {needed} bytes, expected at most {self._limit} in {self.root}, "
                f"got {used} bytes of files that are in use"
            )
        if (free := self._free()) < needed + BESIDE:
            raise CacheFull(f"{what}: needs {needed + BESIDE} bytes, got {free} bytes free in {self.root}")

    def hold(self, sha256: str) -> IO[bytes]:
        """Open a blob and keep it from being evicted for as long as the returned file is open.

        Raises:
            FileNotFoundError: when it is not there.
        """
        stream = self._held(self._blobs / sha256)
        self._mine.add(sha256)
        return stream

    def keeps(self, stream: IO[bytes], sha256: str) -> bool:
        """Whether the blob that is held is there under its name still; from then on no other pod evicts it."""
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # it was being evicted when it was opened, and is so still
        except OSError:
            pass  # no locks here
        try:
            return os.path.samestat(os.fstat(stream.fileno()), (self._blobs / sha256).stat())
        except OSError:
            return False

    def touch(self) -> None:
        """Renew the times of all that is held, so that it stays should its holder die and take a while to come back."""
        for stream in tuple(self._held_open):
            if stream.closed:
                self._held_open.remove(stream)
                continue
            # A read-only mount keeps no times, and another thread may close it just now (ValueError).
            with contextlib.suppress(OSError, ValueError):
                os.utime(stream.fileno())

    def _held(self, path: Path) -> IO[bytes]:
        stream = path.open("rb")
        # Not every network volume has locks, nor a read-only one times; the other protects what is used there.
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with contextlib.suppress(OSError):
            os.utime(stream.fileno())
        self._held_open.append(stream)
        return stream

    def _entries(self) -> Iterator[Entry | None]:
        """All that takes room."""
        for path in self._blobs.iterdir():
            yield Entry.of(path, lock=path, dated=path)
        for path in self.derived.iterdir():
            record = path / RECORD_FILE if path.is_dir() else path
            yield Entry.of(path, lock=record, dated=record)
        for path in self._incomplete.iterdir():
            key = _name(path.name) if path.is_dir() else path.stem
            yield Entry.of(path, lock=self._locks / f"{key}.lock", dated=path, abandoned=True)

    def _evict(self, entry: Entry) -> bool:
        if entry.path.name in self._mine or time.time() - entry.used_at < self._keep_seconds:
            return False
        return evict(entry)

    def _free(self) -> int:
        return shutil.disk_usage(self.root).free

    def _ref_path(self, url: str) -> Path:
        return self._refs / f"{_name(url)}.json"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as stream:
        stream.write(content)
    temporary = Path(stream.name)
    temporary.chmod(0o644)
    temporary.replace(path)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
