"""The endpoints for predictions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Request, Response, UploadFile
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from cetacean_inference.decision import Detection
from cetacean_inference.http.middleware import BATCH, ENDPOINTS, SINGLE, samples_of
from cetacean_inference.http.multipart import UploadRoute
from cetacean_inference.http.schemas import problems
from cetacean_inference.imaging.archives import Archive, Entry, clean_name, has_zip_signature
from cetacean_inference.imaging.decoding import check_file_size
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.predictor import Predictor
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import ImageSettings
from cetacean_inference.shadow.samples import RequestSamples

PICTURE_TYPES: Final = ("image/bmp", "image/jpeg", "image/png", "image/tiff", "image/webp")
"""Types of the formats that are decoded; any type `image/*` is taken, and the file's first bytes decide."""
ZIP_TYPES: Final = frozenset({"application/zip", "application/x-zip-compressed", "application/x-zip"})
GENERIC_TYPES: Final = frozenset({"application/octet-stream", "binary/octet-stream", ""})
"""Types of clients that do not know zip; the file's name or first bytes decide."""
WRITER: Final = TypeAdapter(Detection)
SKIPPED_HEADER: Final = "X-Skipped-Entries"
STATUSES: Final = (400, 408, 413, 415, 422, 429, 503, 504)


def prediction_router(service: Service) -> APIRouter:
    """Return the router of both endpoints and their deprecated aliases."""
    router = APIRouter(tags=["predictions"], route_class=UploadRoute)
    skipped: dict[int | str, dict[str, Any]] = {
        200: {
            "headers": {SKIPPED_HEADER: {"description": "Entries that are no pictures.", "schema": {"type": "integer"}}}
        }
    }
    for path, endpoint in ENDPOINTS.items():
        alias = "_alias" if path != endpoint else ""
        if endpoint == SINGLE:
            router.add_api_route(
                path,
                _predict_single(service),
                methods=["POST"],
                response_model=Detection,
                responses=problems(*STATUSES),
                openapi_extra=file_types("file", PICTURE_TYPES),
                deprecated=bool(alias),
                operation_id=f"predict_single{alias}",
            )
        elif endpoint == BATCH:
            router.add_api_route(
                path,
                _predict_batch(service),
                methods=["POST"],
                response_model=list[Detection],
                responses=problems(*STATUSES) | skipped,
                openapi_extra=file_types("archive", sorted(ZIP_TYPES)),
                deprecated=bool(alias),
                operation_id=f"predict_batch{alias}",
            )
    return router


def file_types(field: str, types: Iterable[str]) -> dict[str, Any]:
    """Return what OpenAPI says of a form's file besides that it is binary."""
    encoding = {field: {"contentType": ", ".join(types)}}
    return {"requestBody": {"content": {"multipart/form-data": {"encoding": encoding}}}}


def _predict_single(service: Service) -> Callable[[Request, UploadFile], Awaitable[Response]]:
    settings = service.settings

    async def predict_single(
        request: Request, file: Annotated[UploadFile, File(description="One picture.")]
    ) -> Response:
        """Say whether a picture shows a marine mammal, and which individual; a rejection is an answer too."""
        read = reader(file, settings.images)
        predictor = service.predictor
        async with time_limit(settings.http.timeout_seconds):
            detection = await predictor.predict(
                read, image_ind=clean_name(file.filename or ""), samples=samples_of(request)
            )
        detection = await predictor.add_mask(detection, read)
        # FastAPI would take several times as long; an answer with a mask is megabytes.
        return Response(WRITER.dump_json(detection), media_type="application/json")

    return predict_single


def _predict_batch(service: Service) -> Callable[[Request, UploadFile, Response], Awaitable[list[Detection]]]:
    settings = service.settings

    async def predict_batch(
        request: Request,
        archive: Annotated[UploadFile, File(description="A zip archive of pictures.")],
        response: Response,
    ) -> list[Detection]:
        """One Detection for each picture of an archive, in its order; other entries are skipped and counted."""
        _require_zip(archive, await archive.read(4))
        predictor = service.predictor
        predictor.batcher.check_admission()
        async with time_limit(settings.http.archive_timeout_seconds):
            opened = await run_in_threadpool(Archive, archive.file, settings=settings.archives, images=settings.images)
            with opened:
                detections = await _predict_entries(predictor, opened, samples_of(request))
        response.headers[SKIPPED_HEADER] = str(opened.skipped)
        return detections

    return predict_batch


async def _predict_entries(predictor: Predictor, archive: Archive, samples: RequestSamples) -> list[Detection]:
    """Answer for all pictures of an archive, with a bounded number in flight."""
    in_flight = asyncio.Semaphore(predictor.batcher.max_in_flight_per_archive)

    async def predict(entry: Entry) -> Detection:
        async with in_flight:
            return await predictor.predict_entry(partial(archive.read, entry), image_ind=entry.name, samples=samples)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(predict(entry)) for entry in archive.entries]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the one that ended the others; it may have a status of its own
    return [task.result() for task in tasks]


def reader(file: UploadFile, settings: ImageSettings) -> Callable[[], bytes]:
    """Return a function that reads an uploaded picture.

    Raises:
        RequestRejected: 415 for another type, 413 for a file that is too large.
    """
    kind = _media_type(file)
    if not kind.startswith("image/"):
        raise RequestRejected(415, f"expected a file of type image/*, got {kind or 'none'}")
    check_file_size(file.size or 0, settings)

    def read() -> bytes:
        file.file.seek(0)
        return file.file.read()

    return read


def _require_zip(archive: UploadFile, head: bytes) -> None:
    """Accept a file that is declared as zip, or that has no specific type and begins like a zip archive.

    Raises:
        RequestRejected: 415.
    """
    kind = _media_type(archive)
    declared = kind in ZIP_TYPES or (kind in GENERIC_TYPES and (archive.filename or "").lower().endswith(".zip"))
    if not declared and not (kind in GENERIC_TYPES and has_zip_signature(head)):
        raise RequestRejected(415, f"expected a zip archive, got a file of type {kind or 'none'}")


def _media_type(file: UploadFile) -> str:
    return (file.content_type or "").partition(";")[0].strip().lower()


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Answer 504 if the block takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise RequestRejected(504, f"expected an answer within {seconds:g} s, got none") from error
