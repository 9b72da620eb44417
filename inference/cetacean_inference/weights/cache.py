"""A content-addressed cache of weights on a volume that several pods may share.

    blobs/sha256/<digest>     complete, verified files; never changed, so they are read without a lock
                              (writable, because NFS locks exclusively only files opened for writing)
    refs/<sha256 of URL>.json the last result for a URL: its digest and the validator of a conditional request
    sets/<sha256 of key>.json the digests of files that belong together, of the last fetch that ended well
    incomplete/<key>.part     a download in progress or interrupted
    locks/<key>.lock          held during a fetch, so that only one of several pods downloads
    derived/…                 computed from blobs: small files (the gate's text embeddings), and directories with a
                              `record.json` (converted networks)

Only `fetch` and `prune` evict, and a start of `serve` that must fetch an evicted file again. A process that fetches or
serves a file holds a shared flock on it, and sets the file's time when it opens it, when the fetch ends, and every few
minutes while it serves. Eviction takes only files that it can lock exclusively and that nobody used for a while. The
time protects a file while nobody holds the lock: between an init container's fetch and the start of the server, and
between the end of a container and its restart. All files count against the limit, incomplete ones too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from cetacean_inference.errors import CacheFull, WeightsUnreachable
from cetacean_inference.messages import one_line
from cetacean_inference.weights.eviction import Entry, evict
from cetacean_registry.urls import redacted

RECORD_FILE: Final = "record.json"
"""Describes a derived directory; written last, so a directory with this file is complete."""
VOLUME_OVERHEAD: Final = 2**16
"""Bytes that a download needs in addition to the file: its notes, its ref, and partly filled blocks."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of the last fetch of a URL."""

    url: str
    sha256: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file of a set, as the last fetch that ended well has found it; the URL has no query."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of `WeightsCache.prune`."""

    files: int
    bytes: int


class WeightsCache:
    """The cache in one directory.

    Args:
        root: the directory.
        limit_bytes: size of all files together; a fetch that would exceed it evicts the files unused longest.
        keep_unused_seconds: files used more recently than this are not evicted by a fetch.
    """

    def __init__(self, root: Path, *, limit_bytes: int, keep_unused_seconds: float) -> None:
        self.root = root
        self._limit = limit_bytes
        self._keep_unused_seconds = keep_unused_seconds
        self._used_here: set[str] = set()
        self._blobs = root / "blobs" / "sha256"
        self._refs = root / "refs"
        self._sets = root / "sets"
        self._incomplete = root / "incomplete"
        self._locks = root / "locks"
        self.derived = root / "derived"

    def prepare(self) -> None:
        """Create the directories.

        Raises:
            CacheFull: they cannot be created.
        """
        try:
            for directory in (self._blobs, self._refs, self._sets, self._incomplete, self._locks, self.derived):
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheFull(f"{self.root}: expected a writable directory, got: {error}") from error

    def find(self, sha256: str) -> Path | None:
        """Return a blob's path; None if it is not in the cache."""
        path = self._blobs / sha256
        return path if path.is_file() else None

    def read_ref(self, url: str) -> Ref | None:
        """Return the last result for `url`; None if there is none or its blob is gone."""
        try:
            ref = Ref(**json.loads(self._ref_path(url).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return ref if _is_digest(ref.sha256) and self.find(ref.sha256) else None

    def write_ref(self, ref: Ref) -> None:
        """Store the result of a fetch."""
        stored = asdict(ref) | {"url": redacted(ref.url)}  # the file's name identifies the whole URL
        write_atomically(self._ref_path(ref.url), json.dumps(stored).encode())

    def read_set(self, key: str) -> tuple[RecordedFile, ...] | None:
        """Return the files that were recorded for `key`, in order, in the cache or not; None if there is no record."""
        try:
            content = json.loads(self._set_path(key).read_text(encoding="utf-8"))
            files = tuple(RecordedFile(**file) for file in content["files"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return files if all(_is_digest(file.sha256) for file in files) else None

    def write_set(self, key: str, files: Iterable[RecordedFile]) -> None:
        """Record files that belong together."""
        write_atomically(self._set_path(key), json.dumps({"files": [asdict(file) for file in files]}).encode())

    @contextlib.contextmanager
    def lock(self, key: str, *, timeout_seconds: float) -> Iterator[None]:
        """Hold the lock of `key` (a digest, a URL or a derived name): one process at a time fetches or computes it.

        Raises:
            WeightsUnreachable: another process held the lock for longer than `timeout_seconds`.
        """
        try:
            with FileLock(self._locks / f"{_file_name(key)}.lock", timeout=timeout_seconds):
                yield
        except Timeout as error:
            raise WeightsUnreachable(
                f"{redacted(key)}: another process fetched it for more than {timeout_seconds:g} s"
            ) from error
        except NotImplementedError as error:
            raise CacheFull(f"{self.root}: expected a volume with file locks, got: {one_line(error)}") from error

    def partial(self, key: str) -> Path:
        """Return the file for a download of `key`."""
        return self._incomplete / f"{_file_name(key)}.part"

    def commit(self, partial: Path, sha256: str) -> Path:
        """Rename a complete, verified file to its digest; returns its new path."""
        partial.chmod(0o644)
        partial.replace(self._blobs / sha256)
        return self.mark_used(sha256)

    def remove(self, sha256: str, damaged: BufferedReader) -> None:
        """Remove a damaged blob, unless its name leads to another file by now; hold the lock of `sha256`."""
        path = self._blobs / sha256
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(damaged.fileno()), path.stat()):
                path.unlink()

    def mark_used(self, sha256: str) -> Path:
        """Set a blob's time of use to now, and keep this process from evicting it; returns its path."""
        path = self._blobs / sha256
        self._used_here.add(sha256)
        with contextlib.suppress(OSError):  # a read-only mount; the flock still protects the blob
            os.utime(path)
        return path

    @contextlib.contextmanager
    def staging_directory(self, name: str) -> Iterator[Path]:
        """Yield an empty directory that becomes `derived/<name>` if no error occurs; hold the lock of `name`.

        Raises:
            OSError: the cache is not writable.
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

    def open_locked(self, sha256: str) -> BufferedReader:
        """Open a blob for reading; it is not evicted as long as the file is open.

        Raises:
            FileNotFoundError: it is not in the cache.
        """
        stream = _open_locked(self._blobs / sha256)
        self._used_here.add(sha256)
        return stream

    def lock_derived(self, name: str) -> BufferedReader | None:
        """Keep a derived directory from being evicted as long as the returned file is open; None if there is none."""
        try:
            return _open_locked(self.derived / name / RECORD_FILE)
        except OSError:
            return None

    def is_current(self, stream: BufferedReader, sha256: str) -> bool:
        """True if an open blob still has its name in the cache and is locked: no other pod can evict it now."""
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # another pod is evicting it
        except OSError:
            pass  # a volume without locks
        try:
            return os.path.samestat(os.fstat(stream.fileno()), (self._blobs / sha256).stat())
        except OSError:
            return False

    def check_room(self, needed: int, *, purpose: str) -> None:
        """Check that `needed` more bytes fit, without evicting.

        Raises:
            CacheFull: they do not fit.
        """
        self._require_room(needed, sum(entry.size for entry in self._entries()), purpose=purpose)

    def make_room(self, needed: int, *, purpose: str) -> None:
        """Evict the files unused longest until `needed` more bytes fit both the limit and the volume.

        Raises:
            CacheFull: they do not fit even then; nothing is evicted if that is known before.
        """
        entries = self._entries()
        used = sum(entry.size for entry in entries)
        unused = sum(entry.size for entry in entries if self._is_unused(entry, self._keep_unused_seconds))
        self._require_room(needed, used - unused, purpose=purpose, evictable=unused)
        for entry in entries:
            if used + needed <= self._limit and self._free() >= needed + VOLUME_OVERHEAD:
                return
            if self._evict(entry, unused_seconds=self._keep_unused_seconds):
                used -= entry.size
        self._require_room(needed, used, purpose=purpose)

    def prune(self, *, unused_seconds: float) -> Pruned:
        """Remove all files that are not in use and were not used for `unused_seconds`."""
        removed = [entry for entry in self._entries() if self._evict(entry, unused_seconds=unused_seconds)]
        return Pruned(len(removed), sum(entry.size for entry in removed))

    def _require_room(self, needed: int, used: int, *, purpose: str, evictable: int = 0) -> None:
        if used + needed > self._limit:
            raise CacheFull(
                f"{purpose}: needs {needed} bytes, expected at most {self._limit} in {self.root}, "
                f"got {used} bytes of files that are in use"
            )
        if (free := self._free() + evictable) < needed + VOLUME_OVERHEAD:
            counted = ", unused files included" if evictable else ""
            raise CacheFull(
                f"{purpose}: needs {needed + VOLUME_OVERHEAD} bytes, got {free} bytes free in {self.root}{counted}"
            )

    def _entries(self) -> list[Entry]:
        """List all files and directories that may be evicted, the one unused longest first."""
        return sorted(filter(None, self._list_entries()), key=lambda entry: entry.used_at)

    def _list_entries(self) -> Iterator[Entry | None]:
        for path in self._blobs.iterdir():
            yield Entry.of(path, lock=path, dated=path, incomplete=False)
        for path in self.derived.iterdir():
            record = path / RECORD_FILE if path.is_dir() else path
            yield Entry.of(path, lock=record, dated=record, incomplete=False)
        for path in self._incomplete.iterdir():
            key = _file_name(path.name) if path.is_dir() else path.stem
            yield Entry.of(path, lock=self._locks / f"{key}.lock", dated=path, incomplete=True)

    def _evict(self, entry: Entry, *, unused_seconds: float) -> bool:
        return self._is_unused(entry, unused_seconds) and evict(entry)

    def _is_unused(self, entry: Entry, unused_seconds: float) -> bool:
        # The clocks of nodes differ. A date that is further ahead of this one is wrong, and would protect for ever.
        return entry.path.name not in self._used_here and abs(time.time() - entry.used_at) >= unused_seconds

    def _free(self) -> int:
        return shutil.disk_usage(self.root).free

    def _ref_path(self, url: str) -> Path:
        return self._refs / f"{_file_name(url)}.json"

    def _set_path(self, key: str) -> Path:
        return self._sets / f"{_file_name(key)}.json"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file; readers see either the previous content or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as stream:
        stream.write(content)
    temporary = Path(stream.name)
    temporary.chmod(0o644)
    temporary.replace(path)


def _open_locked(path: Path) -> BufferedReader:
    """Open a file with a shared lock and set its time of use to now."""
    stream = path.open("rb")
    # Some network volumes have no locks, and a read-only mount keeps no times: either protects the file.
    with contextlib.suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    set_time_of_use(stream)
    return stream


def set_time_of_use(stream: BufferedReader) -> None:
    """Set the time of an open file to now, if the volume and its owner allow it."""
    with contextlib.suppress(OSError):
        os.utime(stream.fileno())


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _file_name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
