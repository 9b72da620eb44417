"""Requests through the API server's proxy, one by one and in the background."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cetacean_tools.demo.traffic import BackgroundTraffic, ModelService, api_proxy

from .conftest import Machine

Handler = Callable[[httpx.Request], httpx.Response]


def service(handler: Handler) -> ModelService:
    client = httpx.Client(transport=httpx.MockTransport(handler))
    return ModelService.of(client, "http://127.0.0.1:1", "sea", "whales")


def test_the_proxys_port_is_read_and_the_proxy_ended(machine: Machine) -> None:
    script = f"echo $$ >{machine.folder}/pid; echo Starting to serve on 127.0.0.1:4711; exec sleep 1000"
    with api_proxy(machine.kubectl(script)) as url:
        assert url == "http://127.0.0.1:4711"
        process = int((machine.folder / "pid").read_text())
        os.kill(process, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert machine.arguments("kubectl")[4:] == ["proxy", "--port=0"]


def test_a_proxy_that_does_not_start_says_why(machine: Machine) -> None:
    with (
        pytest.raises(RuntimeError, match=r"^kubectl proxy did not start: no such cluster$"),
        api_proxy(machine.kubectl("echo no such cluster >&2; exit 1")),
    ):
        pass


def test_a_picture_is_posted_to_the_service(picture: Callable[[str], Path]) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.method == "POST"
        assert request.url.path == "/api/v1/namespaces/sea/services/whales:http/proxy/v1/predict-single"
        assert b'name="file"; filename="a.jpg"' in request.content
        assert b"Content-Type: image/jpeg" in request.content
        assert b"picture" in request.content
        return httpx.Response(200, json={"class_animal": "moby"})

    assert service(handle).predict(picture("a.jpg")) == {"class_animal": "moby"}


def test_detections_come_in_the_pictures_order(picture: Callable[[str], Path]) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        name = next(name for name in ("a.jpg", "b.jpg") if f'filename="{name}"'.encode() in request.content)
        return httpx.Response(200, json={"image_ind": name})

    answers = service(handle).send([picture("b.jpg"), picture("a.jpg"), picture("b.jpg")])
    assert [answer["image_ind"] for answer in answers] == ["b.jpg", "a.jpg", "b.jpg"]


def test_a_rejected_request_is_an_error(picture: Callable[[str], Path]) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="503"):
        service(lambda _request: httpx.Response(503)).predict(picture("a.jpg"))


def test_many_clients_send_at_the_same_time() -> None:
    all_there = threading.Barrier(8, timeout=10)

    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(504 if all_there.wait() else 200)

    assert service(handle).send_at_once(b"picture", 8) == {200: 1, 504: 7}


def replies() -> Iterator[httpx.Response]:
    yield httpx.Response(200, json={"model_version": "1.0.0"})
    yield httpx.Response(503)
    yield httpx.Response(200, json={"model_version": "1.1.0"})
    yield httpx.Response(200, json={"model_version": "1.1.0"})


def test_background_traffic_counts_responses_and_failures(picture: Callable[[str], Path]) -> None:
    prepared, all_given = replies(), threading.Event()

    def handle(_request: httpx.Request) -> httpx.Response:
        try:
            return next(prepared)
        except StopIteration:
            all_given.set()
            raise httpx.ConnectError("refused") from None

    with BackgroundTraffic(service(handle), [picture("a.jpg")], interval=0) as traffic:
        assert all_given.wait(10)
    assert traffic.versions == {"1.0.0": 1, "1.1.0": 2}
    assert "503" in traffic.failures[0]
    assert set(traffic.failures[1:]) <= {"refused"}


def test_background_traffic_stops_with_its_block(picture: Callable[[str], Path]) -> None:
    asked = threading.Event()

    def handle(_request: httpx.Request) -> httpx.Response:
        asked.set()
        return httpx.Response(200, json={"model_version": "1"})

    with BackgroundTraffic(service(handle), [picture("a.jpg")], interval=1000) as traffic:
        assert asked.wait(10)
    assert traffic.versions == {"1": 1}, "the interval is not waited out"
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(_ask)")]
