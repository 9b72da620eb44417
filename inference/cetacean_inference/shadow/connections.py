"""A transport whose answers are bounded as they come from the network, heads and framing included."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import httpcore
import httpx

from cetacean_inference.answer_budget import AnswerBudget
from cetacean_inference.httpx_core import as_httpx_errors, core_request


class Transport(httpx.AsyncBaseTransport):
    """Sends each request over a connection of its own.

    Args:
        max_bytes: of one answer.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=None, max_keepalive_connections=0, network_backend=_Backend(max_bytes)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        assert isinstance(request.stream, AsyncIterable)  # noqa: S101 -- an asynchronous client sends nothing else
        with as_httpx_errors():
            response = await self._pool.handle_async_request(core_request(request))
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with as_httpx_errors():
            async for chunk in self._response.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


class _Backend(httpcore.AnyIOBackend):
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    async def connect_tcp(self, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(await super().connect_tcp(*arguments, **named), AnswerBudget(self._max_bytes))


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, budget: AnswerBudget) -> None:
        self._stream = stream
        self._budget = budget

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's interface
        data = await self._stream.read(self._budget.allowed(max_bytes), timeout)
        self._budget.received(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's interface
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *arguments: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(*arguments, **named), self._budget)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
