"""When to scrape a pod next: at its interval, soon if it has not named its weights, seldom if it does not answer."""

from __future__ import annotations

from dataclasses import dataclass

from cetacean_operator.backoff import ceiling
from cetacean_operator.pods.scrape import Scrape

_FIRST_RETRY = 1.0
"""Seconds to the first repeat of a scrape that did not bring what is needed."""
_MOST_INTERVALS = 8.0
"""Intervals between two scrapes of a pod that does not answer, at most."""


@dataclass(slots=True)
class Schedule:
    """The failures of one pod in a row."""

    unanswered: int = 0
    unsettled: int = 0

    def next_delay(self, scrape: Scrape, *, ready: bool, interval: float) -> float:
        """Return the seconds from this scrape to the next one, without jitter."""
        if not scrape.answered:
            # A ready pod that does not answer is blocked from the operator, most likely for long.
            failures, self.unanswered = self.unanswered, self.unanswered + 1
            base, factor = (_FIRST_RETRY, 4.0) if ready else (interval, 2.0)
            return ceiling(failures, base=base, longest=interval * _MOST_INTERVALS, factor=factor)
        self.unanswered = 0
        # A ready pod that has not named its weights keeps the resource from being Ready: ask again soon.
        if ready and not scrape.settled:
            failures, self.unsettled = self.unsettled, self.unsettled + 1
            return ceiling(failures, base=_FIRST_RETRY, longest=interval)
        self.unsettled = 0
        return interval

    def restart(self) -> None:
        """Forget all failures: the pod has another address, or has become ready."""
        self.unanswered = self.unsettled = 0
