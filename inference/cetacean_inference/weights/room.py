"""The room of one download in the cache, reserved while its bytes come.

A body may have no length, or be larger than it says once it is decompressed. And other downloads take room meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cetacean_inference.errors import CacheFull
from cetacean_inference.settings import MIB

STEP: Final = 32 * MIB
"""Bytes after which room is reserved again: it lists the files of the cache."""


class Room:
    """Reserves room for a file from one of its bytes on.

    Args:
        reserve: evicts files until so many more bytes fit, or raises CacheFull.
        offset: bytes of the file that are there already.
        total: bytes of the whole file, None if they are not known.
    """

    def __init__(self, reserve: Callable[[int], None], *, offset: int, total: int | None) -> None:
        self._reserve = reserve
        self._total = total
        self._reserved = offset

    def begin(self) -> None:
        """Reserve room for all that is known to come.

        Raises:
            CacheFull: it does not fit.
        """
        self.require(self._reserved, self._reserved + 1 if self._total is None else self._total)

    def require(self, begin: int, end: int) -> None:
        """Reserve room for the bytes from `begin` to `end` before they are written.

        Raises:
            CacheFull: they do not fit.
        """
        if end <= self._reserved:
            return
        if self._total is not None and end <= self._total:
            self._reserve(self._total - begin)
            self._reserved = min(self._total, begin + STEP)
            return
        try:
            self._reserve(STEP)
            self._reserved = begin + STEP
        except CacheFull:
            self._reserve(end - begin)  # perhaps the file ends before the step does
            self._reserved = end
