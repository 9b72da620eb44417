"""Parse `/v1/feedback-stats`: counts that contradict each other are an error, so that no figure rests on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cetacean_operator.api.feedback import AnswerFeedback, FeedbackReport
from cetacean_operator.pods.counts import whole
from cetacean_operator.pods.pod_responses import BadAnswerError, parse_json, text

PATH: Final = "/v1/feedback-stats"
LARGEST_BODY: Final = 512 * 1024
"""Bytes: the counts are few, but a pod also lists each of 17 versions with up to 65 species."""
_MOST_VERSIONS: Final = 17
LARGEST_COUNT: Final = 10**12
"""The status holds 64-bit integers: those of any number of pods fit."""
_OTHER: Final = "other"
"""What a pod counts beyond its bound on versions: of no version, and therefore of no use here."""
_COUNTS: Final = ("species_correct", "species_wrong", "individual_correct", "individual_wrong")


def parse_feedback_stats(body: bytes) -> FeedbackReport:
    """Read the counts of a pod.

    Raises:
        BadAnswerError: it is no JSON object, or its counts are impossible.
    """
    listed = parse_json(PATH, body, largest=LARGEST_BODY).get("models")
    if not isinstance(listed, list) or len(listed) > _MOST_VERSIONS:
        raise BadAnswerError(f"{PATH}: expected a list models of at most {_MOST_VERSIONS} versions")
    result: dict[str, AnswerFeedback] = {}
    for one in listed:
        version = text(one.get("model_version")) if isinstance(one, Mapping) else None
        if version is None or version in result:
            raise BadAnswerError(f"{PATH}: expected a model_version, each once")
        counts = AnswerFeedback(*(_count(one, name) for name in _COUNTS))
        if counts.individuals > counts.answers:
            raise BadAnswerError(
                f"{PATH}: expected at most {counts.answers} answers of known individuals, got {counts.individuals}"
            )
        result[version] = counts
    result.pop(_OTHER, None)
    return result


def _count(found: Mapping[str, Any], name: str) -> int:
    value = whole(found.get(name), largest=LARGEST_COUNT)
    if value is None:
        raise BadAnswerError(f"{PATH}: expected a count {name} from 0 to {LARGEST_COUNT}")
    return value
