"""The endpoints for feedback: what a picture really showed, compared with the answer; stateless but for counts."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cetacean_inference.http.json_body import MEDIA_TYPE, read_object
from cetacean_inference.http.schemas import FeedbackReceipt, FeedbackReport, Problem
from cetacean_inference.monitoring.feedback import Judged
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import KIB
from cetacean_registry.errors import describe
from cetacean_registry.patterns import SHA256_PATTERN

logger = logging.getLogger("cetacean_inference.feedback")

MAX_BYTES: Final = 16 * KIB
"""An answer with five individuals is a kilobyte."""
_Name = Annotated[str, Field(max_length=128)]
_STATUSES: Final = {
    400: "The client has disconnected.",
    408: "The body did not arrive in time.",
    413: f"The body is larger than {MAX_BYTES} bytes.",
    415: f"The body is not of type {MEDIA_TYPE}.",
    422: "The body is no JSON, or a field is missing or invalid.",
}


class AnswerOfModel(BaseModel):
    """The answer as the service gave it; further fields of it are ignored."""

    model_config = ConfigDict(frozen=True, protected_namespaces=(), extra="ignore")

    class_animal: _Name = Field(description="Id of the individual; empty if the answer names none.")
    id_animal: _Name = Field(description="The species; `unknown` if the answer names none.")
    model_version: str = Field(max_length=64, pattern=r"^[0-9A-Za-z._+-]+$", description="Of the model that answered.")
    image_sha256: str | None = Field(None, pattern=SHA256_PATTERN, description="Digest of the picture; only logged.")


class PictureContent(BaseModel):
    """The animal that the picture really shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_animal: str | None = Field(
        None, min_length=1, max_length=128, description="Id of the individual, if it is known."
    )
    id_animal: str = Field(
        min_length=1, max_length=128, description="The species; `unknown` if the picture shows no marine mammal."
    )


class Feedback(BaseModel):
    """One answer, and the truth about its picture."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "answer": {
                        "class_animal": "1a71fbb72250",
                        "id_animal": "humpback_whale",
                        "model_version": "1.0.0",
                    },
                    "truth": {"class_animal": "0f2a9b1c33de", "id_animal": "humpback_whale"},
                }
            ]
        },
    )

    answer: AnswerOfModel
    truth: PictureContent

    def judged(self) -> Judged:
        """Compare the answer with the truth; names must be equal."""
        answer, truth = self.answer, self.truth
        return Judged(
            model_version=answer.model_version,
            species=truth.id_animal,
            species_correct=answer.id_animal == truth.id_animal,
            individual_correct=None if truth.class_animal is None else answer.class_animal == truth.class_animal,
        )


def feedback_router(service: Service) -> APIRouter:
    """Return the router."""
    router = APIRouter(tags=["feedback"])
    counts, http = service.feedback, service.settings.http

    @router.post(
        "/v1/feedback",
        response_model=FeedbackReceipt,
        responses={status: {"model": Problem, "description": text} for status, text in _STATUSES.items()},
        openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": _schema()}}}},
    )
    async def give_feedback(request: Request) -> dict[str, Any]:
        """Say what a picture showed. It counts for the version in the answer, also if another one serves now.

        Nothing is stored but counts and a line of the log. The same feedback sent twice counts twice.
        """
        given = await read_object(
            request, fields="answer and truth", limit=MAX_BYTES, seconds=http.upload_timeout_seconds
        )
        try:
            feedback = Feedback.model_validate(given)
        except ValidationError as error:
            raise RequestRejected(422, describe(error)) from error
        judged = feedback.judged()
        counts.count(judged)
        outcome = {"species_correct": judged.species_correct, "individual_correct": judged.individual_correct}
        logger.info(
            "feedback",
            extra={
                "image_sha256": feedback.answer.image_sha256,
                "answer": feedback.answer.model_dump(exclude={"image_sha256"}),
                "truth": feedback.truth.model_dump(),
                **outcome,
            },
        )
        return {"model_version": judged.model_version, "species": judged.species, **outcome}

    @router.get("/v1/feedback-stats", response_model=FeedbackReport)
    async def feedback_stats() -> dict[str, Any]:
        """How often answers were right, by the version that answered: counts, which add up over pods."""
        return counts.report()

    return router


def _schema() -> dict[str, Any]:
    """Return the schema of the body, in one piece: the references of its parts would lead nowhere in OpenAPI."""
    schema = Feedback.model_json_schema()
    parts = schema.pop("$defs")
    for field in schema["properties"].values():
        field.update(parts[field.pop("$ref").rpartition("/")[2]])
    return schema
