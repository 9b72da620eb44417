"""Targets and methods: absolute URLs, HEAD, slashes at the end; one form of errors; nothing from other hosts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from support.pictures import picture

from cetacean_inference.http.app import create_app
from cetacean_inference.http.targets import TargetMiddleware

GETS = ["/health", "/v1/identity", "/v1/drift-stats", "/v2/health/ready", "/v2/models/tiny/ready", "/metrics"]


async def ask(
    service: Any, target: str, *, method: str = "GET", host: str = "service.test"
) -> tuple[int, dict[str, str], bytes]:
    """Send a target as the server passes it on, which no client library writes."""
    sent: list[Message] = []

    received = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        if (message := next(received, None)) is not None:
            return message
        await asyncio.Event().wait()  # the client stays connected
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    path, _, query = target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", host.encode())],
    }  # fmt: skip
    await create_app(service)(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(one.get("body", b"") for one in sent[1:])


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize("prefix", ["http://service.test", "https://other.test:8443", "HTTP://service.test"])
async def test_an_absolute_target_is_answered_as_its_path(service_of: Any, prefix: str, path: str) -> None:
    service = service_of()
    plain, absolute = await ask(service, path), await ask(service, f"{prefix}{path}?a=b")
    assert plain[0] == absolute[0] == 200
    if path != "/metrics":
        assert plain[2] == absolute[2]


@pytest.mark.parametrize(
    ("path", "raw", "plain", "plain_raw"),
    [
        ("/v1/x/", b"/v1/x/", "/v1/x", b"/v1/x/"),
        ("HTTP://host/a/b", b"HTTP://host/a/b", "/a/b", b"/a/b"),
        ("https://host/a://b/c", b"https://host/a://b/c", "/a://b/c", b"/a://b/c"),
        ("http://host", b"http://host", "/", b"/"),
        ("/", None, "/", None),
    ],
)
async def test_the_application_gets_a_plain_target(path: str, raw: bytes | None, plain: str, plain_raw: bytes) -> None:
    sent: list[Message] = []
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "HEAD", "path": path} | ({} if raw is None else {"raw_path": raw})
    await TargetMiddleware(app)(scope, receive, send)
    assert scopes == [{"type": "http", "method": "GET", "path": plain, "raw_path": plain_raw}]
    assert sent == [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b"", "more_body": True},
    ]
    await TargetMiddleware(app)(lifespan := {"type": "lifespan"}, receive, send)
    assert scopes[-1] is lifespan


async def test_an_absolute_target_without_a_path_is_the_root(service_of: Any) -> None:
    assert (await ask(service_of(), "http://service.test"))[0] == (await ask(service_of(), "/"))[0] == 404


@pytest.mark.parametrize("target", ["http://[", "http://[::1", "https://]/health", "http://a]b[/"])
async def test_an_absolute_target_with_an_invalid_host_is_no_server_error(service_of: Any, target: str) -> None:
    assert (await ask(service_of(), target))[0] in (200, 404)


async def test_an_error_repeats_at_most_one_short_line_of_what_the_client_sent(service_of: Any) -> None:
    status, _, body = await ask(service_of(), "/v2/models/" + "x\x1b[31m\n" * 5000 + "/ready")
    detail = json.loads(body)["detail"]
    assert status == 404
    assert detail.isprintable()
    assert len(detail) <= 600


async def test_a_prediction_at_an_absolute_target_is_bounded_and_counted(
    client: httpx.AsyncClient, service: Any
) -> None:
    status, headers, _ = await ask(service, "http://service.test/v1/predict-single", method="POST")
    assert (status, "x-request-id" in headers) == (422, True)
    metrics = (await client.get("/metrics")).text
    assert 'request_duration_seconds_count{endpoint="/v1/predict-single",status="422"} 1.0' in metrics


@pytest.mark.parametrize("path", GETS)
async def test_head_is_answered_as_get_without_a_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers["X-Model-Version"] == "1.2.3"
    if path != "/metrics":
        assert head.headers["Content-Length"] == get.headers["Content-Length"]


async def test_head_of_a_prediction_is_not_allowed(client: httpx.AsyncClient) -> None:
    answer = await client.head("/v1/predict-single")
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (405, "POST", b"")


@pytest.mark.parametrize("path", ["/health/", "/v1/identity/", "/nowhere/", "//evil.test/", "//evil.test"])
async def test_nothing_is_redirected_and_the_host_is_not_repeated(service_of: Any, path: str) -> None:
    status, headers, body = await ask(service_of(), path, host="evil.test")
    assert status in (200, 404)
    assert "location" not in headers
    assert b"evil" not in body
    assert "evil" not in str(headers)


async def test_a_slash_at_the_end_of_a_prediction_is_ignored(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/predict-single/", files={"file": ("a.png", picture(), "image/png")})
    assert (answer.status_code, answer.headers["X-Request-ID"] != "") == (200, True)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
async def test_there_are_no_pages_with_scripts_of_other_hosts(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_every_error_is_one_sentence_in_json(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get("/nowhere"),
        await client.delete("/health"),
        await client.get("/v2/models/another/ready"),
        await client.post("/v1/predict-single"),
        await client.post("/v1/predict-batch", content=b"x", headers={"Content-Type": "multipart/form-data"}),
    ):
        assert answer.headers["Content-Type"] == "application/json"
        assert list(answer.json()) == ["detail"]
        assert isinstance(answer.json()["detail"], str)


async def test_an_unexpected_error_of_any_endpoint_has_no_details(
    client: httpx.AsyncClient, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(type(service.drift), "stats", property(broken))
    answer = await client.get("/v1/drift-stats")
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
