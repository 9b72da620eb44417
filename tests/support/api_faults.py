"""What a bad day does to one request: the reactions that a test gives to `faulty_api`'s proxy."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Awaitable, Callable

from aiohttp import web

from support.faulty_api import Exchange, Reaction


def refused(code: int, reason: str, *, retry_after: int | None = None) -> Reaction:
    """The request never reaches the API server's storage."""

    async def react(_: Exchange) -> web.StreamResponse:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return web.json_response(_status(code, reason), status=code, headers=headers)

    return react


def late(seconds: float) -> Reaction:
    """The answer comes, but not soon."""

    async def react(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await exchange.passed_on()

    return react


def unanswered(then: Callable[[], None] = lambda: None) -> Reaction:
    """The API server does it, and nobody hears of that; `then` is called in between."""

    async def react(exchange: Exchange) -> web.StreamResponse:
        await exchange.passed_on()
        then()
        return exchange.cut()

    return react


def told_in_it(code: int, reason: str, *, instead_of: bytes = b"") -> Reaction:
    """A watch is told of a failure once it has begun: after its first event, or in place of what it would have said."""
    error = json.dumps({"type": "ERROR", "object": _status(code, reason)}).encode() + b"\n"

    def carry(line: bytes) -> tuple[bytes, bool]:
        if instead_of:
            return (error if instead_of in line else line), True
        return line + error, True

    return lambda exchange: exchange.watched(carry)


def torn(*, cleanly: bool) -> Reaction:
    """A watch ends in the middle of its second event: cut off, or as if that had been all."""

    def react(exchange: Exchange) -> Awaitable[web.StreamResponse]:
        numbers = itertools.count(1)

        def carry(line: bytes) -> tuple[bytes, bool]:
            return (line, True) if next(numbers) == 1 else (line[: len(line) // 2], False)

        return exchange.watched(carry, cleanly=cleanly)

    return react


def held_until(let_go: threading.Event) -> Reaction:
    """The request reaches the API server when the test says so."""

    async def react(exchange: Exchange) -> web.StreamResponse:
        await asyncio.to_thread(let_go.wait)
        return await exchange.passed_on()

    return react


def stalled(_: Exchange) -> Awaitable[web.StreamResponse]:
    """No answer comes for as long as anyone waits."""
    return asyncio.get_running_loop().create_future()


def _status(code: int, reason: str) -> dict[str, object]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return {**status, "message": f"{reason}, as the test wants it"}
