"""Health, readiness, identity, drift and metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from support.inference_world import (
    DIGEST,
    FILES,
    VERIFIED,
    FakePipeline,
    InlineDecoder,
    client_of,
    make_settings,
    start,
)
from support.pictures import picture

from cetacean_inference.decision import Detection
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings


async def predict(client: httpx.AsyncClient, data: bytes) -> httpx.Response:
    return await client.post("/v1/predict-single", files={"file": ("a.png", data, "image/png")})


async def test_the_process_is_live_before_the_weights_are_loaded(settings: Settings) -> None:
    async with client_of(Service(settings)) as client:
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        answer = await client.get("/v2/health/live")
        assert (answer.status_code, answer.json()) == (200, {"live": True})


async def test_the_service_is_ready_from_loading_until_draining(settings: Settings, pipeline: FakePipeline) -> None:
    service = Service(settings)
    async with client_of(service) as client:

        async def statuses() -> list[int]:
            paths = ("/v2/health/ready", "/v2/models/tiny/ready")
            return [(await client.get(path)).status_code for path in paths]

        assert await statuses() == [503, 503]
        start(service, pipeline)
        assert await statuses() == [200, 200]
        service.drain()
        assert await statuses() == [503, 503]
        assert (await client.get("/health")).status_code == 200
        # Requests that still arrive are answered: not every client knows yet.
        assert (await predict(client, picture())).status_code == 200
    assert service.close(timeout_seconds=10)


async def test_the_service_is_not_ready_without_its_model_thread_and_says_why(
    settings: Settings, pipeline: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(Service(settings), pipeline)
    async with client_of(service) as client:

        def fail(*_: object) -> None:
            raise MemoryError("no room")

        monkeypatch.setattr(service.metrics, "observe_batch", fail)
        assert (await predict(client, picture())).status_code == 500
        for path in ("/v2/health/ready", "/v2/models/tiny/ready"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert answer.json()["reason"] == "a model thread has ended: MemoryError: no room"
        assert not (await client.get("/v1/identity")).json()["ready"]
        assert (await predict(client, picture())).status_code == 503
        assert (await client.get("/health")).status_code == 200
    assert service.close(timeout_seconds=10)


async def test_the_service_is_not_ready_while_pictures_cannot_be_decoded(
    settings: Settings, pipeline: FakePipeline
) -> None:
    service, decoder = Service(settings), InlineDecoder(settings.images)
    service.start(pipeline, decoder=decoder)
    async with client_of(service) as client:
        for healthy, status in ((True, 200), (False, 503), (True, 200)):
            decoder.healthy = healthy
            assert (await client.get("/v2/health/ready")).status_code == status
            assert (await client.get("/v1/identity")).json()["ready"] is healthy
    assert service.close(timeout_seconds=10)


async def test_only_the_active_model_is_known(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v2/models/tiny/ready")).json() == {"name": "tiny", "ready": True}
    answer = await client.get("/v2/models/another/ready")
    assert answer.status_code == 404
    assert "tiny" in answer.json()["detail"]


async def test_the_identity_before_and_after_loading(tmp_path: Path, pipeline: FakePipeline) -> None:
    settings = make_settings(tmp_path, **VERIFIED, config_digest="c0ffee", rollout_id="0123456789")
    service = Service(settings)
    async with client_of(service) as client:
        before = (await client.get("/v1/identity")).json()
        start(service, pipeline)
        after = (await client.get("/v1/identity")).json()
    assert service.close(timeout_seconds=10)
    assert after == {
        "model": {"name": "tiny", "version": "1.2.3", "architecture": "CetaceanIdentificationModel"},
        "weights": {
            "sha256": DIGEST,
            "expected_sha256": DIGEST,
            "files": FILES,
            "unverified": [],
            "verified": True,
        },
        "gate": {
            "architecture": "ViT-B-32",
            "pretrained": "laion2b_s34b_b79k",
            "sha256": "cd" * 32,
            "threshold": 0.52,
            "enabled": True,
        },
        "config_digest": "c0ffee",
        "rollout_id": "0123456789",
        "engine": "fake",
        "ready": True,
    }
    assert list(before) == list(after)
    assert before["weights"] == after["weights"] | {"sha256": None, "files": {}, "verified": False}
    assert (before["engine"], before["ready"]) == (None, False)


async def test_weights_without_an_expected_digest_are_not_verified(client: httpx.AsyncClient) -> None:
    weights = (await client.get("/v1/identity")).json()["weights"]
    assert (weights["sha256"], weights["expected_sha256"], weights["verified"]) == (DIGEST, None, False)
    assert weights["unverified"] == ["checkpoint", "encoder_classes.npy", "species_map.csv", "gate weights"]


@pytest.mark.parametrize(
    "path", ["/health", "/metrics", "/v1/identity", "/v1/drift-stats", "/v2/health/ready", "/nowhere"]
)
async def test_every_answer_has_the_headers_with_the_lineage(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    named = {"X-Model-Name": "tiny", "X-Model-Version": "1.2.3", "X-Gate-Threshold": "0.52", "X-Weights-SHA256": DIGEST}
    assert {name: headers.get(name) for name in named} == named


async def test_a_gate_that_accepts_all_is_shown_in_metrics_and_logs(
    tmp_path: Path, pipeline: FakePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(make_settings(tmp_path, gate={"threshold": 0.0}))
    start(service, pipeline)
    async with client_of(service) as client:
        assert 'threshold="0.0"' in (await client.get("/metrics")).text
    assert service.close(timeout_seconds=10)
    assert [record.message for record in caplog.records if "threshold is 0.0" in record.message] == [
        "the gate's threshold is 0.0: every picture is accepted as one of a marine mammal"
    ]


async def test_drift_stats_of_an_empty_window(client: httpx.AsyncClient) -> None:
    found = (await client.get("/v1/drift-stats")).json()
    assert list(found.items())[:9] == [
        ("n", 0),
        ("alarms_total", 0),
        ("score_mean", None),
        ("score_std", None),
        ("probability_mean", None),
        ("window", 1000),
        ("baseline", None),
        ("drop", None),
        ("drifting", False),
    ]
    assert found["adwin"] == {"changes_total": 0, "width": 0, "score_mean": None}
    assert (found["lifetime_n"], found["lifetime_score_mean"]) == (0, None)


async def test_drift_is_measured_from_the_baseline_of_the_monitoring_file(
    tmp_path: Path, pipeline: FakePipeline
) -> None:
    settings = make_settings(tmp_path)
    service = Service(settings)
    start(service, pipeline)
    async with client_of(service) as client:
        for _ in range(3):
            await predict(client, picture(score=0.6, probability=0.4))
        assert (await client.get("/v1/drift-stats")).json()["baseline"] is None
        settings.monitoring_file.write_text(
            json.dumps({"window": 100, "min_samples": 3, "alarm_drop": 0.1, "baselines": {"tiny": 0.9}}),
            encoding="utf-8",
        )
        await service.refresh_monitoring()
        found = (await client.get("/v1/drift-stats")).json()
    assert service.close(timeout_seconds=10)
    assert (found["n"], found["window"], found["baseline"]) == (3, 100, 0.9)
    assert (found["score_mean"], found["probability_mean"]) == (0.6, 0.4)
    assert found["drop"] == pytest.approx(0.3)
    assert (found["drifting"], found["alarms_total"]) == (True, 1)


async def test_rejected_pictures_are_in_the_drift_window(client: httpx.AsyncClient) -> None:
    await predict(client, picture(score=0.2, probability=0.8))
    found = (await client.get("/v1/drift-stats")).json()
    assert (found["n"], found["score_mean"], found["probability_mean"]) == (1, 0.2, 0.0)
    answers = found["answers"]
    assert (answers["n"], answers["identified"], answers["species"]) == (1, 0, {})
    assert (answers["cetacean_score"][4], sum(answers["top_probability"])) == (1, 0)


async def test_drift_stats_count_the_newest_answers(client: httpx.AsyncClient) -> None:
    sent: list[float] = []
    for probability in (0.8, 0.02):
        answer = await predict(client, picture(score=0.97, probability=probability))
        sent.append(answer.json()["probability"])
    answers = (await client.get("/v1/drift-stats")).json()["answers"]
    assert list(answers) == [
        "window", "n", "identified", "low_confidence", "probability_sum", "cetacean_score", "top_probability", "species",
    ]  # fmt: skip
    assert (answers["window"], answers["n"], answers["identified"], answers["low_confidence"]) == (200, 2, 2, 1)
    assert (answers["cetacean_score"][19], answers["top_probability"][16], answers["top_probability"][0]) == (2, 1, 1)
    (species,) = answers["species"].values()
    assert species == {"n": 2, "probability_sum": sent[0] + sent[1]}


async def test_metrics_count_predictions_and_nothing_else(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/metrics", "/v1/identity", "/v1/drift-stats", "/v2/health/ready", "/nowhere", "/docs"):
        await client.get(path)
    await client.get("/v1/predict-single")
    for data in (picture(), picture(score=0.1), b"words"):
        await predict(client, data)
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in (
        "requests_total 3.0",
        "errors_total 0.0",
        "predictions_total 1.0",
        "rejections_total 1.0",
        'rejections_by_reason{reason="not_a_marine_mammal"} 1.0',
        "availability_percent 100.0",
        "cetacean_inference_requests_in_flight 0.0",
        "cetacean_inference_queue_depth 0.0",
        'cetacean_inference_request_duration_seconds_count{endpoint="/v1/predict-single",status="200"} 2.0',
        'cetacean_inference_request_duration_seconds_count{endpoint="/v1/predict-single",status="415"} 1.0',
    ):
        assert line in answer.text.splitlines(), line
    assert f'sha256="{DIGEST}"' in answer.text


async def test_an_alias_is_counted_under_its_endpoint(client: httpx.AsyncClient) -> None:
    await client.post("/predict-single", files={"file": ("a.png", picture(), "image/png")})
    text = (await client.get("/metrics")).text
    assert 'cetacean_inference_request_duration_seconds_count{endpoint="/v1/predict-single",status="200"} 1.0' in text
    assert '"/predict-single"' not in text


async def test_a_503_while_loading_counts_as_an_error(settings: Settings) -> None:
    async with client_of(Service(settings)) as client:
        await predict(client, picture())
        text = (await client.get("/metrics")).text
    assert "errors_total 1.0" in text.splitlines()
    assert "availability_percent 0.0" in text.splitlines()


async def test_metrics_are_available_as_openmetrics(client: httpx.AsyncClient) -> None:
    await predict(client, picture())
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families = parse_openmetrics(answer.text)  # type: ignore[no-untyped-call] # it has no types
    names = {sample.name for family in families for sample in family.samples}
    assert {"requests_total", "rejections_by_reason", "cetacean_score_avg"} <= names


@pytest.mark.parametrize("version", ["abc", "1.x.y", "9" * 5000, "²", "9.0.0", '"1.0.0"', "1.0.0.0", "1.0.0x"])
@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
async def test_metrics_in_an_unknown_version_are_plain_text(client: httpx.AsyncClient, kind: str, version: str) -> None:
    accept = f"{kind}; version={version}".encode()
    answer = await client.get("/metrics", headers={b"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


async def test_prometheus_gets_the_first_format_that_it_asks_for_and_is_known(client: httpx.AsyncClient) -> None:
    accept = (
        "application/openmetrics-text;version=3.0.0;q=0.6,application/openmetrics-text;version=1.0.0;"
        "escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    )
    answer = await client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0;")


async def test_openapi_describes_every_endpoint_with_examples(client: httpx.AsyncClient) -> None:
    described: dict[str, Any] = (await client.get("/openapi.json")).json()
    assert {
        "/v1/predict-single", "/predict-single", "/v1/predict-batch", "/predict-batch", "/v1/drift-stats", "/health",
        "/metrics", "/v1/identity", "/v2/health/live", "/v2/health/ready", "/v2/models/{name}/ready",
        "/v1/predict-shadow", "/v1/shadow-stats", "/v1/shadow-disagreements", "/v1/shadow-pictures/{sha256}",
        "/v1/feedback", "/v1/feedback-stats",
    } == set(described["paths"])  # fmt: skip
    single = described["paths"]["/v1/predict-single"]["post"]["responses"]
    assert {"200", "400", "413", "415", "422", "429", "503", "504"} <= set(single)
    detection = described["components"]["schemas"]["Detection"]
    assert list(detection["properties"]) == list(Detection.model_fields)
    assert Detection.model_validate(detection["examples"][0]).class_animal
