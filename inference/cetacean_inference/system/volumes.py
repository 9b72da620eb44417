"""How much a volume can take: free bytes alone do not say it, if there are quotas."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of the errors that a volume without room gives."""


def has_room(directory: Path, size: int) -> bool:
    """Return False if a new file of so many bytes does not fit; the file is removed again.

    Any other reason why there can be no file, such as a read-only volume, is not about room.
    """
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        return error.errno not in FULL
    return True
