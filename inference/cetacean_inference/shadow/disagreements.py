"""The last pictures about which the served model and the candidate disagree; the pictures themselves only if asked for.

Without a folder only digests and answers are kept, in memory: a picture may be private.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from cetacean_inference.shadow.answers import Answer

logger = logging.getLogger(__name__)

MAX_LISTED: Final = 200
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Disagreements:
    """A bounded list; used in the event loop, except `store`, which writes a file."""

    def __init__(self, folder: Path | None, *, max_items: int) -> None:
        """Create an empty list.

        Args:
            folder: where pictures are kept; None keeps none.
            max_items: most pictures that are kept; the oldest are removed first.
        """
        self._folder, self._max_items = folder, max_items
        self._listed: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def restart(self) -> None:
        """Forget the list; pictures of an earlier candidate stay until newer ones need the room."""
        self._listed.clear()

    def add(self, sha256: str, served: Answer, candidate: Answer) -> None:
        """Add a picture; the oldest goes if there are too many."""
        self._listed[sha256] = {
            "image_sha256": sha256,
            "served": served.report(),
            "candidate": candidate.report(),
        }
        if len(self._listed) > MAX_LISTED:
            self._listed.popitem(last=False)

    def store(self, sha256: str, data: bytes) -> None:
        """Write the picture to the folder, if there is one; a full or broken volume is logged and changes nothing."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            kept = sorted(_pictures(self._folder), key=lambda path: path.stat().st_mtime_ns)
            for path in kept[: max(0, len(kept) + 1 - self._max_items)]:
                path.unlink(missing_ok=True)
            staged = self._folder / f".{sha256}"
            try:
                staged.write_bytes(data)
                staged.rename(self._folder / sha256)
            finally:
                staged.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s: a disagreement's picture was not kept: %s", self._folder, error.strerror or error)

    def picture(self, sha256: str) -> bytes | None:
        """Return a kept picture, None if there is none."""
        if self._folder is None or not _DIGEST.fullmatch(sha256):
            return None
        with contextlib.suppress(OSError):
            return (self._folder / sha256).read_bytes()
        return None

    def report(self) -> list[dict[str, Any]]:
        """Return the list, oldest first."""
        return list(self._listed.values())


def _pictures(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _DIGEST.fullmatch(path.name)]
