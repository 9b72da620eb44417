"""Gathers pictures for the model: decoding in a few threads, computing beside, neither in the event loop.

The model's thread, one for each of the pipeline's lanes, takes what is queued, up to a maximum, the moment it is free:
no time is added when there is little to do, and batches grow by themselves when there is much. Everything admitted is
counted, and what would be too much is refused at once rather than answered late.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from PIL import Image

from cetacean_inference.metrics import Metrics, Stages
from cetacean_inference.priority import give_way
from cetacean_inference.refusals import Refused
from cetacean_inference.settings import BatchingSettings
from cetacean_inference.types import Pipeline, PreparedT, Scores

logger = logging.getLogger(__name__)

NoteT = TypeVar("NoteT")


@dataclass(frozen=True, slots=True)
class Scored(Generic[NoteT]):
    """What came of one picture."""

    scores: Scores
    size: tuple[int, int]
    """Width and height in pixels."""
    note: NoteT
    """What the loader said beside the picture."""
    stages: Stages


@dataclass(frozen=True, slots=True)
class _Item(Generic[PreparedT]):
    prepared: PreparedT
    future: Future[tuple[Scores, float, float, int]]
    queued_at: float


class Batcher(Generic[PreparedT]):
    """Feeds one pipeline; make it when the pipeline is loaded, from any thread.

    Args:
        pipeline: computes; its `predict` is only ever called in as many threads as it has lanes.
        threshold: smallest cetacean score of what is identified, 0..1.
        settings: sizes and bounds.
        metrics: where batches and the queue are shown.
        retry_after: seconds that a refused client is told to wait.
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
        self._preparing = ThreadPoolExecutor(
            settings.prepare_threads, thread_name_prefix="prepare", initializer=give_way
        )
        # Daemons: a batch that takes longer than the grace period must not keep the process from ending.
        self._models = [threading.Thread(target=self._work, name="model", daemon=True) for _ in range(pipeline.lanes)]
        for model in self._models:
            model.start()

    @property
    def share(self) -> int:
        """How many pictures one archive should have under way: the model stays busy, and others get their turn."""
        return max(1, min(2 * self._settings.max_size, self._settings.queue_size // 2))

    def check(self) -> None:
        """Refuse what would only wait.

        Raises:
            Refused: 429 when as many pictures are admitted as may be.
        """
        if self._admission.locked():
            raise Refused(
                429,
                f"{self._settings.queue_size} pictures are waiting already: ask again later",
                retry_after=self._retry_after,
            )

    async def score(self, load: Callable[[], tuple[Image.Image, NoteT]], *, patient: bool = False) -> Scored[NoteT]:
        """Score one picture.

        Args:
            load: gives the picture, in RGB, and a note that is handed back; called in a thread.
            patient: wait for admission instead of being refused; for pictures of a request that is admitted.

        Raises:
            Refused: 429, or what `load` raises.
        """
        if not patient:
            self.check()
        async with self._admitted():
            begun = time.perf_counter()
            prepared, size, note = await asyncio.wrap_future(self._preparing.submit(self._prepare, load))
            queued_at = time.perf_counter()
            item = _Item(prepared, Future[tuple[Scores, float, float, int]](), queued_at)
            self._queue.put(item)
            # Cancelling the wait (a time-out, a client that left) cancels the item: the model skips it.
            scores, waited, took, together = await asyncio.wrap_future(item.future)
        stages = Stages(prepare=queued_at - begun, queue=waited, predict=took, batch_size=together)
        self._metrics.took(stages)
        return Scored(scores, size, note, stages)

    def close(self, *, timeout_seconds: float) -> bool:
        """Compute what is queued, then end the threads; whether that was done in time."""
        self._preparing.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + timeout_seconds
        for _ in self._models:
            self._queue.put(None)
        for model in self._models:
            model.join(max(0.0, deadline - time.monotonic()))
        return not any(model.is_alive() for model in self._models)

    @asynccontextmanager
    async def _admitted(self) -> AsyncIterator[None]:
        async with self._admission:
            self._metrics.queue_depth.inc()
            try:
                yield
            finally:
                self._metrics.queue_depth.dec()

    def _prepare(self, load: Callable[[], tuple[Image.Image, NoteT]]) -> tuple[PreparedT, tuple[int, int], NoteT]:
        image, note = load()
        return self._pipeline.prepare(image), image.size, note

    def _work(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._gather()
            # From here on an item cannot be cancelled any more; one that was is left out.
            live = [item for item in batch if item.future.set_running_or_notify_cancel()]
            if live:
                self._compute(live)

    def _gather(self) -> tuple[list[_Item[PreparedT]], bool]:
        """What is queued, at least one item unless the end has come, and whether to go on."""
        first = self._queue.get()
        if first is None:
            return [], False
        batch = [first]
        deadline = time.monotonic() + self._settings.max_wait_seconds
        while len(batch) < self._settings.max_size:
            try:
                wait = deadline - time.monotonic()
                item = self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return batch, False
            batch.append(item)
        return batch, True

    def _compute(self, items: Sequence[_Item[PreparedT]]) -> None:
        begun = time.perf_counter()
        try:
            scored = self._pipeline.predict([item.prepared for item in items], threshold=self._threshold)
            if len(scored) != len(items):
                raise RuntimeError(f"expected {len(items)} scores, got {len(scored)}")  # noqa: TRY301 - goes to the items
        except Exception as error:  # noqa: BLE001 - whoever waits for the picture gets it
            if len(items) > 1:
                logger.warning("a batch of %d failed, computing its pictures one by one: %s", len(items), error)
                for item in items:
                    self._compute([item])
            else:
                items[0].future.set_exception(error)
            return
        took = time.perf_counter() - begun
        self._metrics.computed(len(items))
        for item, scores in zip(items, scored, strict=True):
            item.future.set_result((scores, begun - item.queued_at, took, len(items)))
