"""Live accuracy: how often answers were right, by the feedback of clients, over all pods together.

Pods keep their counts in memory. A pod that is gone takes its counts with it, so the figures are about the feedback
that the present pods have received, whichever model they serve. Nothing is decided by them: clients choose the answers
that they give feedback on, so the figures can be far from the accuracy over all pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cetacean_operator.api.feedback import AnswerFeedback
from cetacean_operator.api.observed import Pod
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import MOST_FEEDBACK_VERSIONS, FeedbackStatus, LiveAccuracy
from cetacean_registry.intervals import wilson

_DIGITS = 3


def live_accuracy(pods: Iterable[Pod], models: Sequence[Model]) -> tuple[FeedbackStatus, ...]:
    """Return the accuracy of each model version that has feedback: those of the registry, then those with the most.

    Args:
        pods: whatever they serve.
        models: the registry.
    """
    pooled: dict[str, AnswerFeedback] = {}
    for pod in pods:
        for version, counts in pod.feedback.items():
            pooled[version] = pooled.get(version, AnswerFeedback()) + counts
    numbers = Counter(model.version for model in models)
    names = {model.version: model.name for model in models if numbers[model.version] == 1}
    found = [(version, counts) for version, counts in pooled.items() if counts.answers]
    found.sort(key=lambda one: (one[0] not in numbers, -one[1].answers, one[0]))
    return tuple(
        FeedbackStatus(
            version=version,
            model=names.get(version),
            species=_accuracy(counts.species_correct, counts.answers),
            individual=_accuracy(counts.individual_correct, counts.individuals) if counts.individuals else None,
        )
        for version, counts in found[:MOST_FEEDBACK_VERSIONS]
    )


def _accuracy(correct: int, samples: int) -> LiveAccuracy:
    share = correct / samples
    interval = wilson(share, samples)
    return LiveAccuracy(
        samples=samples,
        correct=correct,
        accuracy=round(share, _DIGITS),
        low=round(interval.low, _DIGITS),
        high=round(interval.high, _DIGITS),
    )
