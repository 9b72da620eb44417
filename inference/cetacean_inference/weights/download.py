"""Downloads one file: resumes, retries, enforces a size bound, and hashes while it streams."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

import httpx

from cetacean_inference.errors import (
    CacheFull,
    FatalError,
    WeightsNotFound,
    WeightsTooLarge,
    WeightsTruncated,
    WeightsUnreachable,
)
from cetacean_inference.http_headers import decimal_header, retry_after
from cetacean_inference.messages import one_line, printable, with_type
from cetacean_inference.settings import MIB, FetchSettings
from cetacean_inference.weights.hub import Access
from cetacean_inference.weights.progress import Progress
from cetacean_inference.weights.proxies import open_client
from cetacean_inference.weights.retry import RetryableError, retrying
from cetacean_registry.urls import redacted

logger = logging.getLogger(__name__)

CHUNK: Final = 2**20
"""Bytes of a local file that are copied at once."""
PERMANENT_STATUSES: Final = frozenset({400, 401, 403, 404, 410, 451})
"""Statuses after which a retry is useless."""
DENIED_STATUSES: Final = frozenset({401, 403})
DECODABLE: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""Encodings that are undone although the request asks for none."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A complete file: its digest, and the validator for a conditional request."""

    sha256: str
    etag: str | None
    resumed: bool


class NotModified(Exception):  # noqa: N818 - an answer, not an error
    """The server says that the cached file is still current."""


class Download:
    """The download of one URL into one partial file.

    Args:
        name: the URL as the user knows it, for messages (`hf://…`); without passwords and queries.
        url: the http(s) or file URL that serves it.
        partial: the file for the bytes; the rest of an interrupted download is continued.
        settings: bounds, time-outs and retries.
        access: sent with each request, and the phrase for a refusal.
        reserve: called with the number of missing bytes before the first of them is written; may raise.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        partial: Path,
        settings: FetchSettings,
        access: Access,
        reserve: Callable[[int], None],
    ) -> None:
        self._name = name
        self._url = url
        self._partial = partial
        self._notes = partial.with_suffix(".json")
        self._settings = settings
        self._headers = {"Accept-Encoding": "identity", **access.headers}
        self._refusal = access.refusal
        self._reserve = reserve
        self._most_bytes = 0

    def run(self, *, if_none_match: str | None = None) -> Downloaded:
        """Download until complete; an attempt that receives more bytes than all before is not counted as a failure.

        Raises:
            NotModified: the server answers 304 to `if_none_match`.
            WeightsNotFound: the server answers that the file does not exist or is forbidden.
            WeightsUnreachable: the server cannot be reached or keeps failing.
            WeightsTruncated: every attempt receives fewer bytes than announced.
            WeightsTooLarge: the file is larger than `max_bytes`.
            CacheFull: the volume is full.
            ConfigInvalid: the environment names a proxy or certificates that cannot be used.
        """
        try:
            if self._url.startswith("file://"):
                return self._copy()
            with open_client(self._settings) as client:
                return retrying(self._settings)(self._attempt, client, if_none_match)
        except (FatalError, NotModified):
            raise
        except RetryableError as error:
            raise type(error.failure)(f"{error.failure}; gave up after {self._settings.attempts} tries") from error
        except Exception as error:
            raise WeightsUnreachable(f"{self._name}: {redacted(with_type(error))}") from error

    def remove_partial(self) -> None:
        """Remove the bytes received so far."""
        self._partial.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _attempt(self, client: httpx.Client, if_none_match: str | None) -> Downloaded:
        headers, offset, digest = dict(self._headers), 0, hashlib.sha256()
        if validator := self._read_validator():
            with self._writing(), self._partial.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256")
                offset = os.fstat(stream.fileno()).st_size
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        elif if_none_match:
            headers["If-None-Match"] = if_none_match
        try:
            with client.stream("GET", self._url, headers=headers) as response:
                encoded = self._check_encoding(response)
                if resumed := response.status_code == 206 and not encoded and _range_start(response) == offset > 0:
                    logger.info("%s: resumed at %.1f MiB", self._name, offset / MIB)
                else:
                    self._check_status(response, conditional="If-None-Match" in headers)
                    with self._writing():
                        self.remove_partial()
                    offset, digest = 0, hashlib.sha256()
                self._write(response, offset, digest, encoded=encoded)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
            raise WeightsNotFound(f"{self._name}: {redacted(one_line(error))}") from error
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            message = f"{self._name}: got {self._received()} bytes, then: {redacted(one_line(error))}"
            raise self._retryable(WeightsTruncated(message)) from error
        except httpx.HTTPError as error:
            raise self._retryable(WeightsUnreachable(f"{self._name}: {redacted(one_line(error))}")) from error
        with self._writing():
            self._notes.unlink(missing_ok=True)
        return Downloaded(digest.hexdigest(), response.headers.get("ETag"), resumed)

    def _check_encoding(self, response: httpx.Response) -> bool:
        """Return True if the file is compressed although the request asks for it as it is."""
        if response.status_code not in (200, 206):
            return False
        named = response.headers.get("Content-Encoding", "").lower().split(",")
        encodings = {encoding.strip() for encoding in named} - {"", "identity"}
        if unknown := encodings - DECODABLE:
            shown = ", ".join(sorted(unknown))
            raise WeightsUnreachable(f"{self._name}: expected the file as it is, got it with the encoding {shown}")
        return bool(encodings)

    def _check_status(self, response: httpx.Response, *, conditional: bool) -> None:
        status = response.status_code
        if status == 304 and conditional:
            raise NotModified
        message = printable(f"{self._name}: expected 200, got {status} {response.reason_phrase}").rstrip()
        if status in PERMANENT_STATUSES:
            raise WeightsNotFound(message + (self._refusal if status in DENIED_STATUSES else ""))
        if status in (206, 416):  # the server has no such rest: begin at the first byte
            with self._writing():
                self.remove_partial()
        if status != 200:
            after = retry_after(response.headers)
            raise RetryableError(WeightsUnreachable(message), after_seconds=after or 0.0)

    def _write(self, response: httpx.Response, offset: int, digest: hashlib._Hash, *, encoded: bool) -> None:
        announced = None if encoded else decimal_header(response.headers, "Content-Length")
        total = None if announced is None else offset + announced
        self._check_size(total or 0)
        progress = Progress(self._name, offset, total, interval_seconds=self._settings.progress_interval_seconds)
        # As received: buffered chunks would be lost with the connection.
        chunks = response.iter_bytes() if encoded else response.iter_raw()
        with self._writing():
            self._reserve((total or offset) - offset)
            if not offset and not encoded:
                self._write_validator(response)  # after the reservation: a full volume has no room for notes either
            with self._partial.open("ab" if offset else "wb") as stream:
                for chunk in chunks:
                    offset += len(chunk)
                    self._check_size(offset)
                    stream.write(chunk)
                    digest.update(chunk)
                    progress.update(offset)
        progress.finish(offset)

    def _copy(self) -> Downloaded:
        digest, copied = hashlib.sha256(), 0
        with self._open_source() as origin, self._writing():
            size = os.fstat(origin.fileno()).st_size
            self._check_size(size)
            self.remove_partial()
            self._reserve(size)
            with self._partial.open("wb") as stream:
                while chunk := self._read(origin):
                    copied += len(chunk)
                    self._check_size(copied)
                    stream.write(chunk)
                    digest.update(chunk)
        return Downloaded(digest.hexdigest(), None, resumed=False)

    def _open_source(self) -> IO[bytes]:
        try:
            parts = urlsplit(self._url)
            source = Path(unquote(parts.path))
            if parts.netloc not in ("", "localhost") or (source.exists() and not source.is_file()):
                raise WeightsNotFound(f"{self._name}: expected file:///… with the path of a file")
            return source.open("rb")
        except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError) as error:
            raise WeightsNotFound(f"{self._name}: {_reason(error)}") from error

    def _read(self, origin: IO[bytes]) -> bytes:
        try:
            return origin.read(CHUNK)
        except OSError as error:
            raise WeightsUnreachable(f"{self._name}: cannot be read: {_reason(error)}") from error

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

    def _unwritable(self, error: OSError) -> CacheFull:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self.remove_partial()
        return CacheFull(f"{self._name}: cannot write {self._partial}: {_reason(error)}")

    def _read_validator(self) -> str | None:
        """Return the validator for continuing the partial file; None if the download must begin at the first byte."""
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            usable = notes["url"] == self._source_key() and self._partial.stat().st_size > 0
            return str(notes["validator"]) if usable else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write_validator(self, response: httpx.Response) -> None:
        # If-Range compares strongly: a weak ETag never matches.
        etag = response.headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        if validator:
            self._notes.write_text(json.dumps({"url": self._source_key(), "validator": validator}), encoding="utf-8")

    def _source_key(self) -> str:
        """Identify the URL in the notes, without the signature that its query may contain."""
        return hashlib.sha256(self._url.encode()).hexdigest()

    def _retryable(self, failure: WeightsUnreachable | WeightsTruncated) -> RetryableError:
        advanced = self._received() > self._most_bytes
        self._most_bytes = max(self._most_bytes, self._received())
        return RetryableError(failure, advanced=advanced)

    def _received(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or one_line(error)


def _range_start(response: httpx.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match.group(1)) if match else None
