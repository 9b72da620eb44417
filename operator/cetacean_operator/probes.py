"""`/healthz` and `/readyz`: is the queue served, are the watches alive, has everything been listed?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

Check = Callable[[], str | None]
"""Returns what is wrong, None where nothing is."""


async def start(host: str, port: int, *, healthz: Check, readyz: Check) -> tuple[web.AppRunner, int]:
    """Serve both probes.

    Args:
        host: to listen on.
        port: to listen on; 0 takes a free one.
        healthz: what the kubelet restarts the process for.
        readyz: what keeps a rollout of the operator from going on.

    Returns:
        The runner, to be cleaned up, and the port.
    """
    app = web.Application()
    app.router.add_get("/healthz", _answer(healthz))
    app.router.add_get("/readyz", _answer(readyz))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        fault = check()
        return web.Response(text=fault or "ok", status=503 if fault else 200)

    return answer
