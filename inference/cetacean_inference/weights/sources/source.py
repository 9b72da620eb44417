"""The interface of all schemes: what a download asks a file's URL for, and what it gets."""

from __future__ import annotations

import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Final, Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.pace import Pace
from cetacean_registry.urls import redacted

_BUSY: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses that say nothing about what was asked for."""


@dataclass(frozen=True, slots=True)
class Present:
    """A file that is in the cache already, as its last download has found it."""

    sha256: str
    size: int
    etag: str | None = None
    last_modified: str | None = None
    """Of a file without an ETag; see `validators.distinct_date`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The request of a download: for a file, for its rest, or for the file only if it has changed."""

    offset: int = 0
    """Bytes that are there already; `validator` is then set."""
    validator: str | None = None
    """Of the file that these bytes are of: if it is another file by now, it is wanted from its first byte."""
    present: Present | None = None
    """It is wanted only if it is not this one any more; None wants it in any case."""

    def is_refused_by(self, status: int) -> bool:
        """Return True if the status of an answer that has no file may be due to the offset.

        Some servers have no ranges, and answer 400 or 500. Bytes that were kept for such a server would end every
        later start too.
        """
        return self.offset > 0 and status not in _BUSY


@dataclass(frozen=True, slots=True)
class Body:
    """The answer of a source.

    `chunks` raises nothing but `Interrupted`, `Unavailable` and `FatalError`: any other error of reading it counts as
    one of the cache's volume.
    """

    chunks: Iterator[bytes]
    offset: int
    """Position of their first byte in the file: that of `Wanted`, or 0."""
    total: int | None
    """Bytes of the whole file, None if they are not known."""
    validator: str | None
    """By which the rest can be asked for after an interruption, None if it cannot."""
    etag: str | None
    """By which a file can be asked for only if it has changed."""
    last_modified: str | None = None
    """As the ETag, if there is none."""


class NotModified(Exception):  # noqa: N818 - an answer, not an error
    """The file is still the one of `Wanted.present`."""


class Interrupted(Exception):  # noqa: N818 - the download makes an error of it
    """The connection ended before the file did; the message is the reason."""


class Unavailable(Exception):  # noqa: N818 - the download makes an error of it
    """The file cannot be had now; a later attempt may succeed.

    Args:
        message: with the URL, as people may see it.
        after_seconds: the server asks to wait for so long.
        restart: the rest of the file cannot be had, so the next attempt begins at its first byte.
    """

    def __init__(self, message: str, *, after_seconds: float = 0.0, restart: bool = False) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds
        self.restart = restart


class Source(ABC):
    """A file at a URL of one scheme; a context manager, whose connections are open inside of it.

    Args:
        url: where the file is.
        settings: time-outs, credentials and certificates.
    """

    credential_keys: ClassVar[tuple[str, ...]] = ()
    """The keys of credentials that the scheme uses."""

    def __init__(self, url: str, settings: FetchSettings) -> None:
        self.url = url
        self.name = redacted(url)
        self.settings = settings
        self.pace = Pace(settings)

    @staticmethod
    def sibling(url: str, name: str) -> str:
        """Return the URL of the file `name` in the folder of `url`; keeps the query."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(path=posixpath.join(posixpath.dirname(parts.path), quote(name)), fragment=""))

    @staticmethod
    def file_name(url: str) -> str:
        """Return the name of the file that a URL leads to."""
        return posixpath.basename(unquote(urlsplit(url).path))

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027 - most schemes have nothing to close
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Close all connections."""

    @abstractmethod
    def open(self, wanted: Wanted) -> AbstractContextManager[Body]:
        """Ask for the file.

        Raises:
            NotModified: it has not changed.
            Interrupted, Unavailable: another attempt may succeed.
            errors.FatalError: it makes no sense to try again.
        """
