"""Collects decoded pictures into batches, which threads compute; none of it in the event loop.

A model thread takes all queued pictures, up to a maximum, as soon as it is free. This adds no delay if there is little
to do, and makes larger batches under load. The number of admitted pictures is bounded: more are rejected at once.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from cetacean_inference.messages import with_type
from cetacean_inference.monitoring.metrics import Metrics, StageTimes
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.settings import BatchingSettings
from cetacean_inference.types import Decoded, Pipeline, PreparedT, Scores

logger = logging.getLogger(__name__)

NoteT = TypeVar("NoteT")


@dataclass(frozen=True, slots=True)
class ScoredPicture(Generic[NoteT]):
    """The result for one picture."""

    scores: Scores
    size: tuple[int, int]
    """Width and height in pixels."""
    note: NoteT
    """Returned by the loader together with the picture."""
    stages: StageTimes


@dataclass(frozen=True, slots=True)
class _Computed:
    scores: Scores
    waited: float
    took: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class _Item(Generic[PreparedT]):
    prepared: PreparedT
    future: Future[_Computed]
    queued_at: float


class Batcher(Generic[PreparedT]):
    """Feeds one pipeline; may be created in any thread.

    Args:
        pipeline: computes; `predict` is called by at most `num_workers` threads at once.
        threshold: smallest cetacean score that is identified, 0..1.
        settings: sizes and bounds.
        metrics: batches and the queue's depth.
        retry_after: seconds of `Retry-After` for rejected clients.
    """

    def __init__(
        self,
        pipeline: Pipeline[PreparedT],
        *,
        threshold: float,
        settings: BatchingSettings,
        metrics: Metrics,
        retry_after: int,
    ) -> None:
        self._pipeline = pipeline
        self._threshold = threshold
        self._settings = settings
        self._metrics = metrics
        self._retry_after = retry_after
        self._admission = asyncio.Semaphore(settings.queue_size)
        self._queue: queue.SimpleQueue[_Item[PreparedT] | None] = queue.SimpleQueue()
        self._failure: str | None = None
        # Daemon threads: a batch that takes longer than the grace period must not keep the process from ending.
        self._workers = [
            threading.Thread(target=self._work, name="model", daemon=True) for _ in range(pipeline.num_workers)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def max_in_flight_per_archive(self) -> int:
        """Number of pictures of one archive to submit at once: enough for full batches, with room for other clients."""
        return max(1, min(2 * self._settings.max_size, self._settings.queue_size // 2))

    @property
    def failure(self) -> str | None:
        """Why a model thread has ended, None if all of them compute."""
        return self._failure

    @property
    def num_queued(self) -> int:
        """Number of pictures that are prepared and wait for a model thread."""
        return self._queue.qsize()

    def check_admission(self) -> None:
        """Reject if a new picture would have to wait for admission, or for a model thread that has ended.

        Raises:
            RequestRejected: 429, 503.
        """
        self._check_threads()
        if self._admission.locked():
            raise RequestRejected(
                429,
                f"{self._settings.queue_size} pictures are waiting already: try again later",
                retry_after=self._retry_after,
            )

    async def score(
        self, load: Callable[[], Awaitable[tuple[Decoded, NoteT]]], *, wait_for_admission: bool = False
    ) -> ScoredPicture[NoteT]:
        """Score one picture.

        Args:
            load: returns the picture, resized as the pipeline's `resizes` says, and a note for the result.
            wait_for_admission: wait instead of being rejected; for pictures of a request that is admitted.

        Raises:
            RequestRejected: 429, 503, or raised by `load`.
        """
        if not wait_for_admission:
            self.check_admission()
        async with self._admitted():
            self._check_threads()
            begun = time.perf_counter()
            decoded, note = await load()
            queued_at = time.perf_counter()
            item = _Item(self._pipeline.pack(decoded.pixels), Future[_Computed](), queued_at)
            self._queue.put(item)
            # Cancelling this wait (a time-out, a disconnected client) cancels the item: the model skips it.
            computed = await asyncio.wrap_future(item.future)
        stages = StageTimes(
            prepare=queued_at - begun, queue=computed.waited, predict=computed.took, batch_size=computed.batch_size
        )
        self._metrics.observe_stages(stages)
        return ScoredPicture(computed.scores, decoded.size, note, stages)

    def close(self, *, timeout_seconds: float) -> bool:
        """Compute the queued pictures, then end the threads; False if that took too long."""
        deadline = time.monotonic() + timeout_seconds
        for _ in self._workers:
            self._queue.put(None)
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        return not any(worker.is_alive() for worker in self._workers)

    def _check_threads(self) -> None:
        if self._failure is not None:
            raise RequestRejected(503, "a model thread has ended: ask another pod", retry_after=self._retry_after)

    @asynccontextmanager
    async def _admitted(self) -> AsyncIterator[None]:
        async with self._admission:
            self._metrics.queue_depth.inc()
            try:
                yield
            finally:
                self._metrics.queue_depth.dec()

    def _work(self) -> None:
        batch: list[_Item[PreparedT]] = []
        closed = False
        try:
            while not closed:
                batch, closed = self._next_batch()
                # From here on an item cannot be cancelled any more; cancelled ones are left out.
                live = [item for item in batch if item.future.set_running_or_notify_cancel()]
                if live:
                    self._compute(live)
        except BaseException as error:
            self._failure = with_type(error)
            logger.critical("a model thread has ended, the pod must be restarted", exc_info=True)
            for item in batch:
                if not item.future.done():
                    item.future.set_exception(RuntimeError("the model thread has ended"))

    def _next_batch(self) -> tuple[list[_Item[PreparedT]], bool]:
        """Wait for at least one item, and take the others that are queued; also returns whether the queue is closed."""
        first = self._queue.get()
        if first is None:
            return [], True
        batch = [first]
        deadline = time.monotonic() + self._settings.max_wait_seconds
        while len(batch) < self._settings.max_size:
            try:
                wait = deadline - time.monotonic()
                item = self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False

    def _compute(self, items: Sequence[_Item[PreparedT]]) -> None:
        begun = time.perf_counter()
        try:
            scored = self._pipeline.predict([item.prepared for item in items], threshold=self._threshold)
            if len(scored) != len(items):
                raise RuntimeError(f"expected {len(items)} scores, got {len(scored)}")  # noqa: TRY301 - for the items
        except Exception as error:  # noqa: BLE001 - the caller that waits for the picture gets it
            if len(items) > 1:
                logger.warning("a batch of %d failed, computing its pictures one by one: %s", len(items), error)
                for item in items:
                    self._compute([item])
            else:
                items[0].future.set_exception(error)
            return
        took = time.perf_counter() - begun
        self._metrics.observe_batch(len(items))
        for item, scores in zip(items, scored, strict=True):
            item.future.set_result(_Computed(scores, begun - item.queued_at, took, len(items)))
