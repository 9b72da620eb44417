"""Downloads one file: resumes, retries, enforces a size bound, and hashes while it streams; of whichever scheme."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cetacean_inference.errors import CacheFull, FatalError, WeightsTooLarge, WeightsTruncated, WeightsUnreachable
from cetacean_inference.messages import reason_of, with_type
from cetacean_inference.settings import MIB
from cetacean_inference.system.volumes import FULL
from cetacean_inference.weights.notes import Notes
from cetacean_inference.weights.progress import Progress
from cetacean_inference.weights.retry import RetryableError, retrying
from cetacean_inference.weights.room import Room
from cetacean_inference.weights.sources.source import (
    Body,
    Interrupted,
    NotModified,
    Present,
    Source,
    Unavailable,
    Wanted,
)
from cetacean_inference.weights.validators import sendable
from cetacean_registry.urls import redacted

logger = logging.getLogger(__name__)

LEAST_PROGRESS: Final = MIB
"""New bytes of an attempt that does not count as a failure; with fewer, a server could make attempts without an end."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A complete file: its digest, and the validators for a conditional request."""

    sha256: str
    etag: str | None
    last_modified: str | None
    resumed: bool


class Download:
    """The download of one file into one partial file.

    Args:
        source: the file, and the settings with bounds and retries.
        partial: the file for the bytes; the rest of an interrupted download is continued.
        reserve: called with a number of bytes before they are written, see `Room`; may raise.
    """

    def __init__(self, source: Source, *, partial: Path, reserve: Callable[[int], None]) -> None:
        self._source = source
        self._name = source.name
        self._settings = source.settings
        self._partial = partial
        self._notes = partial.with_suffix(".json")
        self._reserve = reserve
        self._most_bytes = 0

    def run(self, *, present: Present | None = None) -> Downloaded:
        """Download until complete; an attempt with `LEAST_PROGRESS` more bytes than before counts as no failure.

        Raises:
            NotModified: the file is still the one that is present.
            WeightsNotFound: the file does not exist.
            WeightsDenied: the server denies access to it.
            WeightsUnreachable: the server cannot be reached, keeps failing, or is too slow.
            WeightsTruncated: every attempt receives fewer bytes than announced.
            WeightsTooLarge: the file is larger than `max_bytes`.
            CacheFull: the volume or the cache is full.
            ConfigInvalid: the environment names a proxy or certificates that cannot be used.
        """
        try:
            before = self._most_bytes = self._received()
            self._source.pace.begin(before)
            with self._source:
                return retrying(self._settings)(self._attempt, present)
        except (FatalError, NotModified):
            raise
        except RetryableError as error:
            if isinstance(error.failure, WeightsTruncated) and self._received() == before:
                self.remove_partial()  # the server may have no rests: the next start asks for the whole file
            raise type(error.failure)(f"{error.failure}; gave up after {self._settings.attempts} tries") from error
        except Exception as error:
            raise WeightsUnreachable(f"{self._name}: {redacted(with_type(error))}") from error

    def remove_partial(self) -> None:
        """Remove the bytes received so far."""
        self._partial.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _attempt(self, present: Present | None) -> Downloaded:
        if present is not None:
            present = replace(present, etag=sendable(present.etag))
        wanted, digest = Wanted(present=present), hashlib.sha256()
        if notes := self._read_notes():
            with self._writing(), self._partial.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256")
                wanted = Wanted(os.fstat(stream.fileno()).st_size, notes.validator)
        try:
            with self._source.open(wanted) as body:
                resumed = body.offset == wanted.offset > 0
                if resumed:
                    self._check_rest(body, notes)
                    logger.info("%s: resumed at %.1f MiB", self._name, body.offset / MIB)
                else:
                    with self._writing():
                        self.remove_partial()
                    self._source.pace.restart()
                    digest = hashlib.sha256()
                self._write(body, digest)
        except Interrupted as error:
            raise self._retryable(
                WeightsTruncated(f"{self._name}: got {self._received()} bytes, then: {error}")
            ) from error
        except Unavailable as error:
            if error.restart:
                with self._writing():
                    self.remove_partial()
            raise self._retryable(WeightsUnreachable(str(error)), after_seconds=error.after_seconds) from error
        with self._writing():
            self._notes.unlink(missing_ok=True)
        return Downloaded(digest.hexdigest(), sendable(body.etag), sendable(body.last_modified), resumed)

    def _write(self, body: Body, digest: hashlib._Hash) -> None:
        offset = body.offset
        self._check_size(body.total or 0)
        progress = Progress(self._name, offset, body.total, interval_seconds=self._settings.progress_interval_seconds)
        room = Room(self._reserve, offset=offset, total=body.total)
        with self._writing():
            room.begin()
            if not offset and (validator := sendable(body.validator)):
                # After the reservation: a full volume has no room for notes.
                Notes(validator, body.total).write(self._notes, self._source.url)
            with self._partial.open("ab" if offset else "wb") as stream:
                for chunk in body.chunks:
                    self._check_size(offset + len(chunk))
                    self._require_room(room, offset, offset + len(chunk))
                    offset += len(chunk)
                    stream.write(chunk)
                    digest.update(chunk)
                    progress.update(offset)
                    self._check_pace(offset)
        if body.total is not None and offset != body.total:  # not every source notices; a range may be shorter
            raise Interrupted(f"the file ended, expected {body.total} bytes")
        progress.finish(offset)

    def _require_room(self, room: Room, begin: int, end: int) -> None:
        try:
            room.require(begin, end)
        except CacheFull:
            if self._read_notes() is None:
                self.remove_partial()  # nobody can continue it
            raise

    def _check_rest(self, body: Body, notes: Notes | None) -> None:
        if notes and notes.contradict(body.validator, body.total):
            raise Unavailable(f"{self._name}: expected the rest of the file, got one of another", restart=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Report any error of the cache's volume as `CacheFull`."""
        try:
            yield
        except OSError as error:
            raise self._unwritable(error) from error

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_bytes:
            self.remove_partial()
            raise WeightsTooLarge(
                f"{self._name}: expected at most {self._settings.max_bytes} bytes, got {size} or more"
            )

    def _check_pace(self, size: int) -> None:
        self._source.pace.reach(size)
        if self._source.pace.remaining() <= 0:
            raise self._too_slow()

    def _too_slow(self) -> WeightsUnreachable:
        return WeightsUnreachable(f"{self._name}: {self._source.pace}")

    def _unwritable(self, error: OSError) -> CacheFull:
        if error.errno in FULL:
            self.remove_partial()
        return CacheFull(f"{self._name}: cannot write {self._partial}: {reason_of(error)}")

    def _read_notes(self) -> Notes | None:
        """Return the notes of the partial file; None if the download must begin at the first byte."""
        return Notes.read(self._notes, self._source.url) if self._received() else None

    def _retryable(
        self, failure: WeightsUnreachable | WeightsTruncated, *, after_seconds: float = 0.0
    ) -> RetryableError | WeightsUnreachable:
        """Return the error of an attempt, or of the whole download if no time is left."""
        if self._source.pace.remaining() <= 0:
            return self._too_slow()
        if advanced := self._received() - self._most_bytes >= LEAST_PROGRESS:
            self._most_bytes = self._received()
        return RetryableError(failure, after_seconds=after_seconds, advanced=advanced)

    def _received(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0
