"""What surrounds each request for predictions: its id, its bounds, its place in the metrics.

Every answer, whatever was asked for, says in its headers which weights are served.

Plain ASGI, because all of it must happen before the body is read: a request that will be refused is refused by its
head, and a body is counted while it streams.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cetacean_inference.http.body import Body, Uploads
from cetacean_inference.logs import request_id
from cetacean_inference.refusals import Refused
from cetacean_inference.service import Service
from cetacean_inference.settings import KIB

logger = logging.getLogger(__name__)

SINGLE: Final = "/v1/predict-single"
BATCH: Final = "/v1/predict-batch"
ENDPOINTS: Final = {SINGLE: SINGLE, "/predict-single": SINGLE, BATCH: BATCH, "/predict-batch": BATCH}
"""Paths and the endpoint that each is counted under."""
FORM_OVERHEAD: Final = 64 * KIB
"""What multipart boundaries and headers may add to a file."""
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
CLIENT_LEFT: Final = 499
"""nginx's status for a client that closed the connection; never sent."""


def answer_to(refusal: Refused) -> JSONResponse:
    """What a client reads of a refusal."""
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    return JSONResponse({"detail": refusal.detail}, refusal.status, headers)


class PredictionRequests:
    """Middleware for the endpoints that predict; the answers of all others only get the headers of lineage.

    Args:
        app: the application.
        service: whose readiness, metrics and identity count.
    """

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app = app
        self._service = service
        settings = service.settings
        self._limits = {
            SINGLE: settings.images.max_bytes + FORM_OVERHEAD,
            BATCH: settings.archives.max_bytes + FORM_OVERHEAD,
        }
        self._uploads = Uploads(
            settings.http.max_upload_bytes,
            gauge=service.metrics.upload_bytes,
            retry_after=settings.http.retry_after_seconds,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        endpoint = ENDPOINTS.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if endpoint is None:
            named = _Named(send, self._lineage()) if scope["type"] == "http" else None
            await self._app(scope, receive, named.send if named else send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        token = request_id.set(given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex)
        begun = time.perf_counter()
        body = Body(receive, limit=self._limits[endpoint], seconds=self._service.settings.http.upload_timeout_seconds)
        answer = _Answer(_Named(send, {"X-Request-ID": request_id.get() or "", **self._lineage()}), body)
        metrics = self._service.metrics
        metrics.in_flight.inc()
        try:
            with self._uploads.admitted() as admit:
                if (refusal := self._refusal(headers, body.limit, admit)) is not None:
                    # A client that waits for 100 Continue sends nothing until it is told to.
                    body.lingers = headers.get("expect", "").lower() != "100-continue"
                    await refusal(scope, receive, answer.send)
                else:
                    await self._answered(scope, body, answer)
        except ClientDisconnect:
            answer.status = CLIENT_LEFT
        except Exception:
            logger.exception("%s failed", endpoint)
            if answer.status is not None:
                answer.status = 500
                raise
            await JSONResponse({"detail": "internal error"}, 500)(scope, receive, answer.send)
        finally:
            seconds, status = time.perf_counter() - begun, answer.status or CLIENT_LEFT
            metrics.in_flight.dec()
            metrics.answered(endpoint, status, seconds)
            if status >= 400:
                found = {"endpoint": endpoint, "status": status, "total_ms": round(seconds * 1000, 1)}
                logger.info("not answered", extra=found)
            request_id.reset(token)

    async def _answered(self, scope: Scope, body: Body, answer: _Answer) -> None:
        """Have the application answer, unless the client leaves before.

        Raises:
            ClientDisconnect: when it did; nothing more is computed for it.
        """
        answering = asyncio.ensure_future(self._app(scope, body.receive, answer.send))
        leaving = asyncio.create_task(body.left())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if body.torn or not (answering.done() or answer.status):
                raise ClientDisconnect
            await answering
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    def _refusal(self, headers: Headers, limit: int, admit: Callable[[int], None]) -> ASGIApp | None:
        """What can be said by the head alone."""
        length = headers.get("content-length", "")
        announced = int(length) if length.isdecimal() else limit
        try:
            self._service.check_admission()
            if announced > limit:
                raise Refused(413, f"expected at most {limit} bytes, got {length}")  # noqa: TRY301 - told as the others
            admit(announced)
        except Refused as refusal:
            return answer_to(refusal)
        return None

    def _lineage(self) -> dict[str, str]:
        """Where an answer comes from; the digest is that of the weights that are loaded."""
        identity = self._service.identity()
        headers = {
            "X-Model-Name": identity["model"]["name"],
            "X-Model-Version": identity["model"]["version"],
            "X-Gate-Threshold": str(identity["gate"]["threshold"]),
        }
        if digest := identity["weights"]["sha256"]:
            headers["X-Weights-SHA256"] = digest
        return {key: value.encode("ascii", "backslashreplace").decode() for key, value in headers.items()}


class _Named:
    """Adds headers to an answer."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = headers

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(self._headers)
        await self._send(message)


class _Answer:
    """Remembers an answer's status, and lets it begin when the client has sent what it sends."""

    def __init__(self, named: _Named, body: Body) -> None:
        self._named = named
        self._body = body
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._body.drain()
            self.status = message["status"]
        await self._named.send(message)
