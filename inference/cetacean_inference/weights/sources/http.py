"""http:// and https://."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Final, Self

import httpx

from cetacean_inference.errors import WeightsDenied, WeightsNotFound, WeightsUnreachable
from cetacean_inference.http_headers import decimal_header, retry_after
from cetacean_inference.messages import one_line, printable
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.proxies import open_client
from cetacean_inference.weights.server_access import KEYS, server_access
from cetacean_inference.weights.sources.content_encoding import ENCODINGS, decoded
from cetacean_inference.weights.sources.content_range import ContentRange
from cetacean_inference.weights.sources.source import (
    Body,
    Interrupted,
    NotModified,
    Present,
    Source,
    Unavailable,
    Wanted,
)
from cetacean_inference.weights.trust import untrusted
from cetacean_inference.weights.validators import distinct_date
from cetacean_registry.urls import redacted

PERMANENT_STATUSES: Final = frozenset({404, 410, 451})
"""Statuses after which a retry is useless."""
DENIED_STATUSES: Final = frozenset({401, 403})
MOST_REDIRECTS: Final = 20
LONGEST_SHOWN: Final = 200
"""Characters of a wrong header that a message shows."""


class HttpSource(Source):
    """A file that a server of HTTP has."""

    credential_keys = KEYS

    def __init__(self, url: str, settings: FetchSettings) -> None:
        super().__init__(url, settings)
        self._client: httpx.Client | None = None
        self._headers: dict[str, str] = {}
        self._refusal = ""

    def requested(self) -> str:
        """Return the URL that is requested."""
        return self.url

    def __enter__(self) -> Self:
        """Open a client.

        Raises:
            ConfigInvalid: the environment names a proxy, certificates or a token that cannot be used.
            CABundleInvalid: the bundle of certificates cannot be used.
        """
        access = server_access(self.requested(), self.settings)
        self._headers = {"Accept-Encoding": "identity", **access.headers}
        self._refusal = access.refusal
        self._client = open_client(self.settings, self.pace)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.close()

    @contextmanager
    def open(self, wanted: Wanted) -> Iterator[Body]:
        """Send one request, and follow redirects."""
        assert self._client is not None  # noqa: S101 - a context manager
        headers = dict(self._headers)
        if wanted.validator:
            headers |= {"Range": f"bytes={wanted.offset}-", "If-Range": wanted.validator}
        elif wanted.present and wanted.present.etag:
            headers["If-None-Match"] = wanted.present.etag
        try:
            with closing(self._answer(self._client, headers)) as response:
                encoding = self._encoding(response)
                if (part := _rest(response, wanted, encoding)) is None:
                    self._check_status(response, wanted)
                    if wanted.present and not wanted.offset and _has_file(response, wanted.present, encoding):
                        raise NotModified
                yield self._body(response, part, encoding)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise WeightsNotFound(f"{self.name}: {redacted(one_line(error))}") from error
        except (httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise Interrupted(redacted(one_line(error))) from error
        except httpx.HTTPError as error:
            if (reason := _certificate_fault(error)) is not None:
                raise WeightsUnreachable(untrusted(self.name, reason)) from error
            raise Unavailable(f"{self.name}: {redacted(one_line(error))}") from error

    def _answer(self, client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
        """Return the answer behind all redirects; the body of none is read, as it may have no end.

        Raises:
            WeightsNotFound: there are too many.
        """
        response = client.send(client.build_request("GET", self.requested(), headers=headers), stream=True)
        for _ in range(MOST_REDIRECTS):
            if response.next_request is None:
                return response
            response.close()
            # Without `auth`, httpx would make a header of a user and a password that the redirect names.
            response = client.send(response.next_request, stream=True, auth=httpx.Auth())
        if response.next_request is None:
            return response
        response.close()
        raise WeightsNotFound(f"{self.name}: expected at most {MOST_REDIRECTS} redirects, got more")

    def _body(self, response: httpx.Response, part: ContentRange | None, encoding: str | None) -> Body:
        announced = None if encoding else decimal_header(response.headers, "Content-Length")
        etag = response.headers.get("ETag")
        # If-Range compares strongly: a weak ETag never matches.
        strong = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        return Body(
            # As received: buffered chunks would be lost with the connection.
            chunks=decoded(response.iter_raw(), encoding) if encoding else response.iter_raw(),
            offset=part.first if part else 0,
            total=part.total if part else announced,
            validator=None if encoding else strong,
            etag=etag,
            last_modified=distinct_date(response.headers),
        )

    def _encoding(self, response: httpx.Response) -> str | None:
        """Return how the file is compressed although the request asks for it as it is; None if it is not.

        Raises:
            WeightsUnreachable: in a way that is not undone, or several times.
        """
        if response.status_code not in (200, 206):
            return None
        named = response.headers.get("Content-Encoding", "").lower().split(",")
        encodings = [name for one in named if (name := one.strip()) not in ("", "identity")]
        if len(encodings) > 1 or not ENCODINGS.issuperset(encodings):
            shown = printable(", ".join(encodings))[:LONGEST_SHOWN]
            raise WeightsUnreachable(f"{self.name}: expected the file as it is, got it with the encoding {shown}")
        return encodings[0] if encodings else None

    def _check_status(self, response: httpx.Response, wanted: Wanted) -> None:
        status = response.status_code
        if status == 304 and wanted.present and wanted.present.etag:
            raise NotModified
        message = printable(f"{self.name}: expected 200, got {status} {response.reason_phrase}").rstrip()
        if status in DENIED_STATUSES:
            raise WeightsDenied(message + self._refusal)
        if status in PERMANENT_STATUSES or (status == 400 and not wanted.offset):
            raise WeightsNotFound(message)
        if status != 200:
            after = retry_after(response.headers)
            raise Unavailable(message, after_seconds=after or 0.0, restart=wanted.is_refused_by(status))


def _has_file(response: httpx.Response, present: Present, encoding: str | None) -> bool:
    """Return True if an answer with a file has the one that is there: its body need not be read then.

    A date is compared here, and not by the server: with If-Modified-Since many take a file of an older date, such as
    an earlier version that somebody has restored, for the same one.
    """
    if present.etag:
        return bool(response.headers.get("ETag") == present.etag)
    length = None if encoding else decimal_header(response.headers, "Content-Length")
    same_date = present.last_modified is not None and distinct_date(response.headers) == present.last_modified
    return same_date and length == present.size


def _rest(response: httpx.Response, wanted: Wanted, encoding: str | None) -> ContentRange | None:
    """Return the range of an answer that has the rest that is wanted, or its beginning; None for any other answer."""
    part = ContentRange.of(response.headers) if response.status_code == 206 and encoding is None else None
    return part if part and part.first == wanted.offset > 0 else None


def _certificate_fault(error: BaseException | None) -> str | None:
    """Return why a certificate was refused, None if an error has another cause."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None
