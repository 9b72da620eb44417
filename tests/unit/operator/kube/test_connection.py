"""The API client reaches the server through the proxy of the environment or of the configuration."""

from __future__ import annotations

import http.server
from collections.abc import Iterator

import pytest
from kubernetes.aio.client import Configuration
from support.loopback import Quiet, listening

from cetacean_operator.api.kinds import MODELS
from cetacean_operator.kube.client import ApiClient

REQUESTS: list[str] = []


class Proxy(Quiet, http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        REQUESTS.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


@pytest.fixture
def port() -> Iterator[int]:
    REQUESTS.clear()
    with listening(Proxy) as made:
        yield made


async def get(configuration: Configuration) -> str:
    async with ApiClient(configuration, timeout=5.0) as kube:
        await kube.get(MODELS, "sea", "whales")
    return REQUESTS.pop()


async def test_the_proxy_of_the_environment_is_used(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    path = MODELS.path("sea", "whales")
    assert await get(Configuration(host="http://api.invalid")) == f"http://api.invalid{path}", (
        "it goes through the proxy"
    )
    assert await get(Configuration(host=f"http://127.0.0.1:{port}")) == path, "NO_PROXY names the host"


async def test_the_proxy_of_the_configuration_precedes_the_environment(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    configuration = Configuration(host="http://api.invalid", proxy=f"http://127.0.0.1:{port}")
    assert (await get(configuration)).startswith("http://api.invalid/")
