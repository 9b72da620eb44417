"""The part of an answer that a comparison needs, from our own answer or from the bytes of another pod."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cetacean_inference.decision import DIGITS, Detection
from cetacean_registry.errors import describe

UNIT: Final = 10**DIGITS
"""The integer that stands for 1.0: answers are rounded to 4 decimals, so sums of them are exact."""
MAX_ANSWER_BYTES: Final = 64 * 2**10
"""A whole answer without a mask has less than 2 KiB."""
MICROSECONDS: Final = 1_000_000
_TIMING: Final = re.compile(r"predict;dur=([0-9]{1,9}(?:\.[0-9]{1,6})?)")
_MAX_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one model about one picture."""

    accepted: bool
    """The gate accepts the picture."""
    species: str
    individual: str
    score: int
    """The gate's score, in units of 1/10000."""
    probability: int
    """Of the likeliest individual, in units of 1/10000; 0 if the gate rejects."""
    compute_us: int
    """Time of the networks for this picture, in microseconds."""

    def report(self) -> dict[str, Any]:
        """Return the answer as the list of disagreements has it."""
        values = asdict(self)
        del values["compute_us"]
        names = {name: values[name][:_MAX_NAME] for name in ("species", "individual")}
        return values | names | {"score": self.score / UNIT, "probability": self.probability / UNIT}


class UnreadableAnswerError(Exception):
    """The bytes that a pod sent are no answer; one line says what was expected."""


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    is_cetacean: bool
    class_animal: Annotated[str, Field(max_length=_MAX_NAME)]
    id_animal: Annotated[str, Field(max_length=_MAX_NAME)]
    probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    cetacean_score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def answer_of(detection: Detection, *, predict_seconds: float) -> Answer:
    """Return our own answer.

    Args:
        detection: what the client was answered.
        predict_seconds: time of the networks for this picture alone.
    """
    return Answer(
        accepted=detection.is_cetacean,
        species=detection.id_animal,
        individual=detection.class_animal,
        score=round(detection.cetacean_score * UNIT),
        probability=round(detection.probability * UNIT),
        compute_us=round(predict_seconds * MICROSECONDS),
    )


def read_answer(body: bytes, *, server_timing: str) -> Answer:
    """Return another pod's answer.

    Args:
        body: at most `MAX_ANSWER_BYTES`.
        server_timing: the header `Server-Timing`, see `timing_header`.

    Raises:
        UnreadableAnswerError: it is no answer of ours.
    """
    timing = _TIMING.fullmatch(server_timing)
    if timing is None:
        raise UnreadableAnswerError("expected the header Server-Timing with the time of the networks")
    try:
        parsed = _Body.model_validate_json(body)
    except ValidationError as error:
        raise UnreadableAnswerError(describe(error)[:500]) from error
    return Answer(
        accepted=parsed.is_cetacean,
        species=parsed.id_animal,
        individual=parsed.class_animal,
        score=round(parsed.cetacean_score * UNIT),
        probability=round(parsed.probability * UNIT),
        compute_us=round(float(timing[1]) * 1000),
    )


def timing_header(predict_seconds: float) -> str:
    """Return the value of `Server-Timing` (W3C): milliseconds of the networks for one picture."""
    return f"predict;dur={predict_seconds * 1000:.3f}"
