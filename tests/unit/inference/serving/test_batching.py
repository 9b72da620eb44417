"""The batcher: batches, admission, failures, and closing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from support.inference_world import Colour, FakePipeline
from support.waiting import until

from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.metrics import Metrics
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.batching import Batcher, ScoredPicture
from cetacean_inference.settings import BatchingSettings, DriftSettings
from cetacean_inference.types import Decoded, Scores

Load = Callable[[], Awaitable[tuple[Decoded, str]]]


def metrics() -> Metrics:
    return Metrics(
        drift=DriftMonitor(model="tiny", settings=DriftSettings(), monitoring=Monitoring()), info=lambda: None
    )


@contextmanager
def batcher_of(
    pipeline: FakePipeline, *, max_size: int = 4, queue_size: int = 16, max_wait_seconds: float = 0.0
) -> Iterator[Batcher[tuple[int, int, int]]]:
    settings = BatchingSettings(max_size=max_size, queue_size=queue_size, max_wait_seconds=max_wait_seconds)
    batcher = Batcher(pipeline, threshold=0.25, settings=settings, metrics=metrics(), retry_after=3)
    yield batcher
    pipeline.release()
    assert batcher.close(timeout_seconds=10)


def load(score: float = 0.9) -> Load:
    pixels = np.full((1, 1, 3), (round(score * 255), 204, 0), np.uint8)

    async def loaded() -> tuple[Decoded, str]:
        return Decoded((40, 30), (pixels,)), f"note {score}"

    return loaded


async def all_of(*waiting: Awaitable[ScoredPicture[str]]) -> list[ScoredPicture[str] | BaseException]:
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_model_thread_that_ends_is_reported_and_its_pictures_fail_at_once(
    pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with batcher_of(pipeline) as batcher:
        assert batcher.failure is None

        def fail(*_: object) -> None:
            raise MemoryError("no room for a batch's size")

        monkeypatch.setattr(Metrics, "observe_batch", fail)
        (found,) = await all_of(batcher.score(load()))
        assert isinstance(found, RuntimeError)
        assert batcher.failure == "MemoryError: no room for a batch's size"
        for wait in (False, True):
            with pytest.raises(RequestRejected) as caught:
                await batcher.score(load(), wait_for_admission=wait)
            assert (caught.value.status, caught.value.retry_after) == (503, 3)
    assert "a model thread has ended" in caplog.text


async def test_each_picture_gets_its_own_scores(pipeline: FakePipeline) -> None:
    with batcher_of(pipeline) as batcher:
        shades = [number / 255 for number in range(0, 250, 25)]
        found = await asyncio.gather(*(batcher.score(load(shade)) for shade in shades))
    assert [one.scores.cetacean_score for one in found] == pytest.approx(shades)
    assert [one.note for one in found] == [f"note {shade}" for shade in shades]
    assert {one.size for one in found} == {(40, 30)}


async def test_queued_pictures_are_computed_together_up_to_the_maximum(pipeline: FakePipeline) -> None:
    pipeline.hold()
    with batcher_of(pipeline, max_size=4) as batcher:
        first = asyncio.create_task(batcher.score(load()))
        await until(pipeline.started.is_set)
        rest = [asyncio.create_task(batcher.score(load())) for _ in range(6)]
        await until(lambda: batcher.num_queued == 6)
        pipeline.release()
        found = await asyncio.gather(first, *rest)
    assert pipeline.batches == [1, 4, 2]
    assert sorted(one.stages.batch_size for one in found) == [1, 2, 2, 4, 4, 4, 4]


async def test_a_batch_waits_for_more_pictures_if_the_settings_say_so(pipeline: FakePipeline) -> None:
    with batcher_of(pipeline, max_size=3, max_wait_seconds=20) as batcher:
        first = asyncio.create_task(batcher.score(load()))
        # The model's thread has taken the first picture from the queue before the others arrive.
        await asyncio.sleep(0)
        await until(lambda: batcher.num_queued == 0)
        await asyncio.gather(first, *(batcher.score(load()) for _ in range(2)))
    assert pipeline.batches == [3]


async def test_the_event_loops_thread_does_not_compute(pipeline: FakePipeline) -> None:
    with batcher_of(pipeline) as batcher:
        await asyncio.gather(*(batcher.score(load()) for _ in range(8)))
    assert pipeline.threads == {"model"}


async def test_the_event_loop_runs_while_the_model_computes(pipeline: FakePipeline) -> None:
    pipeline.hold()
    with batcher_of(pipeline) as batcher:
        waiting = asyncio.create_task(batcher.score(load()))
        await until(pipeline.started.is_set)
        # A model in the event loop's thread would wait here for itself.
        assert not waiting.done()
        pipeline.release()
        await waiting


async def test_a_picture_beyond_the_queues_size_is_rejected_at_once(pipeline: FakePipeline) -> None:
    pipeline.hold()
    with batcher_of(pipeline, queue_size=3) as batcher:
        admitted = [asyncio.create_task(batcher.score(load())) for _ in range(3)]
        await until(pipeline.started.is_set)
        with pytest.raises(RequestRejected) as caught:
            await batcher.score(load())
        assert (caught.value.status, caught.value.retry_after) == (429, 3)
        with pytest.raises(RequestRejected):
            batcher.check_admission()
        pipeline.release()
        await asyncio.gather(*admitted)
        batcher.check_admission()
        await batcher.score(load())


async def test_a_picture_of_an_admitted_request_waits_for_admission(pipeline: FakePipeline) -> None:
    pipeline.hold()
    with batcher_of(pipeline, queue_size=2) as batcher:
        waiting = [asyncio.create_task(batcher.score(load(), wait_for_admission=True)) for _ in range(10)]
        await until(pipeline.started.is_set)
        pipeline.release()
        assert len(await asyncio.gather(*waiting)) == 10


async def test_a_cancelled_picture_is_not_computed(pipeline: FakePipeline) -> None:
    pipeline.hold()
    with batcher_of(pipeline) as batcher:
        first = asyncio.create_task(batcher.score(load()))
        await until(pipeline.started.is_set)
        cancelled, other = (asyncio.create_task(batcher.score(load())) for _ in range(2))
        await until(lambda: batcher.num_queued == 2)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        pipeline.release()
        await asyncio.gather(first, other)
        batcher.check_admission()
    assert pipeline.batches == [1, 1]


async def test_if_a_batch_fails_only_the_picture_at_fault_fails(pipeline: FakePipeline) -> None:
    pipeline.fails_on = lambda batch: any(red == 255 for red, _, _ in batch)
    pipeline.hold()
    with batcher_of(pipeline) as batcher:
        first = asyncio.create_task(batcher.score(load(0.0)))
        await until(pipeline.started.is_set)
        rest = [asyncio.create_task(batcher.score(load(shade))) for shade in (0.2, 1.0, 0.4)]
        await until(lambda: batcher.num_queued == 3)
        pipeline.release()
        found = await all_of(first, *rest)
        assert [type(one).__name__ for one in found] == [
            "ScoredPicture",
            "ScoredPicture",
            "RuntimeError",
            "ScoredPicture",
        ]
        assert (await batcher.score(load(0.2))).scores.cetacean_score == pytest.approx(0.2)


class Miscounting(FakePipeline):
    """Returns other numbers of scores than pictures as long as `wrong`."""

    def __init__(self, counted: Callable[[list[Scores]], list[Scores]]) -> None:
        super().__init__()
        self.wrong = True
        self._counted = counted

    def predict(self, batch: Sequence[Colour], *, threshold: float = 0.0) -> list[Scores]:
        found = super().predict(batch, threshold=threshold)
        return self._counted(found) if self.wrong else found


@pytest.mark.parametrize(
    ("counted", "count"),
    [pytest.param(lambda found: found[1:], 0, id="one too few"), pytest.param(lambda found: found * 2, 2, id="twice")],
)
async def test_another_number_of_scores_than_pictures_is_an_error_and_the_next_picture_is_computed(
    counted: Callable[[list[Scores]], list[Scores]], count: int
) -> None:
    pipeline = Miscounting(counted)
    with batcher_of(pipeline) as batcher:
        async with asyncio.timeout(30):
            with pytest.raises(RuntimeError, match=f"expected 1 scores, got {count}"):
                await batcher.score(load())
            pipeline.wrong = False
            assert (await batcher.score(load(0.2))).scores.cetacean_score == pytest.approx(0.2)


async def test_the_caller_gets_the_loaders_error(pipeline: FakePipeline) -> None:
    async def broken() -> tuple[Decoded, str]:
        raise RequestRejected(415, "no picture")

    with batcher_of(pipeline, queue_size=1) as batcher:
        with pytest.raises(RequestRejected, match="no picture"):
            await batcher.score(broken)
        await batcher.score(load())


async def test_closing_computes_the_queued_pictures(pipeline: FakePipeline) -> None:
    pipeline.hold()
    with batcher_of(pipeline, max_size=1) as batcher:
        waiting = [asyncio.create_task(batcher.score(load())) for _ in range(5)]
        await until(pipeline.started.is_set)
        await until(lambda: batcher.num_queued == 4)
        assert not batcher.close(timeout_seconds=0)
        pipeline.release()
        assert len(await asyncio.gather(*waiting)) == 5


async def test_a_picture_that_the_gate_rejects_is_not_identified(pipeline: FakePipeline) -> None:
    with batcher_of(pipeline) as batcher:
        rejected, accepted = [(await batcher.score(load(score))).scores.ranking for score in (0.2, 0.3)]
    assert pipeline.thresholds == {0.25}
    assert (len(rejected), len(accepted)) == (0, 5)


async def test_two_workers_compute_two_batches_at_once() -> None:
    pipeline = FakePipeline(num_workers=2)
    pipeline.hold()
    with batcher_of(pipeline, max_size=1) as batcher:
        waiting = [asyncio.create_task(batcher.score(load(score))) for score in (0.1, 0.5, 0.9)]
        await until(lambda: pipeline.num_in_progress == 2)
        await until(lambda: batcher.num_queued == 1)
        assert not batcher.close(timeout_seconds=0)
        pipeline.release()
        scores = [one.scores.cetacean_score for one in await asyncio.gather(*waiting)]
    assert scores == pytest.approx([0.1, 0.5, 0.9], abs=0.01)
