"""A small HTTP server in the event loop, for probes and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]
_KEEPALIVE_SECONDS = 30.0


async def serve(host: str, port: int, handlers: Mapping[str, Handler]) -> tuple[web.AppRunner, int]:
    """Answer GET requests.

    Args:
        host: to listen on.
        port: to listen on; 0 takes a free one.
        handlers: by path.

    Returns:
        The runner, to be cleaned up, and the port.
    """
    app = web.Application()
    for path, handler in handlers.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEPALIVE_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, int(runner.addresses[0][1])
