"""Download one file: resumed, retried, bounded, hashed while it streams."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential, wait_random

from cetacean_inference.errors import CacheFull, WeightsNotFound, WeightsTooLarge, WeightsTruncated, WeightsUnreachable
from cetacean_inference.settings import MIB, FetchSettings
from cetacean_inference.weights.cache import CHUNK

logger = logging.getLogger(__name__)

REFUSED: Final = frozenset({400, 401, 403, 404, 410, 451})


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A complete file: its digest, and the validator that a conditional request can use."""

    sha256: str
    etag: str | None
    resumed: bool


class NotModified(Exception):  # noqa: N818 - an answer, not an error
    """The server says that what we have is still current."""


class _Again(Exception):  # noqa: N818 - carried between tries only
    """A try failed in a way that another may not."""

    def __init__(self, failure: WeightsUnreachable | WeightsTruncated, *, after_seconds: float = 0.0) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.after_seconds = after_seconds


class Download:
    """The download of one URL into one partial file.

    Args:
        name: the URL as the user knows it, for messages (`hf://…`).
        url: the http(s) or file URL that serves it.
        partial: where the bytes are gathered; what an interrupted run left there is continued.
        headers: sent with each request (authorisation).
        reserve: called with the number of bytes still to come before the first of them is written; may raise.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        partial: Path,
        settings: FetchSettings,
        headers: dict[str, str],
        reserve: Callable[[int], None],
    ) -> None:
        self._name = name
        self._url = url
        self._partial = partial
        self._notes = partial.with_suffix(".json")
        self._settings = settings
        self._headers = {"Accept-Encoding": "identity", **headers}
        self._reserve = reserve
        self._furthest = 0
        self._failures = 0

    def run(self, *, if_none_match: str | None = None) -> Downloaded:
        """Download until complete; a try that brings the file further does not count against those allowed.

        Raises:
            NotModified: the server answers 304 to `if_none_match`.
            WeightsNotFound: the server refuses it.
            WeightsUnreachable: the server cannot be reached or keeps failing.
            WeightsTruncated: fewer bytes come than were announced, each time.
            WeightsTooLarge: it is larger than `max_bytes`.
            CacheFull: the volume is full.
        """
        if self._url.startswith("file://"):
            return self._copy(Path(unquote(urlsplit(self._url).path)))
        first = self._settings.backoff_initial_seconds
        backoff = wait_exponential(multiplier=first, max=self._settings.backoff_max_seconds) + wait_random(0, first)
        retrying = Retrying(
            retry=retry_if_exception_type(_Again),
            stop=self._exhausted,
            wait=lambda state: max(backoff(state), min(_after(state), self._settings.backoff_max_seconds)),
            before_sleep=self._tell,
            reraise=True,
        )
        timeout = httpx.Timeout(self._settings.read_timeout_seconds, connect=self._settings.connect_timeout_seconds)
        with httpx.Client(follow_redirects=True, timeout=timeout) as client:
            try:
                return retrying(self._attempt, client, if_none_match)
            except _Again as again:
                raise type(again.failure)(f"{again.failure}; gave up after {self._settings.attempts} tries") from again

    def drop(self) -> None:
        """Remove what was gathered."""
        self._partial.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _attempt(self, client: httpx.Client, if_none_match: str | None) -> Downloaded:
        headers, offset, digest = dict(self._headers), 0, hashlib.sha256()
        if validator := self._validator():
            with self._partial.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256")
                offset = stream.tell()
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        elif if_none_match:
            headers["If-None-Match"] = if_none_match
        try:
            with client.stream("GET", self._url, headers=headers) as response:
                if resumed := response.status_code == 206 and _range_start(response) == offset:
                    logger.info("%s: resumed at %.1f MiB", self._name, offset / MIB)
                else:
                    self._check(response)
                    self.drop()
                    offset, digest = 0, hashlib.sha256()
                self._write(response, offset, digest)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
            raise WeightsNotFound(f"{self._name}: {error}") from error
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            got = self._partial.stat().st_size if self._partial.exists() else 0
            raise self._again(WeightsTruncated(f"{self._name}: got {got} bytes, then: {error}")) from error
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise self._again(WeightsUnreachable(f"{self._name}: {what}")) from error
        self._notes.unlink(missing_ok=True)
        return Downloaded(digest.hexdigest(), response.headers.get("ETag"), resumed)

    def _check(self, response: httpx.Response) -> None:
        status = f"expected 200, got {response.status_code} {response.reason_phrase}".rstrip()
        if response.status_code == 304:
            raise NotModified
        if response.status_code in REFUSED:
            raise WeightsNotFound(f"{self._name}: {status}")
        if response.status_code == 416:
            self.drop()
        if response.status_code != 200:
            seconds = response.headers.get("Retry-After", "")
            after = float(seconds) if seconds.isdecimal() else 0.0
            raise _Again(WeightsUnreachable(f"{self._name}: {status}"), after_seconds=after)

    def _write(self, response: httpx.Response, offset: int, digest: hashlib._Hash) -> None:
        announced = response.headers.get("Content-Length", "")
        total = offset + int(announced) if announced.isdecimal() else None
        self._bound(total or 0)
        progress = _Progress(self._name, offset, total, every_seconds=self._settings.progress_interval_seconds)
        try:
            self._reserve((total or offset) - offset)
            if not offset:
                self._keep_validator(response)  # after the reservation: a full volume takes not even notes
            with self._partial.open("ab" if offset else "wb") as stream:
                for chunk in response.iter_raw():  # as they come: gathered chunks would be lost with the connection
                    offset += len(chunk)
                    self._bound(offset)
                    stream.write(chunk)
                    digest.update(chunk)
                    progress.at(offset)
        except OSError as error:
            raise self._unwritable(error) from error
        progress.done(offset)

    def _copy(self, source: Path) -> Downloaded:
        digest = hashlib.sha256()
        try:
            with source.open("rb") as origin:
                size = source.stat().st_size
                self._bound(size)
                self.drop()
                self._reserve(size)
                with self._partial.open("wb") as stream:
                    while chunk := origin.read(CHUNK):
                        stream.write(chunk)
                        digest.update(chunk)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise WeightsNotFound(f"{self._name}: {error.strerror}") from error
        except OSError as error:
            raise self._unwritable(error) from error
        return Downloaded(digest.hexdigest(), None, resumed=False)

    def _bound(self, size: int) -> None:
        if size > self._settings.max_bytes:
            self.drop()
            raise WeightsTooLarge(
                f"{self._name}: expected at most {self._settings.max_bytes} bytes, got {size} or more"
            )

    def _unwritable(self, error: OSError) -> CacheFull:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self.drop()
        return CacheFull(f"{self._name}: cannot write {self._partial}: {error.strerror}")

    def _validator(self) -> str | None:
        """The validator under which the partial file may be continued, None when it must begin anew."""
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            usable = notes["url"] == self._name and self._partial.stat().st_size > 0
            return str(notes["validator"]) if usable else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep_validator(self, response: httpx.Response) -> None:
        # If-Range compares strongly: a weak ETag never matches.
        etag = response.headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        if validator:
            self._notes.write_text(json.dumps({"url": self._name, "validator": validator}), encoding="utf-8")

    def _again(self, failure: WeightsUnreachable | WeightsTruncated) -> _Again:
        reached = self._partial.stat().st_size if self._partial.exists() else 0
        if reached > self._furthest:
            self._furthest, self._failures = reached, 0
        return _Again(failure)

    def _exhausted(self, _: RetryCallState) -> bool:
        self._failures += 1
        return self._failures >= self._settings.attempts

    @staticmethod
    def _tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0.0
        logger.warning("%s; next try in %.1f s", error, pause)


class _Progress:
    """Logs a line now and then, and one at the end."""

    def __init__(self, name: str, offset: int, total: int | None, *, every_seconds: float) -> None:
        self._name = name
        self._first = offset
        self._total = total
        self._every = every_seconds
        self._begun = self._told = time.monotonic()

    def at(self, offset: int) -> None:
        if (now := time.monotonic()) - self._told >= self._every:
            self._told = now
            part = f" of {self._total / MIB:.1f} MiB ({100 * offset // self._total} %)" if self._total else " MiB"
            logger.info("%s: %.1f%s, %.1f MiB/s", self._name, offset / MIB, part, self._rate(offset))

    def done(self, offset: int) -> None:
        logger.info("%s: complete, %.1f MiB, %.1f MiB/s", self._name, offset / MIB, self._rate(offset))

    def _rate(self, offset: int) -> float:
        return (offset - self._first) / MIB / max(time.monotonic() - self._begun, 1e-6)


def _after(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.after_seconds if isinstance(error, _Again) else 0.0


def _range_start(response: httpx.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match.group(1)) if match else None
