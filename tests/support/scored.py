"""Scored pictures with given scores."""

from __future__ import annotations

from pathlib import Path

from cetacean_evaluation.figures import Scored
from cetacean_evaluation.manifest import Picture
from cetacean_inference.types import Candidate, Scores

SURE = (("a", "orca", 0.9), ("b", "orca", 0.06), ("c", "beluga", 0.04))
UNSURE = (("a", "orca", 0.04), ("b", "beluga", 0.03))


def scored(
    score: float,
    species: str | None = None,
    individual: str | None = None,
    *,
    ranking: tuple[tuple[str, str, float], ...] = SURE,
    latency_ms: float = 10.0,
) -> Scored:
    """Return a picture with the gate's `score`; it shows a cetacean if it has a species."""
    picture = Picture(Path("a.jpg"), cetacean=species is not None, individual_id=individual, species=species)
    return Scored(picture, Scores(score, tuple(Candidate(*one) for one in ranking)), latency_ms)
