"""Connections: deadlines of what clients send and take, and answers to what is no HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from support.inference_world import FakePipeline, make_settings, start
from support.waiting import until
from uvicorn.server import ServerState

from cetacean_inference.http.protocol import TAKEN_BYTES, bounded_protocol
from cetacean_inference.http.serve import uvicorn_config
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings

REQUEST = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
DEADLINE, SEND_DEADLINE, KEEP_ALIVE = 10.0, 20.0, 60


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
        self.is_closed = self.is_aborted = False
        self.untaken = 0
        """Bytes that the client has not taken yet."""
        self.lost: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True
        asyncio.get_running_loop().call_soon(self.lost)  # as asyncio does: others may come before

    def get_write_buffer_size(self) -> int:
        return self.untaken

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0, "the protocol hears of every byte that is not taken"

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, _: str) -> None:
        return None

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def bounded(*, max_connections: int, on_room_made: Callable[[], None] = lambda: None) -> type[asyncio.Protocol]:
    return bounded_protocol(
        head_seconds=DEADLINE,
        send_seconds=SEND_DEADLINE,
        max_connections=max_connections,
        on_room_made=on_room_made,
    )


class Connection:
    """A connection to an application that answers when `answering` is set."""

    def __init__(self, protocol: type[asyncio.Protocol] | None = None, state: ServerState | None = None) -> None:
        self.answers_one = False
        """True: after one answer the next request waits for `answering` again."""
        self.answering = asyncio.Event()
        self.answering.set()
        self.loop, self.transport = Loop(), Transport()
        config = uvicorn.Config(
            self._app, interface="asgi3", timeout_keep_alive=KEEP_ALIVE, lifespan="off", log_config=None
        )
        make = cast(Any, protocol or bounded(max_connections=10))
        self._protocol = make(config=config, server_state=state or ServerState(), app_state={}, _loop=self.loop)
        self.transport.lost = self.end
        self._protocol.connection_made(self.transport)

    async def send(self, data: bytes) -> None:
        """Send bytes, and let the application begin or end."""
        self._protocol.data_received(data)
        await self.settle()

    def take_nothing(self, untaken: int = 100) -> None:
        """Do not read: so many bytes that were sent stay."""
        self.transport.untaken = untaken
        self._protocol.pause_writing()

    async def take(self) -> None:
        """Read everything that was sent."""
        self.transport.untaken = 0
        self._protocol.resume_writing()
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
        if self.answers_one:
            self.answering.clear()
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


@pytest.mark.parametrize("sent", [b"", b"x"])
async def test_a_body_that_nobody_reads_has_a_deadline_that_bytes_do_not_extend(sent: bytes) -> None:
    connection = Connection()
    await connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
    assert connection.transport.written.endswith(b"ok"), "answered before the body has come"
    for _ in range(9):
        assert not connection.closed_after(1.0)
        if sent:
            await connection.send(sent)
    assert connection.closed_after(1.0)


async def test_a_body_that_comes_after_its_answer_leaves_the_connection_as_it_was() -> None:
    connection = Connection()
    for body in (b"12345", b"12345" + REQUEST, b"12345GET ", REQUEST[4:]):
        await connection.send(body if body == REQUEST[4:] else POST)
        if body != REQUEST[4:]:
            await connection.send(body)
    assert connection.transport.written.count(b"ok") == 5
    assert not connection.closed_after(KEEP_ALIVE - 1)
    assert connection.closed_after(1)


async def test_after_a_body_that_nobody_read_the_connection_is_kept_for_its_own_time() -> None:
    connection = Connection()
    await connection.send(POST)
    await connection.send(b"12345")
    assert not connection.closed_after(KEEP_ALIVE - 1)
    assert connection.closed_after(1)


async def test_a_client_that_is_refused_before_it_sends_its_body_is_closed_in_time() -> None:
    connection = Connection()
    await connection.send(POST[:-2] + b"Expect: 100-continue\r\n\r\n")
    assert connection.transport.written.endswith(b"ok")
    assert b"100 Continue" not in connection.transport.written
    assert connection.closed_after(DEADLINE)


async def test_a_client_that_takes_nothing_is_aborted() -> None:
    connection = Connection()
    await connection.send(REQUEST)
    connection.take_nothing()
    assert not connection.closed_after(SEND_DEADLINE - 1)
    connection.closed_after(1)
    assert connection.transport.is_aborted, "closing would wait for the client"


async def test_a_client_that_takes_nothing_is_aborted_if_it_has_sent_more_requests() -> None:
    connection = Connection()
    connection.answering.clear()
    await connection.send(REQUEST + REQUEST)
    connection.take_nothing()
    connection.answering.set()
    await connection.settle()
    assert connection.transport.written == b"", "nothing is added to what is not taken"
    connection.closed_after(SEND_DEADLINE)
    assert connection.transport.is_aborted


async def test_a_closed_connection_whose_client_does_not_take_the_answer_is_aborted() -> None:
    connection = Connection()
    await connection.send(b"GET / HTTP/1.0\r\n\r\n")
    assert connection.transport.is_closed
    connection.take_nothing()
    connection.closed_after(SEND_DEADLINE)
    assert connection.transport.is_aborted


async def test_a_client_that_takes_its_answers_slowly_is_served() -> None:
    connection = Connection()
    for _ in range(3):
        await connection.send(REQUEST)
        connection.take_nothing()
        assert not connection.closed_after(SEND_DEADLINE - 1)
        await connection.take()
    assert not connection.closed_after(SEND_DEADLINE)


async def test_a_large_answer_may_be_taken_in_parts() -> None:
    connection = Connection()
    await connection.send(REQUEST)
    connection.take_nothing(5 * TAKEN_BYTES)
    for _ in range(2):
        connection.transport.untaken -= TAKEN_BYTES
        assert not connection.closed_after(SEND_DEADLINE)
    connection.transport.untaken -= TAKEN_BYTES - 1
    assert connection.closed_after(SEND_DEADLINE)


class Server:
    """Connections to one server that has room for three."""

    def __init__(self) -> None:
        self._protocol = bounded(max_connections=3)
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


@pytest.mark.parametrize("pipelined", [b"", REQUEST])
async def test_a_client_that_does_not_take_its_answer_makes_room_at_once(pipelined: bytes) -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        await connection.send(REQUEST + pipelined)
    slow = server.connections[1]
    slow.take_nothing()
    slow.answering.set()
    assert not server.connect().transport.is_closed
    assert server.closed == [False, True, False]
    assert slow.transport.is_aborted


async def test_a_client_that_has_taken_its_answer_is_not_one_that_waits() -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        await connection.send(REQUEST)
    server.connections[1].take_nothing()
    await server.connections[1].take()
    assert server.connect().transport.is_closed
    assert server.closed == [False, False, False]


async def test_a_connection_with_a_body_that_nobody_reads_makes_room_at_once() -> None:
    server = Server()
    for connection in server.connections:
        await connection.send(POST)
        await connection.send(b"1")
    assert not server.connect().transport.is_closed
    assert server.closed == [True, False, False]


@pytest.mark.parametrize("body", [b"", b"1", b"1234"])
async def test_a_client_whose_body_is_not_complete_makes_room_at_once(body: bytes) -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        await connection.send(POST + body)
    assert not server.connect().transport.is_closed
    assert server.closed == [True, False, False]
    assert server.connections[0].transport.is_aborted, "it has a request, which is ended so"


@pytest.mark.parametrize("sent", [(POST + b"12345",), (POST, b"12345"), (POST + b"1", b"23", b"45")])
async def test_a_client_whose_body_is_complete_is_kept(sent: tuple[bytes, ...]) -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        for data in sent:
            await connection.send(data)
    assert server.connect().transport.is_closed
    assert server.closed == [False, False, False]


async def test_bytes_of_a_body_that_drip_do_not_make_a_client_one_that_has_waited_less() -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        await connection.send(POST)
    for data in (b"1", b"2", b"3"):
        await server.connections[0].send(data)
    assert not server.connect().transport.is_closed
    assert server.closed == [True, False, False]


async def test_the_head_of_a_request_begins_the_time_again_in_which_a_client_is_waited_for() -> None:
    server = Server()
    for connection in server.connections:
        await connection.send(REQUEST)
    uploading = server.connections[0]
    uploading.answering.clear()
    await uploading.send(POST)
    assert not server.connect().transport.is_closed
    assert server.closed == [False, True, False], "the second has sent nothing since its answer"


async def test_a_client_that_does_not_take_its_answer_gains_nothing_by_the_head_of_another_request() -> None:
    server = Server()
    for connection in server.connections:
        await connection.send(REQUEST)
    server.connections[0].take_nothing()
    await server.connections[0].send(REQUEST)
    assert not server.connect().transport.is_closed
    assert server.closed == [True, False, False]


async def test_a_body_that_follows_another_request_at_once_is_waited_for() -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        await connection.send(POST + b"12345" + POST + b"1")
    assert server.connect().transport.is_closed, "each client waits for its first answer"
    begun = server.connections[1]
    begun.answers_one = True
    begun.answering.set()
    await begun.settle()
    assert begun.transport.written.count(b"ok") == 1
    assert not server.connect().transport.is_closed
    assert server.closed == [False, True, False]


async def test_a_client_that_has_taken_its_answer_and_not_sent_its_body_makes_room() -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        await connection.send(POST)
    slow = server.connections[0]
    slow.take_nothing()
    await slow.take()
    assert not server.connect().transport.is_closed
    assert server.closed == [True, False, False]


async def test_several_connections_at_once_each_get_room() -> None:
    server = Server()
    for connection in server.connections:
        connection.answering.clear()
        await connection.send(POST)
    added = [server.connect(), server.connect()]
    assert [connection.transport.is_closed for connection in added] == [False, False]
    assert server.closed == [True, True, False]


async def test_a_connection_that_has_ended_makes_room() -> None:
    server = Server()
    server.connections[1].end()
    assert not server.connect().transport.is_closed
    assert server.closed == [False, True, False]


@asynccontextmanager
async def serving(
    settings: Settings, service: Service | None = None
) -> AsyncIterator[tuple[uvicorn.Server, tuple[str, int]]]:
    """Run a real server; yield it and its address."""
    server = uvicorn.Server(uvicorn_config(service or Service(settings)))
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


async def test_a_server_answers_beside_as_many_connections_whose_bodies_do_not_come(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, http={"max_connections": 8})
    service = start(Service(settings), FakePipeline())
    head = b"POST /v1/predict-single HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=a\r\n"
    async with serving(settings, service) as (_, address), asyncio.timeout(60):
        uploading = [await asyncio.open_connection(*address) for _ in range(8)]
        for _, one in uploading:
            one.write(head + b"Content-Length: 1000\r\n\r\n--a\r\n")
        await until(lambda: _sample(service, "cetacean_inference_requests_in_flight") == 8)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(REQUEST)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        with suppress(ConnectionError):
            assert await uploading[0][0].read() == b"", "the first is closed, without an answer"
        await until(lambda: _sample(service, "cetacean_inference_requests_in_flight") == 7)
        assert _sample(service, "cetacean_inference_connections_closed_total") == 1
        for _, one in (*uploading, (reader, writer)):
            one.close()
    assert service.close(timeout_seconds=10)


def _sample(service: Service, name: str) -> float:
    """Return the value of a series without labels."""
    found = service.metrics.registry.get_sample_value(name)
    assert found is not None, name
    return found


async def test_the_server_has_the_deadline_of_the_settings(tmp_path: Path) -> None:
    assert make_settings(tmp_path).http.head_timeout_seconds == 10
    settings = make_settings(tmp_path, http={"head_timeout_seconds": 0.05})
    async with serving(settings) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET ")
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()


FLOOD = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 500


async def flood(address: tuple[str, int]) -> None:
    """Send requests and take no answer, until the server ends the connection."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client, suppress(ConnectionError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, address)
        while True:
            await loop.sock_sendall(client, FLOOD)


async def test_a_server_ends_connections_that_take_no_answer(tmp_path: Path) -> None:
    assert make_settings(tmp_path).http.send_timeout_seconds == 60
    settings = make_settings(tmp_path, http={"send_timeout_seconds": 0.05})
    async with serving(settings) as (_, address), asyncio.timeout(60):
        await asyncio.gather(*[flood(address) for _ in range(4)])


async def test_a_server_answers_beside_as_many_connections_that_take_no_answer(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, http={"max_connections": 4})
    async with serving(settings) as (server, address):
        floods = [asyncio.create_task(flood(address)) for _ in range(4)]
        connections = cast(set[Any], server.server_state.connections)
        await until(lambda: len(connections) == 4 and all(one.flow.write_paused for one in connections))
        reader, writer = await asyncio.open_connection(*address)
        writer.write(REQUEST)
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        for one in floods:
            one.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
