"""Feedback: what is counted, what is rejected, and that it counts in no metric of requests."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from support.inference_world import client_of
from support.pictures import picture

from cetacean_inference.http.app import create_app
from cetacean_inference.http.feedback import MAX_BYTES
from cetacean_inference.http.schemas import FeedbackReport
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings

ANSWER = {"class_animal": "1a71fbb72250", "id_animal": "humpback_whale", "model_version": "1.2.3"}
TRUTH = {"id_animal": "humpback_whale"}
SHA256 = "ab" * 32


def body(answer: dict[str, Any] | None = None, truth: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"answer": ANSWER | (answer or {}), "truth": TRUTH | (truth or {})}


async def post(client: httpx.AsyncClient, given: Any) -> httpx.Response:
    return await client.post("/v1/feedback", json=given)


async def models(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/v1/feedback-stats")).json()["models"]
    return found


@pytest.mark.parametrize(
    ("given", "species_correct", "individual_correct"),
    [
        (body(), True, None),
        (body(truth={"class_animal": "1a71fbb72250"}), True, True),
        (body(truth={"class_animal": "another"}), True, False),
        (body(truth={"class_animal": None, "id_animal": "beluga"}), False, None),
        (body(truth={"class_animal": "another", "id_animal": "beluga"}), False, False),
        # The gate rejected the picture: the answer names no individual, and the species `unknown`.
        (body(answer={"class_animal": "", "id_animal": "unknown"}), False, None),
        (body(answer={"class_animal": "", "id_animal": "unknown"}, truth={"id_animal": "unknown"}), True, None),
    ],
)
async def test_an_answer_is_compared_with_the_truth(
    client: httpx.AsyncClient, given: Any, species_correct: bool, individual_correct: bool | None
) -> None:
    answer = await post(client, given)
    assert answer.status_code == 200
    assert answer.json() == {
        "model_version": "1.2.3",
        "species": given["truth"]["id_animal"],
        "species_correct": species_correct,
        "individual_correct": individual_correct,
    }
    (model,) = await models(client)
    assert (model["species_correct"], model["species_wrong"]) == (species_correct, not species_correct)
    individuals = {None: (0, 0), True: (1, 0), False: (0, 1)}[individual_correct]
    assert (model["individual_correct"], model["individual_wrong"]) == individuals


async def test_feedback_on_another_version_counts_for_that_version(client: httpx.AsyncClient) -> None:
    await post(client, body())
    await post(client, body(answer={"model_version": "0.9.0-rc.1+x"}))
    assert [one["model_version"] for one in await models(client)] == ["0.9.0-rc.1+x", "1.2.3"]


async def test_a_whole_answer_of_the_service_can_be_sent_back(client: httpx.AsyncClient) -> None:
    files = {"file": ("a.png", picture(), "image/png")}
    detection = (await client.post("/v1/predict-single", files=files)).json()
    truth = {"id_animal": detection["id_animal"], "class_animal": detection["class_animal"]}
    answer = await post(client, {"answer": detection | {"image_sha256": SHA256}, "truth": truth})
    assert answer.json()["individual_correct"] is True


async def test_feedback_is_taken_before_the_weights_are_loaded(settings: Settings) -> None:
    async with client_of(Service(settings)) as client:
        assert (await post(client, body())).status_code == 200


async def test_the_statistics_are_those_that_openapi_describes(client: httpx.AsyncClient) -> None:
    await post(client, body())
    report = (await client.get("/v1/feedback-stats")).json()
    assert FeedbackReport.model_validate(report, extra="forbid").received == 1


async def test_feedback_counts_in_no_metric_of_requests(client: httpx.AsyncClient) -> None:
    async def others() -> list[str]:
        lines = (await client.get("/metrics")).text.splitlines()
        moving = ("feedback", "uptime_seconds", "process_")
        return [line for line in lines if not any(name in line for name in moving)]

    before = await others()
    await post(client, body())
    await post(client, {})
    assert await others() == before
    text = (await client.get("/metrics")).text
    labels = '{model_version="1.2.3",outcome="correct",species="humpback_whale"}'
    assert f"cetacean_inference_feedback_total{labels} 1.0" in text
    assert "cetacean_inference_feedback_received_total 1.0" in text


async def test_feedback_is_logged_with_the_pictures_digest(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="cetacean_inference.feedback"):
        await post(client, body(answer={"image_sha256": SHA256}, truth={"class_animal": "another"}))
    (record,) = caplog.records
    fields = vars(record)
    assert fields["image_sha256"] == SHA256
    assert fields["answer"] == ANSWER
    assert fields["truth"] == {"class_animal": "another", "id_animal": "humpback_whale"}
    assert (fields["species_correct"], fields["individual_correct"]) == (True, False)


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({}, "answer: Field required; truth: Field required"),
        ([], "expected a JSON object with answer and truth, got a list"),
        ("x", "expected a JSON object with answer and truth, got a string"),
        (body(truth={"id_animal": ""}), "truth.id_animal: "),
        (body(truth={"id_animal": "x" * 129}), "truth.id_animal: "),
        (body(truth={"class_animal": ""}), "truth.class_animal: "),
        (body(truth={"species": "beluga"}), "truth.species: "),
        (body(answer={"model_version": "1 0"}), "answer.model_version: "),
        (body(answer={"model_version": "1" * 65}), "answer.model_version: "),
        (body(answer={"image_sha256": "ab"}), "answer.image_sha256: expected 64 hex digits, got 'ab'"),
        (body(answer={"id_animal": 7}), "answer.id_animal: "),
    ],
)
async def test_what_is_no_feedback_is_rejected_with_the_field(
    client: httpx.AsyncClient, given: Any, detail: str
) -> None:
    answer = await post(client, given)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)
    assert await models(client) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"answer": "\\ud800"}', b"[" * 10_000, b'{"a":1}{"a":1}'])
async def test_what_is_no_json_is_rejected(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/v1/feedback", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "expected" in answer.json()["detail"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_rejected(client: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await client.post("/v1/feedback", content=json.dumps(body()).encode(), headers=headers)
    assert (answer.status_code, answer.json()) == (
        415,
        {"detail": f"expected a body of type application/json, got {kind or 'none'}"},
    )


async def test_a_content_type_with_a_charset_is_taken(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = await client.post("/v1/feedback", content=json.dumps(body()).encode(), headers=headers)
    assert answer.status_code == 200


async def test_a_larger_body_is_rejected_by_its_announced_size(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/feedback", content=b" " * (MAX_BYTES + 1), headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()) == (
        413,
        {"detail": f"expected at most {MAX_BYTES} bytes, got {MAX_BYTES + 1}"},
    )


async def test_a_larger_body_without_a_size_is_rejected_while_it_streams(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1024
            yield b" " * 1024

    answer = await client.post("/v1/feedback", content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (413, {"detail": f"expected at most {MAX_BYTES} bytes, got more"})
    assert sent <= MAX_BYTES + 2048


async def test_a_client_that_leaves_before_its_body_is_complete_is_no_error(service: Service) -> None:
    sent: list[Any] = []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/feedback", "headers": headers, "query_string": b""}
    await create_app(service)(scope, receive, send)
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [400]


async def test_openapi_describes_the_body(client: httpx.AsyncClient) -> None:
    described: dict[str, Any] = (await client.get("/openapi.json")).json()
    operation = described["paths"]["/v1/feedback"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["answer"]["required"] == ["class_animal", "id_animal", "model_version"]
    assert schema["properties"]["truth"]["required"] == ["id_animal"]
    assert "$defs" not in json.dumps(schema)
    assert {"200", "408", "413", "415", "422"} <= set(operation["responses"])
    answer = await post(client, schema["examples"][0])
    assert answer.status_code == 200
