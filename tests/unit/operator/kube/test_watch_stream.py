"""The lines of a watch: they are whole however the bytes are cut, and a line that is no event is a fault."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_operator.kube.watch_stream import (
    CHUNK_BYTES,
    LONGEST_LINE,
    WatchFaultError,
    error_of,
    parse_event,
    read_lines,
)

Chunk = bytes | Exception | asyncio.Event


class Body:
    """A body of these chunks; at an Event it waits, an exception is raised."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = chunks

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            if isinstance(chunk, asyncio.Event):
                await chunk.wait()
                continue
            yield chunk


async def read(*chunks: Chunk, silence: float = 60.0) -> tuple[list[bytes], str | None]:
    """Return all lines, and the reason of the fault that ended the watch."""
    lines: list[bytes] = []
    try:
        async for block in read_lines(Body(chunks), silence=silence):
            lines += block
    except WatchFaultError as fault:
        return lines, fault.reason
    return lines, None


@given(
    sent=st.lists(st.binary(min_size=1, max_size=8).filter(lambda line: b"\n" not in line), max_size=6),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    half=st.binary(max_size=5).filter(lambda tail: b"\n" not in tail),
)
async def test_lines_are_whole_wherever_the_bytes_are_cut(sent: list[bytes], cuts: list[int], half: bytes) -> None:
    whole = b"".join(line + b"\n" for line in sent) + half
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    lines, reason = await read(*(whole[begin:end] for begin, end in itertools.pairwise(places)))
    assert lines == sent
    assert reason == ("TornEvent" if half else None)


@pytest.mark.parametrize("fault", [aiohttp.ClientPayloadError("cut"), aiohttp.ServerDisconnectedError(), OSError(5)])
async def test_a_broken_connection_is_a_fault_with_the_reason_cut(fault: Exception) -> None:
    assert await read(b"whole\nhal", fault) == ([b"whole"], "Cut")


async def test_a_silent_watch_is_a_fault_with_the_reason_silent() -> None:
    assert await read(b"first\n", asyncio.Event(), silence=0.01) == ([b"first"], "Silent")


async def test_an_event_without_an_end_is_a_fault_before_it_fills_the_memory() -> None:
    endless = itertools.chain([b"whole\n"], itertools.repeat(b"x" * CHUNK_BYTES))
    assert await read(*itertools.islice(endless, 2 * LONGEST_LINE // CHUNK_BYTES)) == ([b"whole"], "TornEvent")


async def test_a_slow_reader_is_not_interrupted() -> None:
    """A time-out around the generator would cancel the reader during its own work."""
    read_so_far = 0
    async for lines in read_lines(Body([b"a\n", b"b\n"]), silence=0.01):
        read_so_far += len(lines)
        await asyncio.sleep(0.03)  # time itself is tested
    assert read_so_far == 2


@pytest.mark.parametrize(
    "line",
    [
        b"upstream timed out",
        b'{"type": "MODI',
        b"[]",
        b'{"type": "ADDED", "object": {}}',
        b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": 8}}}',
        b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": "x"}}}',
        b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": "' + b"9" * 5000 + b'"}}}',
        b'{"type": ["ADDED"], "object": {"metadata": {"resourceVersion": "8"}}}',
        b'{"type": {}, "object": {"metadata": {"resourceVersion": "8"}}}',
        b'{"object": {"metadata": {"resourceVersion": "8"}}}',
    ],
)
def test_a_line_that_is_no_event_is_a_fault_with_the_reason_torn_event(line: bytes) -> None:
    with pytest.raises(WatchFaultError) as fault:
        parse_event(line)
    assert fault.value.reason == "TornEvent"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"code": 410, "reason": "Expired"}, "Expired"),
        ({"code": 500, "reason": "InternalError", "message": "etcd has no leader"}, "ErrorEvent"),
        (None, "ErrorEvent"),
        ({}, "ErrorEvent"),
    ],
)
def test_an_error_event_is_a_fault_with_the_reason_of_its_status(status: Any, reason: str) -> None:
    event = parse_event(json.dumps({"type": "ERROR", "object": status}).encode())
    assert isinstance(event, dict)
    fault = error_of(event)
    assert fault is not None
    assert fault.reason == reason
    if status and "message" in status:
        assert str(fault) == "500 InternalError: etcd has no leader"


def test_an_object_that_contains_the_word_error_is_an_event() -> None:
    meta = {"resourceVersion": "8", "annotations": {"x": '"type":"ERROR"'}}
    event = parse_event(json.dumps({"type": "MODIFIED", "object": {"metadata": meta}}).encode())
    assert isinstance(event, dict)
    assert error_of(event) is None
