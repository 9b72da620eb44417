"""Faults of single requests: the reactions that a test gives to `faulty_api`'s proxy."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Awaitable, Callable

from aiohttp import web

from support.faulty_api import Exchange, Reaction


def refused(code: int, reason: str, *, retry_after: int | None = None) -> Reaction:
    """Answer with an error, without asking the API server."""

    async def react(_: Exchange) -> web.StreamResponse:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return web.json_response(_status(code, reason), status=code, headers=headers)

    return react


def delayed(seconds: float) -> Reaction:
    """Forward the request after some seconds."""

    async def react(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await exchange.forward()

    return react


def unanswered(then: Callable[[], None] = lambda: None) -> Reaction:
    """Let the API server carry the request out, call `then`, and close the connection without an answer."""

    async def react(exchange: Exchange) -> web.StreamResponse:
        await exchange.forward()
        then()
        return exchange.cut()

    return react


def error_event(code: int, reason: str, *, instead_of: bytes = b"") -> Reaction:
    """Send an ERROR event in a watch that has begun: after its first line, or in place of lines with `instead_of`."""
    error = json.dumps({"type": "ERROR", "object": _status(code, reason)}).encode() + b"\n"

    def relay(line: bytes) -> tuple[bytes, bool]:
        if instead_of:
            return (error if instead_of in line else line), True
        return line + error, True

    return lambda exchange: exchange.forward_watch(relay)


def torn_watch(*, cleanly: bool) -> Reaction:
    """End a watch in the middle of its second event: by an aborted connection, or with a regular end of the body."""

    def react(exchange: Exchange) -> Awaitable[web.StreamResponse]:
        numbers = itertools.count(1)

        def relay(line: bytes) -> tuple[bytes, bool]:
            return (line, True) if next(numbers) == 1 else (line[: len(line) // 2], False)

        return exchange.forward_watch(relay, cleanly=cleanly)

    return react


def held_until(released: threading.Event) -> Reaction:
    """Forward the request once the event is set."""

    async def react(exchange: Exchange) -> web.StreamResponse:
        await asyncio.to_thread(released.wait)
        return await exchange.forward()

    return react


def stalled(_: Exchange) -> Awaitable[web.StreamResponse]:
    """Never answer."""
    return asyncio.get_running_loop().create_future()


def _status(code: int, reason: str) -> dict[str, object]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return {**status, "message": f"{reason}, set by the test"}
