"""Health, readiness, identity and metrics: answered from the start of the process, even while the model computes."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client.exposition import choose_encoder

from cetacean_inference.http.schemas import NOT_READY, DriftReport, IdentityReport, Problem
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.service import Service

_OTHER_VERSION: Final = re.compile(r"version=(?!(0\.0\.1|0\.0\.4|1\.0\.0)\s*(;|$))")


def health_router(service: Service) -> APIRouter:
    """Return the router of the endpoints for probes, Prometheus and the operator."""
    router = APIRouter()
    model = service.settings.model.name

    @router.get("/health", tags=["health"])
    async def health() -> dict[Literal["status"], Literal["ok"]]:
        """Liveness: the process serves."""
        return {"status": "ok"}

    @router.get("/v2/health/live", tags=["health"])
    async def live() -> dict[Literal["live"], bool]:
        """Liveness, as the Open Inference Protocol has it."""
        return {"live": True}

    @router.get("/v2/health/ready", tags=["health"], responses={503: {"description": "Not ready."}})
    async def ready() -> JSONResponse:
        """Readiness: verified weights are loaded and warmed up, and the process is not about to end.

        If not, `reason` says why.
        """
        return _readiness(service)

    @router.get(
        "/v2/models/{name}/ready",
        tags=["health"],
        responses={404: {"model": Problem}, 422: {"model": Problem}, 503: NOT_READY},
    )
    async def model_ready(name: str) -> JSONResponse:
        """Readiness of one model; there is only the active one."""
        if name != model:
            raise RequestRejected(404, f"expected the model {model}, got {name}")
        return _readiness(service, name=model)

    @router.get("/v1/identity", tags=["monitoring"], response_model=IdentityReport)
    async def identity() -> dict[str, Any]:
        """Which weights, gate and configuration are being served."""
        return service.identity.report(ready=service.ready)

    @router.get("/v1/drift-stats", tags=["monitoring"], response_model=DriftReport)
    async def drift_stats() -> dict[str, Any]:
        """The scores of the last predictions, compared with their baseline."""
        return asdict(service.drift.stats)

    @router.get("/metrics", tags=["monitoring"], response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus exposition."""
        # In the event loop: it takes two milliseconds, less than a thread would wait for the GIL.
        encode, content_type = choose_encoder(_known_formats(request.headers.get("accept", "")))
        return Response(encode(service.metrics.registry), headers={"Content-Type": content_type})

    return router


def _readiness(service: Service, **more: str) -> JSONResponse:
    reason = service.why_not_ready
    if reason is None:
        return JSONResponse({**more, "ready": True})
    return JSONResponse({**more, "ready": False, "reason": reason}, 503)


def _known_formats(accept: str) -> str:
    """Return an Accept header without unknown versions, which prometheus_client fails on, or repeats as they are."""
    return ",".join(one for one in accept.split(",") if not _OTHER_VERSION.search(one))
