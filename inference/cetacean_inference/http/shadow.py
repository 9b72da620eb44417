"""The endpoints for the comparison of a candidate with the served model; for other pods and for the operator."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, File, Request, Response, UploadFile

from cetacean_inference.decision import Detection
from cetacean_inference.http.internal import internal_port_only
from cetacean_inference.http.multipart import UploadRoute
from cetacean_inference.http.predict import PICTURE_TYPES, STATUSES, WRITER, file_types, reader, time_limit
from cetacean_inference.http.schemas import DisagreementsReport, Problem, ShadowReport, problems
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.service import Service
from cetacean_inference.shadow.answers import timing_header
from cetacean_inference.shadow.client import PATH, RUN_HEADER, SENDER_HEADER
from cetacean_inference.shadow.compared_pictures import ComparedPictures

_LONGEST_RUN: Final = 128
"""Characters, as in the monitoring file."""


def shadow_router(service: Service) -> APIRouter:
    """Return the router."""
    router = APIRouter(tags=["shadow"], route_class=UploadRoute)
    settings, shadow = service.settings, service.shadow
    internal = [Depends(internal_port_only(settings.http))]
    not_found: dict[int | str, dict[str, Any]] = {404: {"model": Problem}, 422: {"model": Problem}}

    @router.post(
        PATH,
        response_model=Detection,
        responses=problems(*STATUSES, 409),
        openapi_extra=file_types("file", PICTURE_TYPES),
    )
    async def predict_shadow(
        file: Annotated[UploadFile, File(description="One picture.")], request: Request
    ) -> Response:
        """Answer as /v1/predict-single does, for a pod that compares models; clients must not use it.

        The answer has no mask, and counts neither in the drift window nor in the metrics of requests. `Server-Timing`
        gives the time of the networks. With the header `X-Shadow-Run` a picture of that run is answered once; then the
        answer is 409. It is 409 too if `X-Shadow-Sender` names this process.
        """
        if request.headers.get(SENDER_HEADER) == shadow.sender:
            raise RequestRejected(409, "expected another pod, got a picture that this one has sent")
        read = reader(file, settings.images)
        predictor = service.predictor
        async with time_limit(settings.http.timeout_seconds), _once(request, read):
            detection, stages = await predictor.predict_shadow(read)
        timing = timing_header(stages.predict_per_picture)
        return Response(WRITER.dump_json(detection), media_type="application/json", headers={"Server-Timing": timing})

    compared = ComparedPictures()

    @asynccontextmanager
    async def _once(request: Request, read: Callable[[], bytes]) -> AsyncIterator[None]:
        """Reject a picture that was answered in its run; one whose answer fails within the block may come again."""
        run = request.headers.get(RUN_HEADER, "")[:_LONGEST_RUN]
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(read()).hexdigest()) if run else ""
        if run and not compared.add(run, sha256):
            raise RequestRejected(409, "expected a picture that was not answered in this run")
        try:
            yield
        except BaseException:
            compared.forget(run, sha256)
            raise

    @router.get("/v1/shadow-stats", response_model=ShadowReport)
    async def shadow_stats() -> dict[str, Any]:
        """How the candidate's answers differ from this pod's: counts, which add up over pods."""
        return shadow.report()

    @router.get(
        "/v1/shadow-disagreements", response_model=DisagreementsReport, dependencies=internal, responses=not_found
    )
    async def shadow_disagreements() -> dict[str, Any]:
        """The newest pictures about which the models disagree: digests and answers; only at the internal port."""
        return shadow.disagreements()

    @router.get(
        "/v1/shadow-pictures/{sha256}",
        response_class=Response,
        dependencies=internal,
        responses={200: {"content": {"application/octet-stream": {}}}, **not_found},
    )
    def shadow_picture(sha256: str) -> Response:
        """A picture about which the models disagree, if `keepDisagreements` keeps it; only at the internal port."""
        if (data := shadow.pictures.read(sha256, max_bytes=settings.images.max_bytes)) is None:
            raise RequestRejected(404, "expected the sha256 of a kept picture")
        return Response(data, media_type="application/octet-stream", headers={"X-Content-Type-Options": "nosniff"})

    return router
