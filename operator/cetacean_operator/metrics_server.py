"""`/metrics` over HTTP, by the event loop: with a thread for each connection clients could start any number."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from cetacean_operator.http_server import serve

_OTHER_VERSION: Final = re.compile(r"version=(?!(0\.0\.1|0\.0\.4|1\.0\.0)\s*(;|$))")


async def start(host: str, port: int, registry: CollectorRegistry) -> tuple[web.BaseRunner, int]:
    """Serve a registry; see `http_server.serve` for host, port and the result."""
    one_at_a_time = asyncio.Lock()

    async def metrics(request: web.BaseRequest) -> web.Response:
        encode, content_type = choose_encoder(_known_formats(request.headers.get("Accept", "")))
        async with one_at_a_time:  # a page of a thousand resources takes tens of milliseconds
            body = await asyncio.to_thread(encode, registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    return await serve(host, port, {"/metrics": metrics})


def _known_formats(accept: str) -> str:
    """Return an Accept header without unknown versions, which prometheus_client fails on, or repeats as they are."""
    return ",".join(one for one in accept.split(",") if not _OTHER_VERSION.search(one))
