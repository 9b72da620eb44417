"""Removes files from the cache without taking them from a process that uses them.

A process that uses a file holds a shared flock on it. Eviction takes the lock exclusively first, and then checks that
the file was not used since it was listed.
"""

from __future__ import annotations

import errno
import fcntl
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory that may be evicted, as it was when it was listed."""

    path: Path
    lock: Path
    """The file that a user of the entry locks."""
    dated: Path
    """The file or directory whose modification time is the time of the last use."""
    size: int
    used_at: float
    incomplete: bool
    """True for an unfinished download or conversion: its lock file belongs to the key and is not removed."""

    @classmethod
    def of(cls, path: Path, *, lock: Path, dated: Path, incomplete: bool) -> Entry | None:
        """Read the entry's size and time; None if another pod has just removed or renamed it."""
        try:
            return cls(path, lock, dated, _size(path), dated.stat().st_mtime, incomplete)
        except FileNotFoundError:
            return None


def evict(entry: Entry) -> bool:
    """Remove an entry unless it is in use or was used since it was listed; True if its space is free now."""
    try:
        with _open_lock(entry) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # An init container may have used it and ended since then, which released its lock.
            if entry.dated.stat().st_mtime != entry.used_at:
                return False
            if not entry.incomplete:
                entry.lock.unlink()
            _remove(entry.path)
    except OSError as error:
        return error.errno == errno.ENOENT  # another pod evicted it; any other error: it is locked, or cannot be
    return True


def _open_lock(entry: Entry) -> IO[bytes]:
    if entry.incomplete:
        return entry.lock.open("ab")
    try:
        return entry.lock.open("r+b")  # NFS locks exclusively only files opened for writing
    except PermissionError:
        return entry.lock.open("rb")


def _size(path: Path) -> int:
    """Return the bytes of a file, or of the files of a directory."""
    return sum(inner.stat().st_size for inner in path.iterdir()) if path.is_dir() else path.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
