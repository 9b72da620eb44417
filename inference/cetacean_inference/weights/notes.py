"""Notes beside a partial file: of which file it is, so that another process can continue it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cetacean_inference.weights.validators import sendable


@dataclass(frozen=True, slots=True)
class Notes:
    """The file of which the first bytes are there."""

    validator: str
    total: int | None
    """Bytes of the whole file, None if they are not known."""

    @classmethod
    def read(cls, path: Path, url: str) -> Self | None:
        """Return the notes of a download from a URL; None if there are none, or of another URL."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            validator, total = sendable(str(found["validator"])), found.get("total")
            usable = found["url"] == _digest(url) and (total is None or isinstance(total, int))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return cls(validator, total) if usable and validator else None

    def write(self, path: Path, url: str) -> None:
        """Write the notes.

        Raises:
            OSError: they cannot be written.
        """
        noted = {"url": _digest(url), "validator": self.validator, "total": self.total}
        path.write_text(json.dumps(noted), encoding="utf-8")

    def contradict(self, validator: str | None, total: int | None) -> bool:
        """Return True if the rest that a server offers is of another file; None is not known."""
        other_total = None not in (self.total, total) and self.total != total
        # An ETag, which begins with a quotation mark, says nothing about a date.
        comparable = validator is not None and validator.startswith('"') == self.validator.startswith('"')
        return other_total or (comparable and validator != self.validator)


def _digest(url: str) -> str:
    """Identify a URL without the signature that its query may contain."""
    return hashlib.sha256(url.encode()).hexdigest()
