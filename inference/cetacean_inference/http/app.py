"""The application: routers, middleware, and how refusals become answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from cetacean_inference.http.health import health_router
from cetacean_inference.http.middleware import PredictionRequests, answer_to
from cetacean_inference.http.predict import prediction_router
from cetacean_inference.refusals import Refused
from cetacean_inference.service import Service

DESCRIPTION = "Recognises whales and dolphins on photographs, and says which weights it does so with."


def create_app(service: Service) -> FastAPI:
    """One application around one service; loading the weights is the caller's business."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(_watch(service), name="monitoring file and cache")
        try:
            yield
        finally:
            watch.cancel()

    app = FastAPI(title="Cetacean inference", description=DESCRIPTION, version=_version(), lifespan=lifespan)
    app.include_router(prediction_router(service))
    app.include_router(health_router(service))
    app.add_middleware(PredictionRequests, service=service)

    @app.exception_handler(Refused)
    async def refuse(_: Request, refusal: Refused) -> JSONResponse:
        return answer_to(refusal)

    return app


async def _watch(service: Service) -> None:
    while True:
        await asyncio.sleep(service.settings.drift.poll_seconds)
        await asyncio.to_thread(service.refresh_monitoring)
        await asyncio.to_thread(service.keep_weights)


def _version() -> str:
    try:
        return version("cetacean")
    except PackageNotFoundError:  # the image holds the packages, not the distribution
        return "0.0.0"
