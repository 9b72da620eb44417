"""The endpoints that clients send pictures to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, File, Response, UploadFile
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from cetacean_inference.archives import Archive, Entry, clean_name, looks_like_zip
from cetacean_inference.decision import Detection
from cetacean_inference.http.middleware import BATCH, ENDPOINTS, SINGLE
from cetacean_inference.http.schemas import problems
from cetacean_inference.images import check_size
from cetacean_inference.refusals import Refused
from cetacean_inference.service import Service

ZIP_TYPES: Final = frozenset({"application/zip", "application/x-zip-compressed", "application/x-zip"})
UNTYPED: Final = frozenset({"application/octet-stream", "binary/octet-stream", ""})
"""What clients send that do not know zip; the bytes decide then."""
WRITER: Final = TypeAdapter(Detection)
SKIPPED_HEADER: Final = "X-Skipped-Entries"


def prediction_router(service: Service) -> APIRouter:
    """Both endpoints, under their old names too."""
    router = APIRouter(tags=["predictions"])
    settings = service.settings

    async def predict_single(file: Annotated[UploadFile, File(description="One picture.")]) -> Response:
        """Say whether a picture shows a marine mammal, and which individual; a rejection is an answer too."""
        kind = _kind(file)
        if not kind.startswith("image/"):
            raise Refused(415, f"expected a file of type image/*, got {kind or 'none'}")
        check_size(file.size or 0, settings.images)

        def read() -> bytes:
            file.file.seek(0)
            return file.file.read()

        async with _within(settings.http.timeout_seconds):
            detection = await service.predict(read, image_ind=clean_name(file.filename or ""))
        # Not left to FastAPI, which takes several times as long; an answer with a mask is megabytes.
        return Response(WRITER.dump_json(await service.with_mask(detection, read)), media_type="application/json")

    async def predict_batch(
        archive: Annotated[UploadFile, File(description="A zip archive of pictures.")], response: Response
    ) -> list[Detection]:
        """One Detection for each picture of an archive, in its order; what is no picture is skipped and counted."""
        _check_kind(archive, await archive.read(4))
        service.check_admission()
        async with _within(settings.http.archive_timeout_seconds):
            opened = await run_in_threadpool(Archive, archive.file, settings=settings.archives, images=settings.images)
            with opened:
                detections = await _all(service, opened)
        response.headers[SKIPPED_HEADER] = str(opened.skipped)
        return detections

    skipped: dict[int | str, dict[str, Any]] = {
        200: {
            "headers": {SKIPPED_HEADER: {"description": "Entries that are no pictures.", "schema": {"type": "integer"}}}
        }
    }
    for path, endpoint in ENDPOINTS.items():
        alias = path != endpoint
        if endpoint == SINGLE:
            router.add_api_route(
                path,
                predict_single,
                methods=["POST"],
                response_model=Detection,
                responses=problems(400, 408, 413, 415, 429, 503, 504),
                deprecated=alias,
                operation_id=f"predict_single{'_alias' if alias else ''}",
            )
        elif endpoint == BATCH:
            router.add_api_route(
                path,
                predict_batch,
                methods=["POST"],
                response_model=list[Detection],
                responses=problems(400, 408, 413, 415, 429, 503, 504) | skipped,
                deprecated=alias,
                operation_id=f"predict_batch{'_alias' if alias else ''}",
            )
    return router


async def _all(service: Service, archive: Archive) -> list[Detection]:
    """All pictures, some at a time: enough to fill batches, few enough to leave room for others."""
    turn = asyncio.Semaphore(service.share)

    async def one(entry: Entry) -> Detection:
        async with turn:
            return await service.predict_entry(partial(archive.read, entry), image_ind=entry.name)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(entry)) for entry in archive.entries]
    return [task.result() for task in tasks]


def _check_kind(archive: UploadFile, head: bytes) -> None:
    """A file that claims to be a zip archive is tried; one that claims nothing must begin like one.

    Raises:
        Refused: 415.
    """
    kind = _kind(archive)
    named = kind in ZIP_TYPES or (kind in UNTYPED and (archive.filename or "").lower().endswith(".zip"))
    if not named and not (kind in UNTYPED and looks_like_zip(head)):
        raise Refused(415, f"expected a zip archive, got a file of type {kind or 'none'}")


def _kind(file: UploadFile) -> str:
    return (file.content_type or "").partition(";")[0].strip().lower()


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Refused(504, f"expected an answer within {seconds:g} s, got none") from error
