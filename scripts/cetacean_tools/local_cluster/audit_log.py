"""The requests to the API server, as its audit log has them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class AuditLog:
    """The audit log of a cluster: `audit.log`, and the files that it was renamed to, one each 100 MB."""

    def __init__(self, logs: Path) -> None:
        """Take the cluster's folder of logs."""
        self._logs = logs

    def size(self) -> int:
        """Return how many bytes have been written so far, in all files together."""
        return self._of_all(lambda files: sum(file.stat().st_size for file in files))

    def requests(self, *, since: int = 0, containing: str = "") -> list[dict[str, Any]]:
        """Return the requests in the order in which they were written.

        Args:
            since: leave out what was written before the log had this size, in bytes.
            containing: leave out lines without this text; that costs less than to parse them.
        """
        return self._of_all(lambda files: list(_read(files, since, containing.encode())))

    def _of_all(self, read: Callable[[Sequence[Path]], T]) -> T:
        """Read all files; again if one was renamed meanwhile, which may not have been read."""
        while True:
            files = self._files()
            with contextlib.suppress(FileNotFoundError):
                found = read(files)
                if self._files() == files:
                    return found

    def _files(self) -> list[Path]:
        """Return all files, the oldest first: `audit-<time>.log`, and at last `audit.log`."""
        return sorted(self._logs.glob("audit*.log"))


def _read(files: Sequence[Path], since: int, containing: bytes) -> Iterator[dict[str, Any]]:
    for file in files:
        with file.open("rb") as lines:
            size = os.fstat(lines.fileno()).st_size
            if since < size:
                lines.seek(since)
                # The last line may not be complete yet.
                yield from (json.loads(line) for line in lines if containing in line and line.endswith(b"\n"))
            since = max(0, since - size)
