"""A transport, direct or through a proxy, whose connections end with the time of the download.

httpx bounds each silence only, so an answer whose head never ends, such as one of many `103`, would keep it for ever;
the bytes of heads are bounded too, because they take processor time all the while.
Its own for SOCKS waits for ever for a proxy that does not answer its greeting, such as one that speaks HTTP.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpcore
import httpx

from cetacean_inference.answer_budget import AnswerBudget
from cetacean_inference.httpx_core import as_httpx_errors, core_request
from cetacean_inference.weights.pace import Pace

MAX_HEAD_BYTES: Final = 65536
"""Of the head of an answer, and of those that a server sends before it."""


class Transport(httpx.BaseTransport):
    """Sends requests directly, or through a proxy of HTTP or of SOCKS5, which resolves the names of hosts.

    Args:
        proxy: its URL, and the password if it needs one; None sends directly.
        context: certificates of the servers.
        timeout_seconds: longest silence of a SOCKS proxy before a connection is made.
        pace: the time that is left.
    """

    def __init__(
        self, proxy: httpx.Proxy | None, *, context: ssl.SSLContext, timeout_seconds: float, pace: Pace
    ) -> None:
        self._backend = _Backend(timeout_seconds, pace)
        self._pool = _pool(proxy, context, self._backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        assert isinstance(request.stream, Iterable)  # noqa: S101 -- a synchronous client sends nothing else
        with as_httpx_errors():
            response = self._pool.handle_request(core_request(request))
        if isinstance(stream := response.extensions.get("network_stream"), _Stream):
            stream.release()  # the body is bounded by the download
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
        self._backend.close()


def _pool(
    proxy: httpx.Proxy | None, context: ssl.SSLContext, backend: httpcore.NetworkBackend
) -> httpcore.ConnectionPool:
    if proxy is None:
        return httpcore.ConnectionPool(ssl_context=context, network_backend=backend)
    if proxy.url.scheme.startswith("socks"):
        return httpcore.SOCKSProxy(
            str(proxy.url), proxy_auth=proxy.raw_auth, ssl_context=context, network_backend=backend
        )
    return httpcore.HTTPProxy(
        str(proxy.url),
        proxy_auth=proxy.raw_auth,
        proxy_headers=proxy.headers.raw,
        ssl_context=context,
        network_backend=backend,
    )


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with as_httpx_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _Backend(httpcore.SyncBackend):
    """Opens streams with a default time-out: httpcore names none while it talks to a SOCKS proxy."""

    def __init__(self, seconds: float, pace: Pace) -> None:
        self._seconds = seconds
        self._pace = pace
        self._opened: list[httpcore.NetworkStream] = []

    def connect_tcp(self, *arguments: Any, **named: Any) -> httpcore.NetworkStream:
        stream = super().connect_tcp(*arguments, **named)
        self._opened.append(stream)
        return _Stream(stream, self._seconds, self._pace)

    def close(self) -> None:
        """Close all streams: httpcore forgets those whose greeting by SOCKS failed."""
        for stream in self._opened:
            stream.close()


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, seconds: float, pace: Pace) -> None:
        self._stream = stream
        self._seconds = seconds
        self._pace = pace
        self._budget = AnswerBudget(MAX_HEAD_BYTES)

    def release(self) -> None:
        """Read the rest of the answer without a bound of its bytes."""
        self._budget.release()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        remaining = self._pace.remaining()
        if remaining <= 0:
            raise httpcore.ReadTimeout("timed out")
        longest = min(self._seconds if timeout is None else timeout, remaining)
        data = self._stream.read(self._budget.allowed(max_bytes), longest)
        self._budget.received(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._budget.restart()
        self._stream.write(buffer, self._seconds if timeout is None else timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *arguments: Any, **named: Any) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(*arguments, **named), self._seconds, self._pace)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
