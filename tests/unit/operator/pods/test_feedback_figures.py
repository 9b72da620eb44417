"""Feedback from the pod to the status: when a pod is asked, which counts are kept, and the series."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import generate_latest
from support.inference_world import make_settings
from support.pods import COUNTERS, pod_manifest, running_status
from support.reconciler_bench import Bench

from cetacean_inference.monitoring.feedback import Judged
from cetacean_inference.serving.service import Service
from cetacean_operator.api.feedback import AnswerFeedback, FeedbackReport
from cetacean_operator.kube.store import Store
from cetacean_operator.pods.pod_client import PodClient
from cetacean_operator.pods.pod_responses import FEEDBACK_RECEIVED
from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_operator.reconcile.observe import Observer

KEY = ("sea", "whales")
RECEIVED = {**COUNTERS, FEEDBACK_RECEIVED: 1.0}
COUNTS = {"1.0.0": AnswerFeedback(2, 1, 1, 0)}


@pytest.fixture
def service(tmp_path: Any) -> Service:
    return Service(make_settings(tmp_path))


async def scrape(service: Service, **answers: str) -> tuple[Scrape, Counter[str]]:
    """Scrape a pod with the metrics and the feedback of a service, or with the given answers by path."""
    requests: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.Response:
        requests[request.path] += 1
        bodies = {
            "/v1/identity": "{}",
            "/v1/drift-stats": "{}",
            "/metrics": generate_latest(service.metrics.registry).decode(),
            "/v1/feedback-stats": json.dumps(service.feedback.report()),
        }
        return web.Response(text=(bodies | answers)[request.path])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server, PodClient(timeout=5.0, max_bytes=1 << 20) as client:
        assert server.port is not None
        return await client.scrape(Target("p", KEY, "127.0.0.1", server.port, ready=True)), requests


async def test_a_pod_without_feedback_is_not_asked_for_it(service: Service) -> None:
    found, requests = await scrape(service)
    assert (found.error, found.feedback) == (None, None)
    assert requests == {"/v1/identity": 1, "/v1/drift-stats": 1, "/metrics": 1}


async def test_a_pod_with_feedback_is_asked_for_the_counts(service: Service) -> None:
    service.feedback.count(Judged("1.2.3", "orca", species_correct=True, individual_correct=None))
    found, requests = await scrape(service)
    assert found.error is None
    assert found.feedback == {"1.2.3": AnswerFeedback(1)}
    assert requests["/v1/feedback-stats"] == 1


async def test_the_most_feedback_that_a_pod_can_count_hides_none_of_its_metrics(service: Service) -> None:
    for version in range(20):
        for species in range(70):
            name = f"{species:02}\\" + "\N{SPOUTING WHALE}" * 64
            service.feedback.count(
                Judged(f"{version:02}-{'9' * 60}", name, species_correct=True, individual_correct=True)
            )
    found, _ = await scrape(service)
    assert found.error is None
    assert found.feedback
    assert found.metrics["requests_total"] == 0.0


async def test_counts_that_are_impossible_are_an_error_and_the_other_answers_are_kept(service: Service) -> None:
    service.feedback.count(Judged("1.2.3", "orca", species_correct=True, individual_correct=None))
    found, _ = await scrape(service, **{"/v1/feedback-stats": "[]"})
    assert found.error == "/v1/feedback-stats: expected a JSON object, got '[]'"
    assert (found.feedback, found.identity is None) == (None, False)


class ObservedPod:
    """One pod of the store; its last scrape is set by tests."""

    def __init__(self) -> None:
        self.store = Store(lambda obj: "whales")
        self.scrape: Scrape | None = None
        self.observer = Observer(self.store, lambda _uid: self.scrape)
        self.start_container(1)

    def start_container(self, number: int) -> None:
        status = running_status("10.0.0.1", container_id=f"containerd://{number}")
        self.store.put(pod_manifest(version=number, status=status))

    def feedback(self, scrape: Scrape | None) -> FeedbackReport:
        self.scrape = scrape
        (pod,) = self.observer.observe(KEY, window=1000, answers=100).pods
        return pod.feedback


def test_a_scrape_that_fails_does_not_change_the_counts() -> None:
    pod = ObservedPod()
    assert pod.feedback(None) == {}
    assert pod.feedback(Scrape(metrics=RECEIVED, feedback=COUNTS)) == COUNTS
    assert pod.feedback(Scrape(error="no answer within 3 s")) == COUNTS
    assert pod.feedback(Scrape(metrics=RECEIVED, error="/v1/feedback-stats: expected JSON")) == COUNTS


def test_the_counts_of_a_container_end_with_it() -> None:
    pod = ObservedPod()
    assert pod.feedback(Scrape(metrics=RECEIVED, feedback=COUNTS)) == COUNTS
    pod.start_container(2)
    assert pod.feedback(Scrape(error="cannot connect")) == {}
    assert pod.feedback(Scrape(metrics={**COUNTERS, FEEDBACK_RECEIVED: 0.0})) == {}


def test_a_pod_that_has_none_any_more_has_none_even_if_its_restart_was_not_seen() -> None:
    pod = ObservedPod()
    assert pod.feedback(Scrape(metrics=RECEIVED, feedback=COUNTS)) == COUNTS
    assert pod.feedback(Scrape(metrics={**COUNTERS, FEEDBACK_RECEIVED: 0.0})) == {}


async def test_the_status_and_the_series_follow_the_feedback(serving: Bench) -> None:
    def value(about: str, figure: str) -> float | None:
        labels = {"namespace": "sea", "name": "whales", "model_version": "1.0.0", "about": about, "figure": figure}
        return serving.metrics.registry.get_sample_value("cetacean_model_feedback", labels)

    (uid,) = serving.scraper.results
    assert serving.find("CetaceanModel")["status"].get("feedback") is None
    before = serving.scraper.results[uid]
    serving.scraper.results[uid] = replace(before, feedback=COUNTS)
    await serving.reconcile()
    (found,) = serving.find("CetaceanModel")["status"]["feedback"]
    assert found["version"] == "1.0.0"
    assert found["species"] == {"samples": 3, "correct": 2, "accuracy": 0.667, "low": 0.208, "high": 0.939}
    assert [value("species", figure) for figure in ("samples", "correct", "accuracy", "low", "high")] == [
        3.0, 2.0, 0.667, 0.208, 0.939,
    ]  # fmt: skip
    assert value("individual", "samples") == 1.0
    serving.scraper.results[uid] = before
    await serving.reconcile()
    assert value("species", "samples") is None
