"""The FastAPI application: routers, middleware, and the answer to a rejected request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware

from cetacean_inference.http.feedback import feedback_router
from cetacean_inference.http.health import health_router
from cetacean_inference.http.middleware import REQUEST_ID_HEADER, PredictionMiddleware, answer_rejected
from cetacean_inference.http.multipart import UploadNotStoredError
from cetacean_inference.http.predict import SKIPPED_HEADER, prediction_router
from cetacean_inference.http.shadow import shadow_router
from cetacean_inference.http.targets import TargetMiddleware
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.service import Service

EXPOSED_HEADERS: Final = (
    *("X-Model-Name", "X-Model-Version", "X-Weights-SHA256", "X-Gate-Threshold"),
    *(REQUEST_ID_HEADER, SKIPPED_HEADER, "Retry-After"),
)
"""Headers of answers that a page of another origin may read."""
DESCRIPTION = "Recognises whales and dolphins on photographs, and says which weights it does so with."


def create_app(service: Service) -> FastAPI:
    """Create the application for one service; the caller loads the weights."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_refresh_monitoring(service), name="monitoring file"),
            asyncio.create_task(service.shadow.run(), name="shadow"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="Cetacean inference",
        description=DESCRIPTION,
        version=_version(),
        lifespan=lifespan,
        # Their pages would load scripts from another host.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(prediction_router(service))
    app.include_router(health_router(service))
    app.include_router(shadow_router(service))
    app.include_router(feedback_router(service))
    # The last one is the outermost.
    app.add_middleware(PredictionMiddleware, service=service)
    if origins := service.settings.http.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=(REQUEST_ID_HEADER,),
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(TargetMiddleware)

    @app.exception_handler(RequestRejected)
    async def reject(_: Request, error: RequestRejected) -> JSONResponse:
        return answer_rejected(error)

    @app.exception_handler(UploadNotStoredError)
    async def reject_upload(_: Request, __: UploadNotStoredError) -> JSONResponse:
        detail = "expected room to store the upload, got none: try again later"
        return answer_rejected(RequestRejected(503, detail, retry_after=service.settings.http.retry_after_seconds))

    @app.exception_handler(RequestValidationError)
    async def reject_form(_: Request, error: RequestValidationError) -> JSONResponse:
        return answer_rejected(RequestRejected(422, "; ".join(map(_describe, error.errors()))))

    @app.exception_handler(Exception)
    async def fail(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"detail": "internal error"}, 500)

    return app


def _describe(error: Mapping[str, Any]) -> str:
    """Return one error of a form, without what the client sent: that may be the whole upload."""
    name = ".".join(str(part) for part in error["loc"][1:])
    found = "none" if error["type"] == "missing" else "a field without a file name"
    return f"{name}: expected a file, got {found}"


async def _refresh_monitoring(service: Service) -> None:
    while True:
        await asyncio.sleep(service.settings.drift.poll_seconds)
        await service.refresh_monitoring()


def _version() -> str:
    try:
        return version("cetacean")
    except PackageNotFoundError:  # the image contains the packages, not the distribution
        return "0.0.0"
