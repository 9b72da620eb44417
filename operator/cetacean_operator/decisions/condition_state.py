"""A condition before it gets its type, times and generation."""

from __future__ import annotations

from typing import Literal, NamedTuple

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionState(NamedTuple):
    """Status, reason and message of a condition."""

    status: ConditionStatus
    reason: str
    message: str
