"""The kopf handler that gives kopf the operator's own connection to the API server."""

from __future__ import annotations

from typing import Any

import kopf

from cetacean_operator.handlers.context import Context
from cetacean_operator.handlers.watch_middleware import TolerantResponse


@kopf.on.login()
async def login(memo: Context, **_: Any) -> kopf.AiohttpSession:
    """Return a session with fresh credentials, the operator's TLS and proxy, and the watch middleware."""
    session = memo.kube.session(memo.middleware, response_class=TolerantResponse)
    return kopf.AiohttpSession(server=memo.kube.configuration.host, aiohttp_session=session)
