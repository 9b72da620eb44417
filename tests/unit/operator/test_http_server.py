"""The server of probes and metrics: connections have deadlines, and no number of them keeps a probe out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from cetacean_operator.http_server import Handler, Limits, serve

QUICK = Limits(head_seconds=0.2, idle_seconds=0.4, connections=4)
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Connection]]


async def ok(_: web.BaseRequest) -> web.Response:
    return web.Response(text="ok")


@asynccontextmanager
async def served(handler: Handler = ok, limits: Limits = QUICK) -> AsyncIterator[Connect]:
    runner, port = await serve("127.0.0.1", 0, {"/healthz": handler}, limits=limits)
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    try:
        yield connect
    finally:
        for writer in opened:
            writer.transport.abort()
        await runner.cleanup()


async def answer_to(streams: Connection, request: bytes = REQUEST) -> bytes:
    reader, writer = streams
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head + (await reader.readexactly(length) if not request.startswith(b"HEAD") else b"")


async def reader_after(seconds: float, reader: asyncio.StreamReader) -> bytes:
    """Read more than any buffer holds, after some time in which nothing is read."""
    late = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, late.set)
    await late.wait()
    return await reader.readexactly(63_000_000)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the server closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(), 10) is not None
    except ConnectionError:
        return True


@pytest.mark.parametrize("begun", [b"", b"GET", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", b"\r\n\r\n"])
async def test_a_connection_whose_head_does_not_arrive_is_closed(begun: bytes) -> None:
    async with served() as connect:
        reader, writer = await connect()
        writer.write(begun)
        assert await is_closed(reader)


async def test_a_head_that_arrives_byte_by_byte_has_one_deadline() -> None:
    async with served(limits=Limits(head_seconds=0.3, idle_seconds=30, connections=4)) as connect:
        reader, writer = await connect()
        await answer_to((reader, writer))  # the second request of a connection has a deadline too
        begun = asyncio.get_running_loop().time()
        closed = asyncio.create_task(is_closed(reader))
        while not closed.done():
            writer.write(b"G")
            await asyncio.wait([closed], timeout=0.02)
        assert asyncio.get_running_loop().time() - begun < 5


async def test_a_client_that_does_not_take_its_answer_is_closed() -> None:
    async def large(_: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 64_000_000)

    async with served(large) as connect:
        reader, writer = await connect()
        writer.write(REQUEST)
        assert await reader.readexactly(9) == b"HTTP/1.1 "
        # The stream stops reading from the socket when its buffer is full, until somebody reads it.
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader_after(QUICK.idle_seconds * 3, reader)


async def test_an_answer_may_take_longer_than_any_deadline() -> None:
    async def slow(_: web.BaseRequest) -> web.Response:
        late = asyncio.Event()
        asyncio.get_running_loop().call_later(QUICK.idle_seconds * 2, late.set)
        await late.wait()
        return web.Response(text="late")

    async with served(slow) as connect:
        assert (await answer_to(await connect())).endswith(b"late")


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with served() as connect:
        streams = await connect()
        for _ in range(3):
            assert (await answer_to(streams)).startswith(b"HTTP/1.1 200")


async def test_connections_that_send_nothing_keep_no_probe_out() -> None:
    async with served(limits=Limits(head_seconds=60, idle_seconds=60, connections=4)) as connect:
        idle = [await connect() for _ in range(20)]
        for _ in range(3):
            assert (await answer_to(await connect())).endswith(b"ok")
        assert await is_closed(idle[0][0]), "the one that has waited longest is closed"


async def test_of_connections_that_are_opened_at_once_only_the_newest_are_kept() -> None:
    limits = Limits(head_seconds=60, idle_seconds=60, connections=4)
    async with served(limits=limits) as connect:
        _, first = await connect()
        # Nothing else runs meanwhile, so the server accepts all of them before it notices that one is closed.
        sockets = [socket.create_connection(first.get_extra_info("peername")) for _ in range(20)]
        burst = [(await asyncio.open_connection(sock=one)) for one in sockets]
        assert (await answer_to(await connect())).endswith(b"ok")
        for reader, _ in burst[:17]:
            assert await is_closed(reader)
        for _, writer in burst:
            writer.transport.abort()


async def test_other_methods_and_paths_are_refused() -> None:
    async with served() as connect:
        streams = await connect()
        assert (await answer_to(streams, REQUEST.replace(b"GET", b"HEAD"))).startswith(b"HTTP/1.1 200")
        assert (await answer_to(streams, REQUEST.replace(b"GET", b"DELETE"))).startswith(b"HTTP/1.1 405")
        assert (await answer_to(streams, REQUEST.replace(b"/healthz", b"/other"))).startswith(b"HTTP/1.1 404")


def test_the_default_deadline_of_a_head_is_ten_seconds() -> None:
    assert Limits().head_seconds == 10
