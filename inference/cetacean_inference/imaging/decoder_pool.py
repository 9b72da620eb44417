"""Decodes pictures in a few processes that can be killed, each decode bounded in processor time and in memory.

A picture gets little processor time first, by its number of pixels, which is enough for nearly every picture of a
camera. If it takes longer, its process is killed and the picture is tried again: alone, with more time and the lowest
priority. A file of many more bytes than its pixels need is tried only so. Pictures of more than a few million pixels
have processes of a lower priority than others. They are decoded one at a time while a picture is tried again. So
pictures made to take long wait for each other, and other pictures hardly wait for them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.imaging.announced_size import announced_size
from cetacean_inference.imaging.decoder_process import LENGTH, frame
from cetacean_inference.messages import one_line
from cetacean_inference.rejected_requests import RequestRejected, UnusableImage
from cetacean_inference.settings import MIB, ImageSettings
from cetacean_inference.system.priority import MAX_NICENESS, lowered_niceness
from cetacean_inference.types import Decoded, Resize

logger = logging.getLogger(__name__)

MODULE: Final = "cetacean_inference.imaging.decoder_process"
KEPT_TUNABLES: Final = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=67108864"
"""Lets a process keep up to 64 MiB that it has freed; Pillow allocates blocks of 16 MB. Otherwise the memory of a
picture of 12 million pixels is returned after each one, and a sixth of the next one's time is spent to map it again.
See "Memory Allocation Tunables" in the GNU C Library's manual."""
BYTES_PER_PIXEL: Final = 16
PROCESS_BYTES: Final = 512 * MIB
"""Address space of a process apart from the picture's."""
MAX_MESSAGE: Final = 64 * 1024
MAX_BYTES_PER_PIXEL: Final = 8
"""What a pixel may need in a file: four values of 16 bits, not compressed."""
METADATA_BYTES: Final = MIB
"""What a file of few pixels may have apart from them."""
KEPT_BYTES: Final = 4 * MIB
"""Shared memory that a process keeps from one picture to the next."""
COPIED_AT_ONCE: Final = MIB
"""Bytes that are copied before the event loop goes on with other work."""
START_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 1.0
WALL_SECONDS: Final = 5.0
WALL_PER_CPU_SECOND: Final = 4.0
"""A decode is overdue too after `WALL_SECONDS` and so many times its processor time, as while it waits for memory."""
LARGE_NICENESS: Final = 5
"""The kernel gives such a process a third of the time of another one if both want all."""


@dataclass(frozen=True, slots=True)
class _Try:
    """The bounds of one try."""

    cpu_share: float
    """Share of the processor time that a picture may take in all tries."""
    max_pixels: int | None = None
    width: int | None = 1
    """Pictures at once; None is the pool's number of processes."""
    niceness: int = 0
    """Added to that of other tries; each has processes of its own, because a priority cannot be raised again."""


FIRST_TRIES: Final = (
    _Try(0.04, max_pixels=4_000_000, width=None),
    _Try(0.1, max_pixels=16_000_000, width=None, niceness=LARGE_NICENESS),
    _Try(0.3, niceness=LARGE_NICENESS),  # one at a time: a decoder needs up to sixteen bytes for each pixel
)
"""By the number of pixels; a picture of more than `max_pixels` is decoded by one of the following tries."""
LAST_TRY: Final = _Try(0.5, niceness=MAX_NICENESS)


class _OverdueError(Exception):
    """A decode took longer than it may; its process is dead."""


class _LargeError(Exception):
    """The picture has more pixels than the try is for."""


class _DiedError(Exception):
    """The process ended."""


class DecoderPool:
    """A `types.Decoder` with processes of its own; use it in one event loop after `start`.

    Args:
        images: bounds of pictures.
        processes: pictures of a usual size that are decoded at once.
        retry_after: seconds of `Retry-After` if no process can be started.
    """

    def __init__(self, images: ImageSettings, *, processes: int, retry_after: int) -> None:
        self._images = images
        self._processes = processes
        self._retry_after = retry_after
        self._places = {
            how: asyncio.Semaphore(processes if how.width is None else how.width) for how in (*FIRST_TRIES, LAST_TRY)
        }
        self._idle: dict[int, deque[_Worker]] = {how.niceness: deque() for how in self._places}
        self._workers: set[_Worker] = set()
        self._killed: list[_Worker] = []
        self._closed = False
        self._healthy = True
        self._retrying: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """False from a process that cannot be started until one can."""
        return self._healthy

    @property
    def processes(self) -> dict[int, int]:
        """The processes that are decoding or ready to: their ids, and the niceness that their tries add."""
        return {worker.process_id: worker.niceness for worker in self._workers}

    def start(self) -> None:
        """Start the processes and wait until they answer; in any thread.

        Raises:
            ConfigInvalid: a process cannot be started.
        """
        try:
            for _ in range(self._processes):
                self._idle[0].append(self._spawn())
            for worker in self._idle[0]:
                worker.wait_until_ready()
        except (OSError, _DiedError) as error:
            self.close()
            raise ConfigInvalid(f"expected a decoder's process that starts, got: {one_line(error)}") from error

    async def decode(self, read: Callable[[], bytes], resizes: Sequence[Resize]) -> Decoded:
        """Decode one picture; see `types.Decoder`."""
        try:
            return await self._try_in_turn(read, resizes)
        except _OverdueError as error:
            limit = self._images.decode_cpu_seconds
            logger.warning("a picture was not decoded within %g s of processor time", limit)
            raise UnusableImage(
                413,
                f"expected a picture that is decoded within {limit:g} s of processor time, got one that takes longer",
            ) from error

    def close(self) -> None:
        """Kill all processes, whatever they do; in any thread."""
        self._closed = True
        for worker in tuple(self._workers):
            self._discard(worker)
        for worker in self._killed:
            worker.wait()

    async def _try_in_turn(self, read: Callable[[], bytes], resizes: Sequence[Resize]) -> Decoded:
        tries = (*FIRST_TRIES, LAST_TRY)
        number, data = 0, None
        while True:
            how = tries[number]
            place = self._place(how)
            if place.locked():
                data = None  # files that wait take no memory
            async with place:
                if data is None:
                    data = await asyncio.to_thread(read)
                if (suitable := _suitable_try(data)) > number:
                    number = suitable
                    continue
                try:
                    return await self._try(how, data, resizes)
                except _LargeError:
                    number += 1
                except _OverdueError:
                    if how is LAST_TRY:
                        raise
                    number = len(FIRST_TRIES)

    def _place(self, how: _Try) -> asyncio.Semaphore:
        # A picture that was overdue seldom comes alone, and its kind has many pixels.
        if how is not FIRST_TRIES[0] and how is not LAST_TRY and self._places[LAST_TRY].locked():
            return self._places[FIRST_TRIES[-1]]
        return self._places[how]

    async def _try(self, how: _Try, data: bytes, resizes: Sequence[Resize]) -> Decoded:
        worker = await self._take(how.niceness)
        seconds = how.cpu_share * self._images.decode_cpu_seconds
        request = {
            "bytes": len(data),
            "resizes": [(one.method, one.side) for one in resizes],
            "cpu_seconds": seconds,
            "niceness": min(MAX_NICENESS, lowered_niceness() + how.niceness),
            "large_pixels": how.max_pixels,
        }
        reusable = False
        try:
            async with asyncio.timeout(WALL_SECONDS + seconds * WALL_PER_CPU_SECOND):
                answer = await worker.ask(request, data)
                decoded = await self._read_answer(answer, worker, limit=self._largest_answer(resizes))
            reusable = True
        except (UnusableImage, _LargeError):
            reusable = True
            raise
        except TimeoutError as error:
            raise _OverdueError from error
        except _DiedError as error:
            raise await self._explain(worker) from error
        finally:
            if reusable and not self._closed:
                worker.free_memory()
                self._idle[worker.niceness].append(worker)
            else:
                self._discard(worker)
                self._refill()
        return decoded

    async def _read_answer(self, answer: dict[str, Any], worker: _Worker, *, limit: int) -> Decoded:
        """Return the pictures of an answer.

        Raises:
            UnusableImage: the process rejects the picture.
            _LargeError: the picture is large.
            _DiedError: the answer breaks the protocol.
        """
        if answer.get("large"):
            raise _LargeError
        if error := answer.get("error"):
            status, detail, (width, height) = error
            raise UnusableImage(status, detail, size=(width, height))
        payload_size = sum(3 * width * height for width, height in answer["images"])
        payload = await worker.read_shared(payload_size, limit=limit)
        pixels, begin = [], 0
        for width, height in answer["images"]:
            end = begin + 3 * width * height
            pixels.append(np.frombuffer(payload[begin:end], np.uint8).reshape(height, width, 3))
            begin = end
        width, height = answer["size"]
        return Decoded((width, height), tuple(pixels))

    def _largest_answer(self, resizes: Sequence[Resize]) -> int:
        return sum(3 * (one.side**2 if one.side else self._images.max_pixels) for one in resizes)

    async def _explain(self, worker: _Worker) -> Exception:
        """Return the error of a process that ended while it decoded."""
        status = await asyncio.to_thread(worker.wait)
        if status in (-signal.SIGPROF, -signal.SIGKILL):
            # SIGKILL comes from outside, as when the node has no memory left: perhaps the picture is not the reason.
            return _OverdueError()
        logger.warning("a decoder's process ended with status %d", status)
        if status < 0:
            return UnusableImage(415, "expected a whole picture, got one that ends its decoder")
        return RuntimeError(f"a decoder's process ended with status {status}")

    async def _take(self, niceness: int) -> _Worker:
        """Return a process that answers and may have this niceness from now on.

        Raises:
            RequestRejected: 503.
        """
        idle = self._idle[niceness]
        while niceness and idle:
            worker = idle.popleft()
            if not worker.has_ended():
                return worker
            self._discard(worker)
        worker = await self._take_usual()
        if niceness:
            worker.niceness = niceness
            self._refill()
        return worker

    async def _take_usual(self) -> _Worker:
        """Return a process that answers and has the usual priority.

        Raises:
            RequestRejected: 503.
        """
        while True:
            try:
                worker = self._idle[0].popleft() if self._idle[0] else self._spawn()
            except OSError as error:
                self._report_unhealthy(error)
                raise self._unavailable() from error
            try:
                async with asyncio.timeout(START_SECONDS):
                    await worker.become_ready()
            except (TimeoutError, _DiedError) as error:
                was_ready = worker.ready
                self._discard(worker)
                if was_ready and not self._closed:
                    continue  # it ended while it was idle
                self._report_unhealthy(error)
                raise self._unavailable() from error
            except asyncio.CancelledError:
                self._discard(worker)
                self._refill()
                raise
            self._healthy = True
            return worker

    def _unavailable(self) -> RequestRejected:
        return RequestRejected(503, "pictures cannot be decoded at present", retry_after=self._retry_after)

    def _spawn(self) -> _Worker:
        if self._closed:
            raise OSError("the pool is closed")
        self._killed = [worker for worker in self._killed if not worker.has_ended()]
        worker = _Worker(self._images)
        self._workers.add(worker)
        return worker

    def _discard(self, worker: _Worker) -> None:
        worker.kill()
        self._workers.discard(worker)
        self._killed.append(worker)  # collected later: the kernel may take a while to free its memory

    def _refill(self) -> None:
        """Start a process for the next picture in place of one that was killed or has a lower priority now."""
        if self._closed or sum(not worker.niceness for worker in self._workers) >= self._processes:
            return
        try:
            self._idle[0].append(self._spawn())
        except OSError as error:
            self._report_unhealthy(error)

    def _report_unhealthy(self, error: BaseException) -> None:
        if self._closed:
            return
        self._healthy = False
        logger.error("a decoder's process cannot be started: %s", one_line(error))
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.get_running_loop().create_task(self._retry(), name="start of decoders")

    async def _retry(self) -> None:
        """Start a process again and again until one answers: without readiness no request would."""
        while not self._healthy and not self._closed:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                self._idle[0].append(await self._take_usual())
            except RequestRejected:
                continue


class _Worker:
    """One process, the socket to it, and the memory that both share."""

    def __init__(self, images: ImageSettings) -> None:
        options: dict[str, Any] = {
            "bounds": images.model_dump(include={"max_bytes", "max_pixels", "max_proportion"}),
            "memory_bytes": PROCESS_BYTES + images.max_bytes + BYTES_PER_PIXEL * images.max_pixels,
            "niceness": lowered_niceness(),
        }
        self._shared = -1
        self._socket, theirs = socket.socketpair()
        self._process: subprocess.Popen[bytes]
        self.ready = False
        self.niceness = 0
        """Added to that of the pool's other processes."""
        with theirs:
            try:
                self._shared = options["shared"] = os.memfd_create("pictures")
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    [sys.executable, "-m", MODULE, json.dumps(options)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # native decoders print warnings about the pictures
                    env=_environment(),
                    pass_fds=(self._shared,),
                    process_group=0,  # Ctrl-C in a terminal is for the service only
                )
            except OSError:
                self._close()
                raise

    @property
    def process_id(self) -> int:
        """The id of the process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait for the first frame of the process; blocks.

        Raises:
            _DiedError: it ended, or took too long.
        """
        self._socket.settimeout(START_SECONDS)
        try:
            first = self._socket.recv(LENGTH.size + MAX_MESSAGE)
        except OSError as error:
            raise _DiedError("the process does not answer") from error
        if not first:
            raise _DiedError(f"the process ended with status {self.wait()}")
        self._socket.setblocking(False)
        self.ready = True

    async def become_ready(self) -> None:
        """Wait for the first frame if it has not come yet.

        Raises:
            _DiedError: the process has ended.
        """
        if self._process.poll() is not None:
            raise _DiedError(f"the process ended with status {self._process.returncode}")
        if not self.ready:
            self._socket.setblocking(False)
            await self._receive()
            self.ready = True

    async def ask(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        """Share the picture's file, send a request and return the answer.

        Args:
            request: see `decoder_process`.
            data: the picture's file.

        Raises:
            _DiedError: the process ended, or its answer breaks the protocol.
        """
        view, position = memoryview(data), 0
        try:
            while position < len(data):
                position += os.pwrite(self._shared, view[position : position + COPIED_AT_ONCE], position)
                if position < len(data):
                    await asyncio.sleep(0)
            await asyncio.get_running_loop().sock_sendall(self._socket, frame(request))
        except OSError as error:
            raise _DiedError from error
        return await self._receive()

    async def read_shared(self, size: int, *, limit: int) -> memoryview:
        """Return the first bytes that the process has put into the shared memory.

        Raises:
            _DiedError: they are more than `limit`, or fewer than `size`.
        """
        if size > limit:
            raise self._breaks_protocol("the answer is too large")
        buffer, position = memoryview(bytearray(size)), 0
        while position < size:
            try:
                count = os.preadv(self._shared, [buffer[position : position + COPIED_AT_ONCE]], position)
            except OSError as error:
                raise _DiedError from error
            if count == 0:
                raise self._breaks_protocol("the answer is truncated")
            position += count
            if position < size:
                await asyncio.sleep(0)
        return buffer

    def free_memory(self) -> None:
        """Free the shared memory if it is large."""
        if os.fstat(self._shared).st_size > KEPT_BYTES:
            os.ftruncate(self._shared, 0)

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._close()

    def has_ended(self) -> bool:
        """True if the process has ended; it is collected then."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Return the exit status; blocks."""
        return self._process.wait()

    def _close(self) -> None:
        self._socket.close()
        if self._shared >= 0:
            os.close(self._shared)
            self._shared = -1

    def _breaks_protocol(self, message: str) -> _DiedError:
        self._process.kill()
        return _DiedError(message)

    async def _receive(self) -> dict[str, Any]:
        (size,) = LENGTH.unpack(await self._receive_exactly(LENGTH.size))
        if size > MAX_MESSAGE:
            raise self._breaks_protocol("the answer is too large")
        message: dict[str, Any] = json.loads(bytes(await self._receive_exactly(size)))
        return message

    async def _receive_exactly(self, size: int) -> memoryview:
        loop, buffer = asyncio.get_running_loop(), memoryview(bytearray(size))
        received = 0
        while received < size:
            try:
                count = await loop.sock_recv_into(self._socket, buffer[received:])
            except OSError as error:
                raise _DiedError from error
            if count == 0:
                raise _DiedError
            received += count
        return buffer


def _environment() -> dict[str, str]:
    tunables = (os.environ.get("GLIBC_TUNABLES"), KEPT_TUNABLES)
    return {
        **os.environ,
        "GLIBC_TUNABLES": ":".join(filter(None, tunables)),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


def _suitable_try(data: bytes) -> int:
    """Return the number of the first try that is for a file with such a head; the last one has the number after."""
    if (size := announced_size(data)) is None:
        return 0
    pixels = size[0] * size[1]
    if len(data) > METADATA_BYTES + MAX_BYTES_PER_PIXEL * pixels:
        return len(FIRST_TRIES)
    return next(
        (n for n, how in enumerate(FIRST_TRIES) if how.max_pixels is None or pixels <= how.max_pixels),
        len(FIRST_TRIES),
    )
