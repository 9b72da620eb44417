"""Services of a cluster on loopback: real connections, without a cluster's names."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from cetacean_inference.shadow.answers import MAX_ANSWER_BYTES
from cetacean_inference.shadow.client import MAX_HEAD_BYTES
from cetacean_inference.shadow.connections import Transport


class OnLoopback(httpx.AsyncBaseTransport):
    """Sends requests to ports of loopback, by the Service's name; the header `Host` stays."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        """Take the port of each host, for instance of `candidate.sea.svc`."""
        self._ports = ports
        self._transport = Transport(max_bytes=MAX_HEAD_BYTES + MAX_ANSWER_BYTES)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        port = self._ports[request.url.host]
        request.url = request.url.copy_with(host="127.0.0.1", port=port)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()
