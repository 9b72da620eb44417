"""Middleware for requests for predictions: request id, bounds, metrics, and headers with the lineage.

Every answer of every endpoint has the headers with the lineage. This is plain ASGI, because all of it must happen
before the body is read: a request is rejected by its headers, and a body is counted while it streams.
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
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cetacean_inference.http.body import Body, Uploads
from cetacean_inference.http_headers import decimal_header
from cetacean_inference.log_setup import request_id
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import KIB
from cetacean_inference.shadow.client import PATH as SHADOW
from cetacean_inference.shadow.samples import RequestSamples

logger = logging.getLogger(__name__)

SINGLE: Final = "/v1/predict-single"
BATCH: Final = "/v1/predict-batch"
ENDPOINTS: Final = {SINGLE: SINGLE, "/predict-single": SINGLE, BATCH: BATCH, "/predict-batch": BATCH}
"""Paths of clients, and the endpoint under which metrics count each."""
_COUNTED_OR_SHADOW: Final = ENDPOINTS | {SHADOW: SHADOW}
_SAMPLES: Final = "cetacean.samples"
FORM_OVERHEAD: Final = 64 * KIB
"""Bytes that multipart boundaries and headers may add to a file."""
REQUEST_ID_HEADER: Final = "X-Request-ID"
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
CLIENT_DISCONNECTED: Final = 499
"""nginx's status for a client that closed the connection; counted, never sent."""


def answer_rejected(error: RequestRejected) -> JSONResponse:
    """Return the response to a rejected request."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse({"detail": error.detail}, error.status, headers)


def samples_of(request: Request) -> RequestSamples:
    """Return what copies this request's pictures for a candidate."""
    samples: RequestSamples = request.scope[_SAMPLES]
    return samples


class PredictionMiddleware:
    """Handles requests for predictions; adds only the lineage to the answers of other endpoints.

    Args:
        app: the application.
        service: readiness, metrics and identity.
    """

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app = app
        self._service = service
        settings = service.settings
        self._limits = {
            SINGLE: settings.images.max_bytes + FORM_OVERHEAD,
            BATCH: settings.archives.max_bytes + FORM_OVERHEAD,
            SHADOW: settings.images.max_bytes + FORM_OVERHEAD,
        }
        self._uploads = Uploads(
            settings.http.max_upload_bytes,
            gauge=service.metrics.upload_bytes,
            retry_after=settings.http.retry_after_seconds,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or one message of the server's life cycle."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        endpoint = _COUNTED_OR_SHADOW.get(scope["path"]) if scope["method"] == "POST" else None
        if endpoint is None:
            await self._app(scope, receive, _with_headers(send, self._service.identity.headers()))
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        token = request_id.set(given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex)
        try:
            await self._handle(endpoint, headers, scope, receive, send)
        finally:
            request_id.reset(token)

    async def _handle(self, endpoint: str, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for predictions, and count it."""
        begun = time.perf_counter()
        body = Body(receive, limit=self._limits[endpoint], seconds=self._service.settings.http.upload_timeout_seconds)
        added = {REQUEST_ID_HEADER: request_id.get() or "", **self._service.identity.headers()}
        answer = _Answer(_with_headers(send, added), body)
        metrics, of_client = self._service.metrics, endpoint != SHADOW
        metrics.in_flight.inc(of_client)
        samples = scope[_SAMPLES] = self._service.shadow.request()
        try:
            with self._uploads.reservation() as reserve:
                if (rejection := self._reject_by_headers(headers, body.limit, reserve)) is not None:
                    # A client that waits for 100 Continue sends no body before it gets that.
                    body.drainable = headers.get("expect", "").lower() != "100-continue"
                    await rejection(scope, receive, answer.send)
                else:
                    await self._run_app(scope, body, answer)
        except ClientDisconnect:
            answer.status = CLIENT_DISCONNECTED
        except asyncio.CancelledError:
            # The server cancels what is in progress when the grace period is over, and ends.
            if answer.status is not None:
                raise
            body.drainable = False
            await self._answer_ending()(scope, receive, answer.send)
        except Exception:
            logger.exception("%s failed", endpoint)
            if answer.status is not None:
                answer.status = 500
                raise
            await JSONResponse({"detail": "internal error"}, 500)(scope, receive, answer.send)
        finally:
            seconds, status = time.perf_counter() - begun, answer.status or CLIENT_DISCONNECTED
            metrics.in_flight.dec(of_client)
            self._service.shadow.finish(samples, sent=status == 200)
            if of_client:
                metrics.observe_request(endpoint, status, seconds)
            else:
                metrics.count_shadow_request(status)
            if status >= 400 and of_client:
                fields = {"endpoint": endpoint, "status": status, "total_ms": round(seconds * 1000, 1)}
                logger.info("not answered", extra=fields)

    def _answer_ending(self) -> JSONResponse:
        settings = self._service.settings.http
        return answer_rejected(
            RequestRejected(
                503,
                f"the process is ending, and its {settings.grace_period_seconds} s for requests in progress are over: "
                "try again",
                retry_after=settings.retry_after_seconds,
            )
        )

    async def _run_app(self, scope: Scope, body: Body, answer: _Answer) -> None:
        """Run the application; stop it if the client disconnects before the answer begins.

        Raises:
            ClientDisconnect: the client disconnected; nothing more is computed for it.
        """
        answering = asyncio.ensure_future(self._app(scope, body.receive, answer.send))
        disconnect = asyncio.create_task(body.wait_for_disconnect())
        try:
            await asyncio.wait({answering, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if body.disconnected or not (answering.done() or answer.status):
                raise ClientDisconnect
            await answering
        finally:
            answering.cancel()
            disconnect.cancel()
            await asyncio.gather(answering, disconnect, return_exceptions=True)

    def _reject_by_headers(self, headers: Headers, limit: int, reserve: Callable[[int], None]) -> ASGIApp | None:
        """Reject a request before its body is read; None if it is admitted."""
        announced = decimal_header(headers, "content-length")
        try:
            self._service.predictor.batcher.check_admission()
            if announced is not None and announced > limit:
                raise RequestRejected(413, f"expected at most {limit} bytes, got {announced}")  # noqa: TRY301
            reserve(limit if announced is None else announced)
        except RequestRejected as error:
            return answer_rejected(error)
        return None


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    """Add headers to the answer that goes through `send`."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return send_with_headers


class _Answer:
    """Records the answer's status, and reads the rest of the body before the answer begins."""

    def __init__(self, send: Send, body: Body) -> None:
        self._send = send
        self._body = body
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._body.drain()
            self.status = message["status"]
        await self._send(message)
