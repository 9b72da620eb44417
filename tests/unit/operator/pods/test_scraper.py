"""The scraper against pods on loopback that answer, hang, send wrong or too large responses, or become ready."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cetacean_operator.api.observed import Identity
from cetacean_operator.api.shadow import COUNTS
from cetacean_operator.pods.pod_client import PodClient
from cetacean_operator.pods.pod_responses import DriftStats
from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_operator.pods.scraper import PodScraper

KEY = ("sea", "whales")
IDENTITY = {"model": {"name": "first"}, "weights": {"sha256": "a" * 64}}
STATS = {"n": 3, "alarms_total": 0, "score_mean": 0.9}
METRICS = """\
# HELP predictions_total Pictures identified.
# TYPE predictions_total counter
predictions_total 80.0
# TYPE rejections_total counter
rejections_total 20.0
requests_total 100.0
errors_total 0.0
# TYPE rejections_by_reason gauge
rejections_by_reason{reason="not_a_marine_mammal"} 15.0
rejections_by_reason{reason="low_confidence"} 5.0
# TYPE cetacean_score_avg gauge
cetacean_score_avg 0.91
# TYPE latency_avg_ms gauge
latency_avg_ms NaN
# TYPE other_seconds histogram
other_seconds_bucket{le="1"} 1
"""
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def text(body: str | bytes, status: int = 200) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status)

    return answer


async def hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


class Pod:
    """A pod; tests set its answers by path."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {
            "/v1/identity": text(json.dumps(IDENTITY)),
            "/v1/drift-stats": text(json.dumps(STATS)),
            "/metrics": text(METRICS),
        }
        self.requests: Counter[str] = Counter()
        self.port = 0
        self._requested = asyncio.Condition()

    async def wait_for_requests(self, path: str, count: int) -> None:
        """Wait until a path has been requested so many times."""
        async with asyncio.timeout(5), self._requested:
            await self._requested.wait_for(lambda: self.requests[path] >= count)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        async with self._requested:
            self.requests[request.path] += 1
            self._requested.notify_all()
        return await self.answers[request.path](request)

    def target(self, uid: str = "p", *, ready: bool = True, compares: bool = False) -> Target:
        return Target(uid, KEY, "127.0.0.1", self.port, ready, compares)


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    made = Pod()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


class Bench:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.changed = asyncio.Event()
        self.changes = 0
        self.scraper: Any = None

    def on_change(self, key: tuple[str, str]) -> None:
        assert key == KEY
        self.changes += 1
        self.changed.set()

    async def next(self) -> None:
        async with asyncio.timeout(5):
            await self.changed.wait()
        self.changed.clear()


@asynccontextmanager
async def bench(
    *,
    timeout: float = 5.0,  # noqa: ASYNC109
    max_bytes: int = 65536,
    concurrency: int = 4,
    speed: float = 1.0,
) -> AsyncIterator[Bench]:
    """Run a scraper whose delays are divided by `speed`."""
    made = Bench()

    def count(result: str) -> None:
        made.counts[result] += 1

    def call_later(delay: float, *call: Any) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay / speed, *call)

    async with PodClient(timeout=timeout, max_bytes=max_bytes, count=count) as client:
        made.scraper = PodScraper(
            client.scrape, concurrency=concurrency, on_change=made.on_change, call_later=call_later
        )
        yield made
        made.scraper.clear()


async def scrape_once(pod: Pod, **bounds: Any) -> tuple[Scrape, Counter[str]]:
    """Scrape a pod once; return the result and the counters."""
    async with bench(**bounds) as b:
        b.scraper.sync(KEY, [pod.target()], 60.0)
        await b.next()
        return b.scraper.result("p"), b.counts


async def test_a_scrape_has_identity_drift_stats_and_metrics(pod: Pod) -> None:
    scrape, counts = await scrape_once(pod)
    assert scrape == Scrape(
        identity=Identity(name="first", digest="a" * 64),
        drift_stats=DriftStats(3, 0, 0.9),
        metrics={
            "predictions_total": 80.0,
            "rejections_total": 20.0,
            "requests_total": 100.0,
            "errors_total": 0.0,
            "cetacean_score_avg": 0.91,
        },
        rejections={"not_a_marine_mammal": 15.0, "low_confidence": 5.0},
    )
    assert scrape.settled
    assert counts == {"ok": 1}


async def test_counters_with_the_suffix_total_are_read_as_well(pod: Pod) -> None:
    pod.answers["/metrics"] = text(
        METRICS.replace("rejections_by_reason gauge", "rejections_by_reason counter").replace(
            "reason{", "reason_total{"
        )
    )
    scrape, _ = await scrape_once(pod)
    assert scrape.rejections == {"not_a_marine_mammal": 15.0, "low_confidence": 5.0}


@pytest.mark.parametrize(
    ("path", "answer", "error"),
    [
        ("/v1/identity", text("nope"), "/v1/identity: expected JSON, got 'nope'"),
        ("/v1/identity", text(""), "expected JSON, got nothing"),
        ("/v1/identity", text("[1]"), "expected a JSON object"),
        ("/v1/identity", text('{"x": NaN}'), "expected JSON"),
        ("/v1/identity", text("[" * 50_000), "expected JSON"),
        ("/v1/drift-stats", text("{}", 500), "/v1/drift-stats: expected status 200, got 500"),
        ("/v1/drift-stats", text("x" * 70_000), "expected at most 65536 bytes, got more"),
        ("/metrics", text("<html>"), "/metrics: expected the service's metrics"),
        ("/metrics", text('predictions_total{x="} 1'), "/metrics: expected Prometheus text"),
    ],
)
async def test_a_bad_answer_is_named_and_the_other_answers_are_kept(
    pod: Pod, path: str, answer: Answer, error: str
) -> None:
    pod.answers[path] = answer
    scrape, counts = await scrape_once(pod)
    assert error in (scrape.error or "")
    assert counts == {"bad_answer": 1}
    assert (scrape.identity is None) == (path == "/v1/identity")
    assert (scrape.drift_stats is None) == (path == "/v1/drift-stats")
    assert bool(scrape.metrics) == (path != "/metrics")


async def test_a_redirect_is_not_followed(pod: Pod) -> None:
    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://127.0.0.1:{pod.port}/metrics")

    pod.answers["/v1/identity"] = away
    scrape, _ = await scrape_once(pod)
    assert "got 302" in (scrape.error or "")
    assert pod.requests["/metrics"] == 1


async def test_a_pod_that_hangs_is_given_up_after_the_timeout(pod: Pod) -> None:
    pod.answers["/v1/drift-stats"] = hang
    scrape, counts = await scrape_once(pod, timeout=0.05)
    assert scrape == Scrape(error="no answer within 0.05 s")
    assert counts == {"timeout": 1}


async def test_a_pod_that_refuses_connections_gets_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    urls, get = [], aiohttp.ClientSession.get

    def counted(session: aiohttp.ClientSession, url: str, **options: Any) -> Any:
        urls.append(url)
        return get(session, url, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "get", counted)
    async with bench() as b:
        b.scraper.sync(KEY, [Target("p", KEY, "127.0.0.1", 1, ready=True)], 60.0)
        await b.next()
        assert "cannot connect" in b.scraper.result("p").error
        assert b.counts == {"unreachable": 1}
        assert urls == ["http://127.0.0.1:1/v1/identity"]


async def test_a_pod_that_hangs_delays_no_other(pod: Pod) -> None:
    slow = Pod()
    slow.answers = dict.fromkeys(pod.answers, hang)
    app = web.Application()
    app.router.add_get("/{path:.*}", slow.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slow.port = runner.addresses[0][1]
    async with bench(concurrency=2, timeout=30.0) as b:
        b.scraper.sync(KEY, [slow.target("slow"), pod.target("fast")], 60.0)
        await b.next()
        assert b.scraper.result("fast").settled
        assert b.scraper.result("slow") is None
    await runner.cleanup()


async def test_on_change_is_called_only_for_a_changed_result(pod: Pod) -> None:
    async with bench() as b:
        b.scraper.sync(KEY, [pod.target()], 0.01)
        await b.next()
        await pod.wait_for_requests("/metrics", 4)
        assert b.changes == 1
        pod.answers["/v1/drift-stats"] = text(json.dumps(STATS | {"n": 4}))
        await b.next()
        assert b.scraper.result("p").drift_stats.samples == 4


async def test_a_ready_pod_without_weights_is_scraped_again_soon(pod: Pod) -> None:
    pod.answers["/v1/identity"] = text(json.dumps({"weights": {"sha256": None}}))
    async with bench(speed=100.0) as b:
        b.scraper.sync(KEY, [pod.target()], 3600.0)
        await b.next()
        pod.answers["/v1/identity"] = text(json.dumps(IDENTITY))
        await b.next()
        assert b.scraper.result("p").settled


async def test_a_pod_that_becomes_ready_is_scraped_at_once(pod: Pod) -> None:
    async with bench() as b:
        b.scraper.sync(KEY, [pod.target(ready=False)], 3600.0)
        await b.next()
        b.scraper.sync(KEY, [pod.target(ready=False)], 3600.0)
        before = pod.requests["/v1/identity"]
        pod.answers["/v1/drift-stats"] = text(json.dumps(STATS | {"n": 9}))
        b.scraper.sync(KEY, [pod.target(ready=True)], 3600.0)
        await b.next()
        assert pod.requests["/v1/identity"] == before + 1


async def test_the_result_of_a_loading_pod_is_dropped_when_it_becomes_ready(pod: Pod) -> None:
    pod.answers["/v1/identity"] = text(json.dumps({"weights": {"sha256": None}}))
    async with bench() as b:
        b.scraper.sync(KEY, [pod.target(ready=False)], 3600.0)
        await b.next()
        assert b.scraper.result("p") is not None
        pod.answers["/v1/identity"] = text(json.dumps(IDENTITY))
        b.scraper.sync(KEY, [pod.target(ready=True)], 3600.0)
        assert b.scraper.result("p") is None
        await b.next()
        assert b.scraper.result("p").settled


async def test_an_answer_that_arrives_after_the_pod_became_ready_is_dropped(pod: Pod) -> None:
    first, turned = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        first.set()
        await turned.wait()
        return web.json_response({"weights": {"sha256": None}})

    pod.answers["/v1/identity"] = slow
    async with bench() as b:
        b.scraper.sync(KEY, [pod.target(ready=False)], 3600.0)
        await first.wait()
        b.scraper.sync(KEY, [pod.target(ready=True)], 3600.0)
        pod.answers["/v1/identity"] = text(json.dumps(IDENTITY))
        turned.set()
        await b.next()
        assert b.scraper.result("p").settled
        assert b.changes == 1


async def test_results_of_deleted_pods_are_dropped(pod: Pod) -> None:
    async with bench() as b:
        b.scraper.sync(KEY, [pod.target("p"), pod.target("q")], 3600.0)
        await b.next()
        b.scraper.sync(KEY, [pod.target("q")], 3600.0)
        assert len(b.scraper) == 1
        assert b.scraper.result("p") is None
        b.scraper.forget(KEY)
        assert len(b.scraper) == 0
        b.scraper.sync(KEY, [pod.target("p")], 3600.0)
        b.scraper.clear()
        assert len(b.scraper) == 0


PAIRS: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "by_species": []}
SHADOW = {"run": "one", "sampled": 3, "dropped": 0, "busy": 0, "failed": {}, "candidate": PAIRS, "noise": PAIRS}


async def test_only_a_pod_that_compares_is_asked_for_pairs(pod: Pod) -> None:
    pod.answers["/v1/shadow-stats"] = text(json.dumps(SHADOW))
    async with PodClient(timeout=5.0, max_bytes=65536) as client:
        assert (await client.scrape(pod.target())).shadow is None
        assert pod.requests["/v1/shadow-stats"] == 0
        scrape = await client.scrape(pod.target(compares=True))
    assert scrape.shadow is not None
    assert (scrape.shadow.run, scrape.shadow.sampled, scrape.error) == ("one", 3, None)


async def test_impossible_pairs_leave_the_other_answers_of_a_pod(pod: Pod) -> None:
    pod.answers["/v1/shadow-stats"] = text(json.dumps(SHADOW | {"sampled": -1}))
    async with PodClient(timeout=5.0, max_bytes=65536) as client:
        scrape = await client.scrape(pod.target(compares=True))
    assert scrape.shadow is None
    assert scrape.settled
    assert scrape.drift_stats is not None
    assert scrape.error is not None
    assert "/v1/shadow-stats: expected a count sampled of 0 or more" in scrape.error


def test_an_ipv6_address_has_brackets_in_the_url() -> None:
    assert Target("p", KEY, "fd00::1", 8080, ready=True).url == "http://[fd00::1]:8080"
