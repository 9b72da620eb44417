"""Copies of answered pictures go to a candidate; nothing that it does changes an answer, a window or a counter."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from support.inference_world import DIGEST, FakePipeline, InlineDecoder, client_of, make_settings, start
from support.pictures import archive, encoded, picture
from support.waiting import until

from cetacean_inference.http.app import create_app
from cetacean_inference.monitoring.monitoring_file import KeepDisagreements, ServedModel, ShadowPlan
from cetacean_inference.serving.service import Service
from cetacean_inference.shadow.client import RUN_HEADER, ShadowClient
from cetacean_inference.shadow.compared_pictures import ComparedPictures
from cetacean_inference.types import Decoded, Resize, Scores

OTHER_DIGEST = "ef" * 32
SERVED = ServedModel(name="tiny", version="1.2.3", sha256=DIGEST)
CANDIDATE = ServedModel(name="next", version="2.0.0", sha256=OTHER_DIGEST)
PLAN = ShadowPlan(run="one", share=1.0, url="http://candidate.sea.svc", candidate=CANDIDATE, served=SERVED)
COUNTERS = ("requests_total", "errors_total", "predictions_total", "rejections_total", "cetacean_score_avg")


class Greyed(FakePipeline):
    """A candidate that says something else about pictures with much blue."""

    def pack(self, pixels: Any) -> tuple[int, int, int]:
        red, green, blue = super().pack(pixels)
        return (0 if blue > 100 else red), green, blue


@pytest.fixture
async def candidate(tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "candidate").mkdir()
    service = Service(make_settings(tmp_path / "candidate", model={"name": "next", "version": "2.0.0"}))
    start(service, Greyed(sha256=OTHER_DIGEST))
    yield service
    assert service.close(timeout_seconds=10)


@asynccontextmanager
async def serving(
    folder: Path,
    transport: httpx.AsyncBaseTransport,
    *,
    plan: ShadowPlan | None = PLAN,
    decoder: type[InlineDecoder] = InlineDecoder,
    **shadow: Any,
) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A service whose copies go through `transport`."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    settings = make_settings(folder, shadow={"timeout_seconds": 30, **shadow})
    client = ShadowClient(timeout_seconds=settings.shadow.timeout_seconds, transport=transport)
    service = Service(settings, shadow_client=client)
    service.start(FakePipeline(), decoder=decoder(settings.images))
    service.shadow.configure(plan)
    task = asyncio.create_task(service.shadow.run())
    try:
        async with client_of(service) as requests:
            yield service, requests
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert service.close(timeout_seconds=10)


async def stats(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/v1/shadow-stats")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def send(client: httpx.AsyncClient, data: bytes) -> httpx.Response:
    return await client.post("/v1/predict-single", files={"file": ("whale.png", data, "image/png")})


def done(service: Service) -> bool:
    """All copies have been compared."""
    return service.shadow.samples.held_bytes == 0


async def counters(client: httpx.AsyncClient) -> dict[str, str]:
    lines = (line for line in (await client.get("/metrics")).text.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in (line.rpartition(" ") for line in lines) if name in COUNTERS}


DIFFERENT = picture(score=0.9, probability=0.8, size=(41, 30))


def all_kept(service: Service, number: int) -> bool:
    """So many pictures have been kept, or not."""
    return service.shadow.pictures.outcomes.total() == number


def blue(number: int) -> bytes:
    return encoded(Image.new("RGB", (20, 20), (230, 200, 150 + number)), "PNG")


async def test_answers_of_the_candidate_are_compared_one_by_one(tmp_path: Path, candidate: Service) -> None:
    async with serving(tmp_path / "served", httpx.ASGITransport(create_app(candidate))) as (service, client):
        same = [picture(size=(30 + number, 30)) for number in range(3)]
        for data in (*same, blue(0), blue(1)):
            assert (await send(client, data)).status_code == 200
        await until(lambda: done(service))
        found = await stats(client)
        assert (found["run"], found["model"]["name"]) == ("one", "next")
        assert (found["sampled"], found["dropped"], found["busy"]) == (5, 0, 0)
        assert not any(found["failed"].values())
        pairs = found["candidate"]
        assert (pairs["pairs"], pairs["accepted"], pairs["both_accepted"]) == (5, 3, 3)
        assert (pairs["species"], pairs["individual"]) == (3, 3)
        # 230 of 255 is answered as 0.9020, and the candidate reads 0 of the blue ones.
        assert pairs["score_difference"] == -2 * 9020
        assert pairs["probability_served"] == pairs["probability_other"] == 3 * 8000
        text = (await client.get("/metrics")).text.splitlines()
        assert 'cetacean_inference_shadow_pictures_total{outcome="compared"} 5.0' in text
        assert 'cetacean_inference_shadow_pairs_total{agree="species",other="candidate"} 3.0' in text
        assert pairs["by_species"] == [{"name": "species0", "pairs": 3, "species": 3, "individual": 3}]


async def test_pictures_of_archives_are_compared_too(tmp_path: Path, candidate: Service) -> None:
    async with serving(tmp_path / "served", httpx.ASGITransport(create_app(candidate))) as (service, client):
        entries = [(f"{number}.png", picture(size=(30 + number, 30))) for number in range(4)]
        data = archive([*entries, ("broken.png", b"\x89PNG\r\n\x1a\n")])
        answer = await client.post("/v1/predict-batch", files={"archive": ("a.zip", data, "application/zip")})
        assert len(answer.json()) == 5
        await until(lambda: done(service))
        assert (await stats(client))["candidate"]["pairs"] == 4


class ReadsTwice(InlineDecoder):
    """Reads each file again before it decodes, as the pool does if all places are taken."""

    async def decode(self, read: Callable[[], bytes], resizes: Sequence[Resize]) -> Decoded:
        await asyncio.to_thread(read)
        return await super().decode(read, resizes)


async def test_pictures_that_the_decoder_reads_twice_are_compared(tmp_path: Path, candidate: Service) -> None:
    transport = httpx.ASGITransport(create_app(candidate))
    async with serving(tmp_path / "served", transport, decoder=ReadsTwice) as (service, client):
        entries = [(f"{number}.png", picture(size=(30 + number, 30))) for number in range(4)]
        await client.post("/v1/predict-batch", files={"archive": ("a.zip", archive(entries), "application/zip")})
        await send(client, DIFFERENT)
        await until(lambda: done(service))
        found = await stats(client)
        assert (found["sampled"], found["dropped"], found["candidate"]["pairs"]) == (5, 0, 5)


async def test_each_picture_is_compared_once(tmp_path: Path, candidate: Service) -> None:
    async with serving(tmp_path / "served", httpx.ASGITransport(create_app(candidate))) as (service, client):
        for _ in range(3):
            await send(client, picture())
            await until(lambda: done(service))
        assert (await stats(client))["candidate"]["pairs"] == 1


async def test_a_picture_that_two_pods_send_is_compared_once(tmp_path: Path, candidate: Service) -> None:
    transport = httpx.ASGITransport(create_app(candidate))
    async with (
        serving(tmp_path / "one", transport) as (one, client),
        serving(tmp_path / "two", transport) as (two, other),
    ):
        for service, through in ((one, client), (two, other)):
            await send(through, picture())
            await until(partial(done, service))
        found = await stats(other)
        assert (found["sampled"], found["repeated"], found["candidate"]["pairs"]) == (1, 1, 0)
        assert sum(found["failed"].values()) == 0
        assert (await stats(client))["candidate"]["pairs"] == 1
        two.shadow.configure(PLAN.model_copy(update={"run": "two"}))
        await send(other, picture())
        await until(partial(done, two))
        assert (await stats(other))["candidate"]["pairs"] == 1, "another run asks about all pictures"


async def test_a_picture_that_a_candidate_could_not_answer_may_come_from_another_pod(candidate: Service) -> None:
    pipeline = FakePipeline()
    service = start(Service(candidate.settings), pipeline)

    async def ask(client: httpx.AsyncClient, data: bytes, **headers: str) -> int:
        form = {"file": ("p", data, "image/png")}
        return (await client.post("/v1/predict-shadow", files=form, headers=headers)).status_code

    run = {RUN_HEADER: "one"}
    async with client_of(service) as client:
        broken = b"\x89PNG\r\n\x1a\nbroken"
        assert [await ask(client, broken, **run) for _ in range(2)] == [415, 415]
        assert [await ask(client, picture(), **run) for _ in range(2)] == [200, 409]
        assert await ask(client, picture()) == 200, "a pod of the same model asks so"
    assert service.close(timeout_seconds=10)


def test_a_candidate_remembers_a_bounded_number_of_pictures() -> None:
    compared = ComparedPictures(max_remembered=2)
    assert [compared.add("one", digest) for digest in ("a", "b", "a", "c")] == [True, True, False, True]
    assert compared.add("one", "a"), "the oldest was forgotten"
    assert compared.add("two", "c")


async def test_a_request_that_is_not_answered_is_not_copied(tmp_path: Path, candidate: Service) -> None:
    async with serving(tmp_path / "served", httpx.ASGITransport(create_app(candidate))) as (service, client):
        assert (await send(client, b"\x89PNG\r\n\x1a\nbroken")).status_code == 415
        assert service.shadow.samples.held_bytes == 0
        assert (await stats(client))["sampled"] == 0


async def test_another_run_begins_at_zero_and_the_same_one_goes_on(tmp_path: Path, candidate: Service) -> None:
    async with serving(tmp_path / "served", httpx.ASGITransport(create_app(candidate))) as (service, client):
        await send(client, picture())
        await until(lambda: done(service))
        service.shadow.configure(PLAN.model_copy(update={"url": "http://moved.sea.svc"}))
        assert (await stats(client))["candidate"]["pairs"] == 1
        service.shadow.configure(PLAN.model_copy(update={"run": "two"}))
        assert (await stats(client))["candidate"]["pairs"] == 0
        service.shadow.configure(None)
        await send(client, DIFFERENT)
        found = await stats(client)
        assert (found["run"], found["sampled"]) == (None, 0)


async def test_the_plan_comes_from_the_monitoring_file(tmp_path: Path, candidate: Service) -> None:
    async with serving(tmp_path / "served", httpx.ASGITransport(create_app(candidate)), plan=None) as (service, client):
        service.settings.monitoring_file.write_text(f'{{"shadow": {PLAN.model_dump_json()}}}', encoding="utf-8")
        await service.refresh_monitoring()
        await send(client, picture())
        await until(lambda: done(service))
        assert (await stats(client))["candidate"]["pairs"] == 1


async def test_another_pod_of_the_served_model_shows_the_noise_floor(tmp_path: Path, candidate: Service) -> None:
    (tmp_path / "peer").mkdir()
    peer = Service(make_settings(tmp_path / "peer"))
    start(peer, FakePipeline())
    apps = {"candidate.sea.svc": create_app(candidate), "peer.sea.svc": create_app(peer)}

    class ByHost(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return await httpx.ASGITransport(apps[request.url.host]).handle_async_request(request)

    plan = PLAN.model_copy(update={"peer_url": "http://peer.sea.svc"})
    async with serving(tmp_path / "served", ByHost(), plan=plan) as (service, client):
        pictures = [picture(size=(30, 30 + number)) for number in range(24)]
        for data in pictures:
            await send(client, data)
        await until(lambda: done(service))
        expected = sum(hashlib.sha256(data).hexdigest()[-1] in "0123" for data in pictures)
        assert expected
        noise = (await stats(client))["noise"]
        assert (noise["pairs"], noise["individual"]) == (expected, expected)
        async with client_of(peer) as peers:
            assert (await counters(peers))["requests_total"] == "0.0"
            assert (await peers.get("/v1/drift-stats")).json()["n"] == 0
            text = (await peers.get("/metrics")).text
            assert f'cetacean_inference_shadow_requests_total{{status="200"}} {expected}.0' in text
    assert peer.close(timeout_seconds=10)


async def test_a_pod_that_asks_itself_is_not_counted_as_noise(tmp_path: Path, candidate: Service) -> None:
    """Two pods behind a Service never agree about the individual."""

    class Renamed(FakePipeline):
        @staticmethod
        def scores(score: float, probability: float) -> Scores:
            found = FakePipeline.scores(score, probability)
            return replace(found, ranking=(replace(found.ranking[0], class_animal="another"), *found.ranking[1:]))

    (tmp_path / "peer").mkdir()
    peer = start(Service(make_settings(tmp_path / "peer")), Renamed())
    pods, candidates = [create_app(peer)], create_app(candidate)

    class Alternating(httpx.AsyncBaseTransport):
        def __init__(self) -> None:
            self.asked = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            app = candidates
            if request.url.host == "peer.sea.svc":
                self.asked += 1
                app = pods[self.asked % len(pods)]
            return await httpx.ASGITransport(app).handle_async_request(request)

    transport = Alternating()
    plan = PLAN.model_copy(update={"peer_url": "http://peer.sea.svc"})
    async with serving(tmp_path / "served", transport, plan=plan) as (service, client):
        pictures = [picture(size=(30, 30 + number)) for number in range(48)]
        wanted = [data for data in pictures if hashlib.sha256(data).hexdigest()[-1] in "0123"]
        expected = len(wanted) // 2
        assert expected
        pods.append(create_app(service))
        for data in wanted[:expected]:
            await send(client, data)
            await until(lambda: done(service))
        noise = (await stats(client))["noise"]
        assert (noise["pairs"], noise["individual"]) == (expected, 0)
        del pods[0]  # the Service has no other pod any more
        transport.asked = 0
        await send(client, wanted[-1])
        await until(lambda: done(service))
        assert (await stats(client))["noise"]["pairs"] == expected
        assert transport.asked == 3
    assert peer.close(timeout_seconds=10)


async def disagreements(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("http://pod.test:8081/v1/shadow-disagreements")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_disagreements_are_listed_and_stay_until_another_run_begins(tmp_path: Path, candidate: Service) -> None:
    async with serving(tmp_path / "served", httpx.ASGITransport(create_app(candidate)), plan=None) as (service, client):
        nothing: dict[str, Any] = {"run": None, "served": None, "candidate": None}
        nothing |= {"keeps_pictures": False, "disagreements": []}
        assert await disagreements(client) == nothing
        service.shadow.configure(PLAN)
        for data in (picture(), blue(0), blue(1)):
            await send(client, data)
        await until(lambda: done(service))
        found = await disagreements(client)
        assert (found["run"], found["served"]["name"], found["candidate"]["name"]) == ("one", "tiny", "next")
        listed = found["disagreements"]
        assert [one["image_sha256"] for one in listed] == [hashlib.sha256(blue(n)).hexdigest() for n in (0, 1)]
        assert (listed[0]["served"]["accepted"], listed[0]["candidate"]["accepted"]) == (True, False)
        assert listed[0]["served"]["score"] == 0.902
        service.shadow.configure(None)
        assert await disagreements(client) == found
        service.shadow.configure(PLAN.model_copy(update={"run": "two"}))
        assert (await disagreements(client))["disagreements"] == []


async def test_disagreements_are_not_answered_at_the_port_of_clients(tmp_path: Path, candidate: Service) -> None:
    async with serving(tmp_path / "served", httpx.ASGITransport(create_app(candidate))) as (_, client):
        for path in ("/v1/shadow-disagreements", f"/v1/shadow-pictures/{DIGEST}"):
            for url in (path, f"http://pod.test:8080{path}"):
                answer = await client.get(url, headers={"Host": "pod.test:8081"})
                assert answer.status_code == 404
                assert "internal port" in answer.json()["detail"]


async def test_pictures_are_kept_only_if_the_plan_asks_for_it(tmp_path: Path, candidate: Service) -> None:
    kept = PLAN.model_copy(update={"keep_disagreements": KeepDisagreements(max_items=2)})
    folder = tmp_path / "kept"
    transport = httpx.ASGITransport(create_app(candidate))
    async with serving(tmp_path / "served", transport, keep_folder=folder) as (service, client):

        async def count(outcome: str) -> float:
            text = (await client.get("/metrics")).text
            name = f'cetacean_inference_shadow_kept_pictures_total{{outcome="{outcome}"}} '
            return next(float(line[len(name) :]) for line in text.splitlines() if line.startswith(name))

        await send(client, blue(0))
        await until(lambda: done(service))
        assert not folder.exists()
        service.shadow.configure(kept)
        assert (await stats(client))["candidate"]["pairs"] == 1  # the run goes on
        for number in (1, 2):
            await send(client, picture(size=(50 + number, 30)))
            await send(client, blue(number))
            await until(lambda: done(service))
            await until(partial(all_kept, service, number))
        assert (await count("kept"), await count("busy"), await count("failed")) == (2, 0, 0)
        assert (await disagreements(client))["keeps_pictures"]
        digests = [hashlib.sha256(blue(number)).hexdigest() for number in range(3)]
        url = "http://pod.test:8081/v1/shadow-pictures/"
        answers = [await client.get(url + digest) for digest in digests]
        assert [one.status_code for one in answers] == [404, 200, 200]
        assert answers[2].content == blue(2)
        assert answers[2].headers["X-Content-Type-Options"] == "nosniff"
        for name in ("..%2Fmonitoring.json", "monitoring.json", digests[2].upper()):
            assert (await client.get(url + name)).status_code == 404


async def test_a_picture_that_cannot_be_kept_changes_no_answer(tmp_path: Path, candidate: Service) -> None:
    kept = PLAN.model_copy(update={"keep_disagreements": KeepDisagreements()})
    transport = httpx.ASGITransport(create_app(candidate))
    async with serving(tmp_path / "served", transport, plan=kept) as (service, client):
        assert (await send(client, blue(0))).status_code == 200
        await until(lambda: service.shadow.pictures.outcomes.total() == 1)
        await until(lambda: done(service))
        assert len((await disagreements(client))["disagreements"]) == 1
        text = (await client.get("/metrics")).text
        assert 'cetacean_inference_shadow_kept_pictures_total{outcome="failed"} 1.0' in text


async def test_pictures_of_clients_go_before_those_of_a_comparison(candidate: Service) -> None:
    pipeline = FakePipeline()
    service = start(Service(candidate.settings), pipeline)
    pipeline.hold()
    async with client_of(service) as client:
        first = [asyncio.create_task(send(client, picture()))]
        await until(pipeline.started.is_set)
        first.append(asyncio.create_task(send(client, picture(size=(31, 30)))))
        await until(lambda: service.predictor.batcher.num_queued > 0)
        answer = await client.post("/v1/predict-shadow", files={"file": ("p", picture(), "image/png")})
        assert answer.status_code == 429
        pipeline.release()
        assert {one.status_code for one in await asyncio.gather(*first)} == {200}
    assert service.close(timeout_seconds=10)


class Hostile(httpx.AsyncBaseTransport):
    """A candidate that answers as a test wants."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if self.kind == "hang":
            await asyncio.Event().wait()
        if self.kind == "dead":
            raise httpx.ConnectError("refused", request=request)
        headers = {"X-Model-Name": "next", "X-Model-Version": "2.0.0", "X-Weights-SHA256": OTHER_DIGEST}
        headers["Server-Timing"] = "predict;dur=1"
        body: Any = b'{"is_cetacean": true}'
        status = 500 if self.kind == "500" else 302 if self.kind == "redirect" else 200
        if self.kind == "redirect":
            headers["Location"] = "http://elsewhere.test/"
        if self.kind == "huge":
            body = self._endless()
        if self.kind == "gzip":
            headers["Content-Encoding"] = "gzip"
        if self.kind == "not-finite":
            body = b'{"is_cetacean":true,"class_animal":"a","id_animal":"b","probability":1e999,"cetacean_score":0.5}'
        if self.kind == "other-model":
            headers["X-Weights-SHA256"] = DIGEST
        if self.kind == "bomb":
            body = b"[" * 60_000
        content = body if self.kind == "huge" else self._once(body)
        return httpx.Response(status, headers=headers, content=content, request=request)

    async def _once(self, body: bytes) -> AsyncIterator[bytes]:
        yield body

    async def _endless(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 1
            yield b"x" * 1024


REASONS = {
    "hang": "timeout", "dead": "unreachable", "500": "status", "redirect": "status", "huge": "unreadable",
    "gzip": "unreadable", "not-finite": "unreadable", "nonsense": "unreadable", "bomb": "unreadable",
    "other-model": "wrong_model",
}  # fmt: skip


@pytest.mark.parametrize("kind", REASONS)
async def test_a_hostile_candidate_changes_no_answer_and_is_counted(tmp_path: Path, kind: str) -> None:
    hostile = Hostile(kind)
    async with (
        serving(tmp_path / "alone", hostile, plan=None) as (_, alone),
        serving(tmp_path / "served", hostile, timeout_seconds=0.2 if kind == "hang" else 30) as (service, client),
    ):
        pictures = [picture(size=(30 + number, 30)) for number in range(3)]
        for data in pictures:
            expected, got = await send(alone, data), await send(client, data)
            assert (got.status_code, got.content) == (expected.status_code, expected.content)
        await until(lambda: done(service))
        found = await stats(client)
        assert found["failed"] == {reason: 3 * (reason == REASONS[kind]) for reason in found["failed"]}
        assert found["candidate"]["pairs"] == 0
        assert await counters(client) == await counters(alone)
        drift = [(await one.get("/v1/drift-stats")).json() for one in (client, alone)]
        assert drift[0] == drift[1]
        assert hostile.sent <= 3 * 65


async def test_a_slow_candidate_is_never_waited_for_and_pictures_are_dropped(tmp_path: Path) -> None:
    async with serving(tmp_path / "served", Hostile("hang"), max_pictures=2) as (service, client):
        for number in range(5):
            assert (await send(client, picture(size=(30 + number, 30)))).status_code == 200
        found = await stats(client)
        assert (found["sampled"], found["dropped"]) == (5, 3)
        assert service.shadow.samples.held_bytes > 0
