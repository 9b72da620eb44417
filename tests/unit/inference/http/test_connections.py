"""Connections: the deadline of a request's head, and answers to what is no HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from support.inference_world import make_settings
from uvicorn.server import ServerState

from cetacean_inference.http.protocol import bounded_protocol
from cetacean_inference.http.serve import uvicorn_config
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings

REQUEST = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
DEADLINE, KEEP_ALIVE = 10.0, 60


class Timer:
    """One call of the loop below."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at, self.call, self.is_cancelled = at, call, False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """Runs tasks at once, and calls when the test says that it is time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[Timer] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        self._timers.append(Timer(self.now + seconds, call))
        return self._timers[-1]

    def create_task(self, task: Coroutine[Any, Any, None], **_: Any) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(task)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in self._timers:
            if timer.at <= self.now and not timer.is_cancelled:
                timer.cancel()
                timer.call()


class Transport:
    """A connection's other half."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, _: str) -> None:
        return None

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Connection:
    """A connection to an application that answers when `answering` is set."""

    def __init__(self, protocol: type[asyncio.Protocol] | None = None, state: ServerState | None = None) -> None:
        self.answering = asyncio.Event()
        self.answering.set()
        self.loop, self.transport = Loop(), Transport()
        config = uvicorn.Config(
            self._app, interface="asgi3", timeout_keep_alive=KEEP_ALIVE, lifespan="off", log_config=None
        )
        make = cast(Any, protocol or bounded_protocol(head_seconds=DEADLINE, max_connections=10))
        self._protocol = make(config=config, server_state=state or ServerState(), app_state={}, _loop=self.loop)
        self._protocol.connection_made(self.transport)

    async def send(self, data: bytes) -> None:
        """Send bytes, and let the application begin or end."""
        self._protocol.data_received(data)
        await self.settle()

    def end(self) -> None:
        """Close the client's half."""
        self._protocol.connection_lost(None)

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def closed_after(self, seconds: float) -> bool:
        """Let time pass; returns true if the connection is closed then."""
        self.loop.advance(seconds)
        return self.transport.is_closed

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.answering.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("begun", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: a\r\nX-", REQUEST[:-2]])
async def test_a_connection_whose_head_is_not_complete_in_time_is_closed(begun: bytes) -> None:
    connection = Connection()
    if begun:
        await connection.send(begun)
    assert not connection.closed_after(DEADLINE - 0.1)
    assert connection.closed_after(0.1)
    assert connection.transport.written == b""


async def test_bytes_that_drip_do_not_extend_the_deadline() -> None:
    connection = Connection()
    await connection.send(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(9):
        assert not connection.closed_after(1.0)
        await connection.send(b"a")
    assert connection.closed_after(1.0)


async def test_a_complete_head_has_no_deadline_any_more() -> None:
    connection = Connection()
    connection.answering.clear()
    await connection.send(REQUEST)
    assert not connection.closed_after(1000), "a slow answer"
    connection.answering.set()
    await connection.settle()
    assert connection.transport.written.endswith(b"ok")


async def test_a_slow_body_has_no_deadline_of_the_head() -> None:
    connection = Connection()
    connection.answering.clear()
    await connection.send(POST + b"12")
    assert not connection.closed_after(1000)
    await connection.send(b"345")
    assert not connection.closed_after(1000)


async def test_between_two_requests_the_connection_is_kept_for_its_own_time() -> None:
    connection = Connection()
    await connection.send(REQUEST)
    assert not connection.closed_after(KEEP_ALIVE - 1)
    assert connection.closed_after(1)


@pytest.mark.parametrize("together", [True, False])
async def test_the_head_of_a_later_request_has_the_same_deadline(together: bool) -> None:
    connection = Connection()
    if together:
        await connection.send(REQUEST + b"GET ")
    else:
        await connection.send(REQUEST)
        assert not connection.closed_after(KEEP_ALIVE - 1)
        await connection.send(b"GET ")
    assert connection.transport.written.endswith(b"ok")
    assert not connection.closed_after(DEADLINE - 1)
    assert connection.closed_after(1)


async def test_requests_that_follow_each_other_are_all_answered() -> None:
    connection = Connection()
    for number in range(1, 4):
        await connection.send(REQUEST)
        assert connection.transport.written.count(b"ok") == number
        assert not connection.closed_after(DEADLINE + 1)
    await connection.send(REQUEST + REQUEST)
    assert connection.transport.written.count(b"ok") == 5


@pytest.mark.parametrize("sent", [b"words\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n"])
async def test_what_is_no_http_is_answered_like_every_other_error(sent: bytes) -> None:
    connection = Connection()
    await connection.send(sent)
    head, _, body = connection.transport.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in head
    assert body.startswith(b'{"detail": "expected an HTTP request')
    assert connection.transport.is_closed


class Server:
    """Connections to one server that has room for three."""

    def __init__(self) -> None:
        self._protocol = bounded_protocol(head_seconds=DEADLINE, max_connections=3)
        self._state = ServerState()
        self.connections = [self.connect() for _ in range(3)]

    def connect(self) -> Connection:
        return Connection(self._protocol, self._state)

    @property
    def closed(self) -> list[bool]:
        return [connection.transport.is_closed for connection in self.connections]


async def test_the_connection_that_has_waited_longest_makes_room_for_one_more() -> None:
    server = Server()
    assert server.closed == [False, False, False]
    await server.connections[0].send(REQUEST)
    await server.connections[1].send(b"GET ")
    assert not server.connect().transport.is_closed
    assert server.closed == [False, True, False], "a part of a head is no request"
    assert not server.connect().transport.is_closed
    assert not server.connect().transport.is_closed
    assert server.closed == [True, True, True]


async def test_a_connection_with_a_request_is_kept_and_one_more_is_closed() -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        await connection.send(REQUEST)
    assert server.connect().transport.is_closed
    for connection in server.connections:
        connection.answering.set()
        await connection.settle()
    assert server.closed == [False, False, False]


async def test_a_connection_that_has_ended_makes_room() -> None:
    server = Server()
    server.connections[1].end()
    assert not server.connect().transport.is_closed
    assert server.closed == [False, True, False]


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[uvicorn.Server, tuple[str, int]]]:
    """Run a real server; yield it and its address."""
    server = uvicorn.Server(uvicorn_config(Service(settings)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve([listener]))
        yield server, listener.getsockname()
        server.should_exit = True
        await task


async def test_a_server_answers_beside_as_many_connections_that_wait(tmp_path: Path) -> None:
    assert make_settings(tmp_path).http.max_connections == 1024
    settings = make_settings(tmp_path, http={"max_connections": 8})
    async with serving(settings) as (server, address):
        waiting = [await asyncio.open_connection(*address) for _ in range(24)]
        reader, writer = await asyncio.open_connection(*address)
        writer.write(REQUEST)
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            for early, _ in waiting[:16]:
                assert await early.read() == b""
        assert len(server.server_state.connections) <= 8
        for _, one in (*waiting, (reader, writer)):
            one.close()


async def test_the_server_has_the_deadline_of_the_settings(tmp_path: Path) -> None:
    assert make_settings(tmp_path).http.head_timeout_seconds == 10
    settings = make_settings(tmp_path, http={"head_timeout_seconds": 0.05})
    async with serving(settings) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET ")
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
