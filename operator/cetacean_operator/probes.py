"""`/healthz` and `/readyz`: is the queue served, are the watches alive, has everything been listed?"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from cetacean_operator.http_server import Handler, serve

Check = Callable[[], str | None]
"""Returns the fault, None if there is none."""


async def start(host: str, port: int, *, healthz: Check, readyz: Check) -> tuple[web.BaseRunner, int]:
    """Serve both probes.

    Args:
        host: to listen on.
        port: to listen on; 0 takes a free one.
        healthz: what the kubelet restarts the process for.
        readyz: what keeps a rollout of the operator from going on.

    Returns:
        The runner, to be cleaned up, and the port.
    """
    return await serve(host, port, {"/healthz": _answer(healthz), "/readyz": _answer(readyz)})


def _answer(check: Check) -> Handler:
    async def answer(_: web.BaseRequest) -> web.Response:
        fault = check()
        return web.Response(text=fault or "ok", status=503 if fault else 200)

    return answer
