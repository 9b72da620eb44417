"""Reads the answers of pods that commands show.

A pod may send anything: whatever is not as expected is an error of that pod, and names are made printable.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cetacean_registry.errors import describe
from cetacean_registry.messages import one_line, without_controls

IDENTITY_PATH: Final = "/v1/identity"
DRIFT_PATH: Final = "/v1/drift-stats"

# Control characters could change what a terminal shows, and marks of direction what a page shows.
Name = Annotated[str, Field(max_length=256), AfterValidator(without_controls)]
_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class PodAnswer(BaseModel):
    """An answer of a pod, or a part of one; values of another type are not converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    @classmethod
    def parse(cls, path: str, content: dict[str, Any]) -> Self:
        """Read an answer.

        Args:
            path: that the pod has answered.
            content: the answer, a JSON object.

        Raises:
            ValueError: one line that says what was expected.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ValueError(f"{path}: {one_line(describe(error))}") from error


class ServedModel(PodAnswer):
    """The registry entry that a pod serves."""

    name: Name
    version: Name
    architecture: Name | None = None


class Identity(PodAnswer):
    """The answer to `IDENTITY_PATH`."""

    model: ServedModel


class DriftStats(PodAnswer):
    """The answer to `DRIFT_PATH`: the window of cetacean scores."""

    n: _Count
    score_mean: _Number | None
    baseline: _Number | None
    drop: _Number | None
    drifting: bool
    alarms_total: _Count
