"""Which pictures are copied, and the bounded queue in which copies wait; thread safe, and nobody waits for room."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from cetacean_inference.shadow.answers import Answer

MAX_REMEMBERED: Final = 20_000
"""Digests of pictures that were copied: each picture is compared once, because a repeated one is no new evidence."""
_DIGEST_DIGITS: Final = 12


@dataclass(slots=True, eq=False)
class Sample:
    """A copy of a picture."""

    sha256: str
    data: bytes
    generation: int
    """Of the queue, when the copy was made."""
    answer: Answer | None = None
    """What the client was answered; None until then."""


class SampleQueue:
    """Copies of answered pictures, within a bound of pictures and of bytes.

    Copies that belong to requests in progress count too, so the bounds hold for all that is kept.
    """

    def __init__(self, *, max_pictures: int, max_bytes: int) -> None:
        """Create an empty queue that samples nothing."""
        self._max_pictures, self._max_bytes = max_pictures, max_bytes
        self._lock = threading.Lock()
        self._share = 0.0
        self._generation = 0
        self._held: set[Sample] = set()
        self._bytes = 0
        self._waiting: deque[Sample] = deque()
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self.sampled = 0
        self.dropped = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of all copies."""
        return self._bytes

    def restart(self, share: float) -> None:
        """Drop what waits, forget which pictures were copied, and sample this share of them from now on."""
        with self._lock:
            self._share = share
            self._generation += 1
            for sample in self._waiting:
                self._release(sample)
            self._waiting.clear()
            self._remembered.clear()
            self.sampled = self.dropped = 0

    def copy(self, sha256: str, data: bytes) -> Sample | None:
        """Return a copy to be handed to `put` or `discard`; None if the picture is not sampled or there is no room.

        The digest decides, so all pods of a resource choose the same pictures.
        """
        if int(sha256[:_DIGEST_DIGITS], 16) >= self._share * 16**_DIGEST_DIGITS:
            return None
        with self._lock:
            if sha256 in self._remembered:
                return None
            self._remembered[sha256] = None
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
            self.sampled += 1
            if len(self._held) >= self._max_pictures or self._bytes + len(data) > self._max_bytes:
                self.dropped += 1
                return None
            sample = Sample(sha256, data, self._generation)
            self._held.add(sample)
            self._bytes += len(data)
            return sample

    def put(self, sample: Sample) -> None:
        """Queue a copy whose picture has been answered, unless the queue was restarted meanwhile."""
        with self._lock:
            if sample.generation == self._generation:
                self._waiting.append(sample)
            else:
                self._release(sample)

    def discard(self, sample: Sample) -> None:
        """Release a copy: it has been compared, or its picture was not answered and counts as never seen."""
        with self._lock:
            self._release(sample)
            if sample.answer is None and sample.generation == self._generation:
                self.sampled -= 1
                self._remembered.pop(sample.sha256, None)

    def take(self) -> Sample | None:
        """Return the copy that has waited longest, None if none waits; `discard` it afterwards."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _release(self, sample: Sample) -> None:
        if sample in self._held:
            self._held.remove(sample)
            self._bytes -= len(sample.data)


class RequestSamples:
    """The copies of the pictures of one request."""

    def __init__(self, queue: SampleQueue) -> None:
        """Create an empty collection."""
        self._queue = queue
        self._lock = threading.Lock()
        self._finished = False
        self._samples: list[Sample] = []

    def copy(self, sha256: str, data: bytes) -> Sample | None:
        """Copy a picture if it is sampled; called in the thread that reads it, maybe after the request has ended."""
        sample = self._queue.copy(sha256, data)
        if sample is None:
            return None
        with self._lock:
            if not self._finished:
                self._samples.append(sample)
                return sample
        self._queue.discard(sample)
        return None

    def finish(self, *, sent: bool) -> bool:
        """Queue the copies once the answer has left; release them if it did not, or has nothing about a picture.

        Returns:
            True if one was handed to the queue.
        """
        with self._lock:
            self._finished = True
        handed_over = False
        for sample in self._samples:
            if sent and sample.answer is not None:
                self._queue.put(sample)
                handed_over = True
            else:
                sample.answer = None
                self._queue.discard(sample)
        return handed_over
