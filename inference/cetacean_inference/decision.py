"""Turns scores into the answer that clients read; pure, so that `serve`, `replay` and the evaluation decide alike."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from cetacean_inference.types import Candidate, Scores

DIGITS: Final = 4
LOW_CONFIDENCE: Final = 0.05
"""If the likeliest individual is less probable, the picture is rejected."""
UNKNOWN_SPECIES: Final = "unknown"


class RejectionReason(StrEnum):
    """The reason why a picture is not identified."""

    NOT_A_MARINE_MAMMAL = "not_a_marine_mammal"
    LOW_CONFIDENCE = "low_confidence"
    CORRUPTED_IMAGE = "corrupted_image"


class Alternative(BaseModel):
    """An individual of rank 2 to 5."""

    model_config = ConfigDict(frozen=True)

    class_animal: str = Field(description="Id of the individual.")
    id_animal: str = Field(description="Its species.")
    probability: float = Field(description="0 to 1, rounded to 4 decimals.")


class Detection(BaseModel):
    """The answer for one picture; the order of the fields is part of the contract."""

    model_config = ConfigDict(
        frozen=True,
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "image_ind": "whale.jpg",
                    "bbox": [0, 0, 1024, 768],
                    "class_animal": "1a71fbb72250",
                    "id_animal": "humpback_whale",
                    "probability": 0.8714,
                    "mask": None,
                    "is_cetacean": True,
                    "cetacean_score": 0.9731,
                    "rejected": False,
                    "rejection_reason": None,
                    "model_version": "1.0.0",
                    "candidates": [
                        {"class_animal": "0f2a9b1c33de", "id_animal": "humpback_whale", "probability": 0.0413}
                    ],
                }
            ]
        },
    )

    image_ind: str = Field(description="The file's name.")
    bbox: tuple[int, int, int, int] = Field(description="The whole picture: 0, 0, width, height, in pixels.")
    class_animal: str = Field(description="Id of the likeliest individual; empty when the gate rejects the picture.")
    id_animal: str = Field(description="Species of that individual, or `unknown`.")
    probability: float = Field(description="Probability of that individual, 0 to 1, rounded to 4 decimals.")
    mask: str | None = Field(
        None, description="If masks are enabled: the picture without its background, a PNG in base64. Else null."
    )
    is_cetacean: bool = Field(description="True if the gate accepts the picture as one of a marine mammal.")
    cetacean_score: float = Field(description="The gate's score, 0 to 1, rounded to 4 decimals.")
    rejected: bool = Field(description="True if the picture is not identified.")
    rejection_reason: RejectionReason | None = Field(None, description="Why the picture is not identified.")
    model_version: str = Field(description="Version of the model that answered.")
    candidates: tuple[Alternative, ...] = Field((), description="Ranks 2 to 5.")


def accepts(cetacean_score: float, threshold: float) -> bool:
    """Compare a score that is not rounded with the gate's threshold; 0.0 accepts every picture."""
    return cetacean_score >= threshold


def decide(scores: Scores, *, threshold: float, image_ind: str, size: tuple[int, int], model_version: str) -> Detection:
    """Apply the gate's threshold and the rule on low confidence.

    Args:
        scores: outputs of the models.
        threshold: smallest cetacean score that is accepted, 0..1.
        image_ind: the file's name.
        size: width and height in pixels.
        model_version: version of the model that scored.

    Raises:
        ValueError: a score is not finite.
    """
    ranking = scores.ranking
    if not all(math.isfinite(value) for value in (scores.cetacean_score, *(one.probability for one in ranking))):
        raise ValueError(f"{image_ind}: expected finite scores, got {scores}")
    accepted = accepts(scores.cetacean_score, threshold)
    best = ranking[0] if ranking else Candidate("", UNKNOWN_SPECIES, 0.0)
    reason = None
    if not accepted:
        reason, best, ranking = RejectionReason.NOT_A_MARINE_MAMMAL, Candidate("", UNKNOWN_SPECIES, 0.0), ()
    elif best.probability < LOW_CONFIDENCE:
        reason = RejectionReason.LOW_CONFIDENCE
    return Detection(
        image_ind=image_ind,
        bbox=(0, 0, *size),
        class_animal=best.class_animal,
        id_animal=best.id_animal,
        probability=round(best.probability, DIGITS),
        is_cetacean=accepted,
        cetacean_score=round(scores.cetacean_score, DIGITS),
        rejected=reason is not None,
        rejection_reason=reason,
        model_version=model_version,
        candidates=tuple(
            Alternative(
                class_animal=one.class_animal, id_animal=one.id_animal, probability=round(one.probability, DIGITS)
            )
            for one in ranking[1:5]
        ),
    )


def corrupted(*, image_ind: str, size: tuple[int, int], model_version: str) -> Detection:
    """Return the answer for a picture of an archive that cannot be decoded.

    Args:
        image_ind: the file's name.
        size: width and height in pixels as far as the file's header has them, else 0.
        model_version: version of the served model.
    """
    return Detection(
        image_ind=image_ind,
        bbox=(0, 0, *size),
        class_animal="",
        id_animal=UNKNOWN_SPECIES,
        probability=0.0,
        is_cetacean=False,
        cetacean_score=0.0,
        rejected=True,
        rejection_reason=RejectionReason.CORRUPTED_IMAGE,
        model_version=model_version,
    )
