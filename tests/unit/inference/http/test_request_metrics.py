"""Metrics of real requests: the depth of the queue, the stages, the sizes of batches, and a pipeline that fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from support.inference_world import Colour, FakePipeline, InlineDecoder, client_of
from support.pictures import archive, picture
from support.waiting import until

from cetacean_inference.serving.service import Service
from cetacean_inference.types import Scores

PREFIX = "cetacean_inference_"
Clock = Callable[[float], None]


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stops the clock by which stages are measured; the fixture lets time pass."""
    now = 100.0

    def add(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    return add


def send(client: httpx.AsyncClient, **given: Any) -> asyncio.Task[httpx.Response]:
    files = {"file": ("a.png", picture(**given), "image/png")}
    return asyncio.create_task(client.post("/v1/predict-single", files=files))


async def series(client: httpx.AsyncClient, name: str) -> dict[str, float]:
    """Return the values of a metric by its labels."""
    lines = (await client.get("/metrics")).text.splitlines()
    found = (
        line.removeprefix(f"{PREFIX}{name}").rpartition(" ") for line in lines if line.startswith(f"{PREFIX}{name}")
    )
    return {labels: float(value) for labels, _, value in found}


async def test_the_queues_depth_counts_admitted_pictures_until_they_are_answered(
    service_of: Any, pipeline: FakePipeline
) -> None:
    pipeline.hold()
    async with client_of(service_of(batching={"max_size": 1})) as client:
        assert await series(client, "queue_depth") == {"": 0.0}
        waiting = [send(client) for _ in range(3)]
        await until(pipeline.started.is_set)
        for _ in range(1000):
            if (await series(client, "queue_depth")) == {"": 3.0}:
                break
        assert await series(client, "queue_depth") == {"": 3.0}
        pipeline.release()
        await asyncio.gather(*waiting)
        assert await series(client, "queue_depth") == {"": 0.0}


async def test_the_time_in_the_queue_and_the_time_of_the_model_are_counted_separately(
    service_of: Any, pipeline: FakePipeline, advance: Clock
) -> None:
    service: Service = service_of(batching={"max_size": 1})
    pipeline.hold()
    async with client_of(service) as client:
        first = send(client)
        await until(lambda: pipeline.num_in_progress == 1)
        second = send(client)
        await until(lambda: service.predictor.batcher.num_queued == 1)
        advance(7.0)
        pipeline.release()
        await asyncio.gather(first, second)
        stages = await series(client, "stage_duration_seconds_sum")
        counts = await series(client, "stage_duration_seconds_count")
    assert stages == {'{stage="prepare"}': 0.0, '{stage="queue"}': 7.0, '{stage="predict"}': 7.0}
    assert set(counts.values()) == {2.0}
    assert pipeline.batches == [1, 1]


async def test_the_first_of_two_waits_for_the_model_and_not_in_the_queue(
    service_of: Any, pipeline: FakePipeline, advance: Clock
) -> None:
    pipeline.hold()
    async with client_of(service_of()) as client:
        only = send(client)
        await until(lambda: pipeline.num_in_progress == 1)
        advance(3.0)
        pipeline.release()
        await only
        assert await series(client, "stage_duration_seconds_sum") == {
            '{stage="prepare"}': 0.0,
            '{stage="queue"}': 0.0,
            '{stage="predict"}': 3.0,
        }


async def test_one_request_counts_in_every_stage_and_in_the_sizes_of_batches(client: httpx.AsyncClient) -> None:
    assert (await send(client)).status_code == 200
    assert await series(client, "stage_duration_seconds_count") == {
        f'{{stage="{stage}"}}': 1.0 for stage in ("prepare", "queue", "predict")
    }
    assert await series(client, "batch_size_count") == {"": 1.0}
    assert await series(client, "batch_size_sum") == {"": 1.0}


async def test_batches_count_with_their_size(service_of: Any, pipeline: FakePipeline) -> None:
    data = archive([(f"{number}.png", picture()) for number in range(20)])
    async with client_of(service_of(batching={"max_size": 4})) as client:
        await client.post("/v1/predict-batch", files={"archive": ("a.zip", data, "application/zip")})
        assert await series(client, "batch_size_sum") == {"": 20.0}
        assert await series(client, "batch_size_count") == {"": float(len(pipeline.batches))}
    assert sum(pipeline.batches) == 20


class Miscounting(FakePipeline):
    """Returns another number of scores than of pictures, for dark ones."""

    def __init__(self, change: Callable[[list[Scores]], list[Scores]]) -> None:
        super().__init__()
        self._change = change

    def predict(self, batch: Sequence[Colour], *, threshold: float = 0.0) -> list[Scores]:
        found = super().predict(batch, threshold=threshold)
        return self._change(found) if any(red < 100 for red, _, _ in batch) else found


@pytest.mark.parametrize(
    "change",
    [lambda _: [], lambda scores: scores[:-1], lambda scores: [*scores, scores[0]]],
    ids=["none", "few", "many"],
)
async def test_500_for_a_wrong_number_of_scores_and_the_next_request_is_answered(
    settings: Any, change: Callable[[list[Scores]], list[Scores]]
) -> None:
    service = Service(settings)
    service.start(Miscounting(change), decoder=InlineDecoder(settings.images))
    async with client_of(service) as client:
        for _ in range(2):
            async with asyncio.timeout(30):
                assert (await send(client, score=0.1)).status_code == 500
                assert (await send(client, score=0.9)).status_code == 200
    assert service.close(timeout_seconds=10)
