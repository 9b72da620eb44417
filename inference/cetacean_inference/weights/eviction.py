"""What may go from the cache, and how it goes without being taken from whoever uses it.

Who uses a file holds a shared flock on it and renews its time; who evicts it takes the lock exclusively first, and then
looks whether it was used since it was chosen.
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
    """What may be evicted, and what it looked like when it was listed."""

    path: Path
    lock: Path
    """The file whose lock says that it is in use."""
    dated: Path
    """The file or directory whose time tells when it was used last."""
    size: int
    used_at: float
    abandoned: bool
    """Whether it is half done: the lock is then that of whoever works on it, and stays."""

    @classmethod
    def of(cls, path: Path, *, lock: Path, dated: Path, abandoned: bool = False) -> Entry | None:
        """The entry as it is now; None when another pod has just taken or finished it."""
        try:
            return cls(path, lock, dated, _size(path), dated.stat().st_mtime, abandoned)
        except FileNotFoundError:
            return None


def evict(entry: Entry) -> bool:
    """Remove it unless somebody uses it or did so since it was listed; whether its room is free now."""
    try:
        with _lockable(entry) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # An init container that used it since may be gone already, and with it its lock.
            if entry.dated.stat().st_mtime != entry.used_at:
                return False
            if not entry.abandoned:
                entry.lock.unlink()
            _remove(entry.path)
    except OSError as error:
        return error.errno == errno.ENOENT  # another pod evicted it; anything else: held, or no locks here
    return True


def _lockable(entry: Entry) -> IO[bytes]:
    if entry.abandoned:
        return entry.lock.open("ab")
    try:
        return entry.lock.open("r+b")  # NFS locks exclusively only what is open for writing
    except PermissionError:
        return entry.lock.open("rb")


def _size(path: Path) -> int:
    """Bytes of a file, or of a directory's files."""
    return sum(inner.stat().st_size for inner in path.iterdir()) if path.is_dir() else path.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
