"""Forms of a request's target and method that every server must understand: absolute URLs, HEAD, a slash at the end."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIXES = ("http://", "https://")


class TargetMiddleware:
    """Rewrites the target to a plain path, and answers HEAD as GET without a body.

    There are no redirects: they would repeat the client's `Host` in an answer.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or one message of the server's life cycle."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        changed = {"path": _path(scope["path"]), "raw_path": _raw_path(scope.get("raw_path"))}
        if scope["method"] == "HEAD":
            await self._app({**scope, **changed, "method": "GET"}, receive, _without_body(send))
        else:
            await self._app({**scope, **changed}, receive, send)


def _path(target: str) -> str:
    # A proxy's form of the target: scheme, host and path (RFC 9112, 3.2.2).
    if target.lower().startswith(PREFIXES):
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.removesuffix("/") or "/"


def _raw_path(target: bytes | None) -> bytes | None:
    if target is not None and target.lower().startswith(tuple(prefix.encode() for prefix in PREFIXES)):
        return b"/" + target.partition(b"://")[2].partition(b"/")[2]
    return target


def _without_body(send: Send) -> Send:
    async def send_without_body(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_without_body
