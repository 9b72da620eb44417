"""The FastAPI application: routers, middleware, and the answer to a rejected request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from cetacean_inference.http.health import health_router
from cetacean_inference.http.middleware import PredictionMiddleware, answer_rejected
from cetacean_inference.http.predict import prediction_router
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.service import Service

DESCRIPTION = "Recognises whales and dolphins on photographs, and says which weights it does so with."


def create_app(service: Service) -> FastAPI:
    """Create the application for one service; the caller loads the weights."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_refresh_monitoring(service), name="monitoring file")
        try:
            yield
        finally:
            task.cancel()

    app = FastAPI(title="Cetacean inference", description=DESCRIPTION, version=_version(), lifespan=lifespan)
    app.include_router(prediction_router(service))
    app.include_router(health_router(service))
    app.add_middleware(PredictionMiddleware, service=service)

    @app.exception_handler(RequestRejected)
    async def reject(_: Request, error: RequestRejected) -> JSONResponse:
        return answer_rejected(error)

    return app


async def _refresh_monitoring(service: Service) -> None:
    while True:
        await asyncio.sleep(service.settings.drift.poll_seconds)
        await asyncio.to_thread(service.refresh_monitoring)


def _version() -> str:
    try:
        return version("cetacean")
    except PackageNotFoundError:  # the image contains the packages, not the distribution
        return "0.0.0"
