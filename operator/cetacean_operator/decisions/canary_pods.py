"""The share of requests that whole pods give to a candidate, if there is no route with weights."""

from __future__ import annotations

import itertools
from typing import Final

from cetacean_operator.api.spec import Spec
from cetacean_operator.api.stages import Canary, Stage

_SHOWN: Final = 5


def candidate_replicas(spec: Spec, stage: Stage) -> int:
    """Return the number of candidate pods that a stage needs.

    Those of `spec.rollout.candidate`, unless pods alone give the share; also if they cannot.
    """
    given = spec.rollout.candidate.replicas if spec.rollout else 1
    if stage.canary is None or spec.serving.route:
        return given
    return pods_for(stage.canary.weight, spec.serving.replicas) or given


def pods_for(weight: int, replicas: int) -> int | None:
    """Return how many candidate pods beside `replicas` others get `weight` percent, to the nearest whole percent.

    Args:
        weight: 1 to 99.
        replicas: any number; beside none no weight is possible.

    Returns:
        None if no number of pods does.
    """
    # The weight rises with the number of pods: only the numbers beside the exact one can round to it.
    exact = weight * replicas // (100 - weight)
    return next((number for number in (exact, exact + 1) if number and _weight(number, replicas) == weight), None)


def impossible_canary(spec: Spec, canary: Canary) -> str | None:
    """Return why whole pods cannot give the share of a canary, with the numbers; None if they can."""
    weight, replicas = canary.weight, spec.serving.replicas
    if spec.serving.route:
        return None  # the route gives any share
    if spec.serving.autoscaling:
        return (
            f"a canary of {weight} % needs a fixed number of pods, and spec.serving.autoscaling changes it: "
            "expected no autoscaling, or no canary"
        )
    if pods_for(weight, replicas) is not None:
        return None
    if not replicas:
        return f"a canary of {weight} % needs pods that serve: expected spec.serving.replicas of 1 or more, got 0"
    possible = ", ".join(str(_weight(number, replicas)) for number in range(1, _SHOWN + 1))
    # Beside 100 - weight replicas as many pods as the weight always do.
    fewest = next(number for number in itertools.count() if pods_for(weight, number))
    return (
        f"{replicas} pods cannot give a candidate {weight} %: expected a weight of {possible} or more, or a weight of "
        f"{weight} with {fewest} replicas"
    )


def _weight(number: int, replicas: int) -> int:
    total = number + replicas
    return (200 * number + total) // (2 * total)
