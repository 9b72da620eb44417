"""Counts of feedback on answers, as pods report them (`/v1/feedback-stats`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswerFeedback:
    """Answers of one model version of which clients said what is true. Whole numbers: those of pods add up exactly."""

    species_correct: int = 0
    species_wrong: int = 0
    individual_correct: int = 0
    """Of the answers to pictures of which the individual is known."""
    individual_wrong: int = 0

    @property
    def answers(self) -> int:
        """The number of answers with feedback: each says what the species is."""
        return self.species_correct + self.species_wrong

    @property
    def individuals(self) -> int:
        """Those of them that say which individual it is."""
        return self.individual_correct + self.individual_wrong

    def __add__(self, other: AnswerFeedback) -> AnswerFeedback:
        """Add the counts of another pod."""
        return AnswerFeedback(
            self.species_correct + other.species_correct,
            self.species_wrong + other.species_wrong,
            self.individual_correct + other.individual_correct,
            self.individual_wrong + other.individual_wrong,
        )


FeedbackReport = Mapping[str, AnswerFeedback]
"""One pod's counts, by the model version that answered."""
