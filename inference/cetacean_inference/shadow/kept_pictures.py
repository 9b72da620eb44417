"""Keeps the pictures about which two models disagree in a folder, if the resource asks for it (`keepDisagreements`).

The pods of a resource share the folder. Nothing here is waited for: one picture is written at a time, in a thread, and
a picture that comes meanwhile is not kept. A volume that is full, missing or slow is counted and logged.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

ABANDONED_SECONDS: Final = 600.0
"""After this time a file that is not complete belongs to a process that has ended."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_STAGED: Final = re.compile(r"\.[0-9a-f]{64}\.[0-9]{1,10}\.part")


class Outcome(StrEnum):
    """The result for a picture that was to be kept."""

    KEPT = "kept"
    BUSY = "busy"
    """Another picture was being written."""
    FAILED = "failed"
    """There is no folder, it cannot be written to, or the picture is larger than all that may be kept."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    modified: float
    size: int


class KeptPictures:
    """A folder of pictures, each named by the SHA-256 of its bytes, within bounds of number and of bytes."""

    def __init__(self, folder: Path | None, *, max_bytes: int) -> None:
        """Write nothing yet.

        Args:
            folder: where pictures are kept; None if no volume is mounted.
            max_bytes: most bytes of all pictures; the oldest are removed first.
        """
        self._folder, self._max_bytes = folder, max_bytes
        self._writing = threading.Lock()
        self._failing = False
        self.outcomes: Final[Counter[Outcome]] = Counter()

    @property
    def has_folder(self) -> bool:
        """True if a volume is mounted."""
        return self._folder is not None

    def keep(self, sha256: str, data: bytes, *, max_items: int) -> None:
        """Begin to write a picture, and return at once.

        Args:
            sha256: of the data.
            data: the file, as the client sent it.
            max_items: most pictures in the folder; the oldest are removed first.
        """
        if not self._writing.acquire(blocking=False):
            self.outcomes[Outcome.BUSY] += 1
            return
        # A daemon: a volume that hangs must not keep the process from ending.
        threading.Thread(target=self._keep, args=(sha256, data, max_items), name="kept pictures", daemon=True).start()

    def read(self, sha256: str, *, max_bytes: int) -> bytes | None:
        """Return a kept picture; None if there is none, or if the file has other bytes than its name says."""
        if self._folder is None or not _DIGEST.fullmatch(sha256):
            return None
        with contextlib.suppress(OSError):
            # Others may write to the volume: no link is followed, and nothing is waited for.
            opened = os.open(self._folder / sha256, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(opened, "rb") as file:
                if not stat.S_ISREG(os.fstat(opened).st_mode):
                    return None
                data = file.read(max_bytes + 1)
            if len(data) <= max_bytes and hashlib.sha256(data).hexdigest() == sha256:
                return data
        return None

    def _keep(self, sha256: str, data: bytes, max_items: int) -> None:
        try:
            self._store(sha256, data, max_items)
        except Exception as error:  # noqa: BLE001 - whatever a volume does must end neither the thread nor an answer
            self.outcomes[Outcome.FAILED] += 1
            if not self._failing:  # one line, and not one for each picture
                reason = error.strerror if isinstance(error, OSError) and error.strerror else error
                logger.warning("a picture was not kept: %s: %s; answers go on", self._folder or "no folder", reason)
            self._failing = True
        else:
            self.outcomes[Outcome.KEPT] += 1
            self._failing = False
        finally:
            self._writing.release()

    def _store(self, sha256: str, data: bytes, max_items: int) -> None:
        if self._folder is None:
            raise ValueError("expected CETACEAN_SHADOW__KEEP_FOLDER, got none: no volume is mounted")
        if len(data) > self._max_bytes:
            raise ValueError(f"expected a picture of at most {self._max_bytes} bytes, got {len(data)}")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(sha256, len(data), max_items)
        staged = self._folder / f".{sha256}.{os.getpid()}.part"
        try:
            with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            staged.rename(self._folder / sha256)
        finally:
            staged.unlink(missing_ok=True)

    def _make_room(self, sha256: str, size: int, max_items: int) -> None:
        """Remove the oldest pictures until another one fits."""
        kept = sorted((file for file in self._files() if file.path.name != sha256), key=lambda file: file.modified)
        total = sum(file.size for file in kept)
        for number, file in enumerate(kept):
            if len(kept) - number < max_items and total + size <= self._max_bytes:
                break
            file.path.unlink(missing_ok=True)
            total -= file.size

    def _files(self) -> Iterator[_File]:
        """Yield the kept pictures; remove files that an ended process has left."""
        assert self._folder is not None  # noqa: S101 - the caller checked
        with os.scandir(self._folder) as entries:
            for entry in entries:
                picture, staged = _DIGEST.fullmatch(entry.name), _STAGED.fullmatch(entry.name)
                if not picture and not staged:
                    continue
                with contextlib.suppress(FileNotFoundError):  # another pod has removed it
                    found = entry.stat(follow_symlinks=False)
                    if picture:
                        yield _File(Path(entry.path), found.st_mtime, found.st_size)
                    elif time.time() - found.st_mtime > ABANDONED_SECONDS:
                        Path(entry.path).unlink(missing_ok=True)
