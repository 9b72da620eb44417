"""The retry rule of downloads: exponential back-off with jitter, or the server's `Retry-After` up to the maximum."""

from __future__ import annotations

import logging

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential, wait_random

from cetacean_inference.errors import WeightsTruncated, WeightsUnreachable
from cetacean_inference.settings import FetchSettings

logger = logging.getLogger(__name__)


class RetryableError(Exception):
    """A failed attempt that may succeed if repeated.

    Args:
        failure: the error to report after the last attempt.
        after_seconds: the server's `Retry-After`.
        advanced: the attempt received enough bytes that no earlier one had; it does not count as a failure.
    """

    def __init__(
        self, failure: WeightsUnreachable | WeightsTruncated, *, after_seconds: float = 0.0, advanced: bool = False
    ) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.after_seconds = after_seconds
        self.advanced = advanced


def retrying(settings: FetchSettings) -> Retrying:
    """Return a caller that repeats a function on `RetryableError`; raises the last one after `attempts` failures."""
    initial, longest = settings.backoff_initial_seconds, settings.backoff_max_seconds
    # The jitter keeps pods that failed together from retrying together.
    backoff = wait_exponential(multiplier=initial, max=longest) + wait_random(0, initial)
    return Retrying(
        retry=retry_if_exception_type(RetryableError),
        stop=_FailuresInARow(settings.attempts),
        wait=lambda state: max(backoff(state), min(_retry_after(state), longest)),
        before_sleep=_log_retry,
        reraise=True,
    )


class _FailuresInARow:
    """Stops after that many attempts without progress."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._failures = 0

    def __call__(self, state: RetryCallState) -> bool:
        error = _error(state)
        self._failures = 1 if error is not None and error.advanced else self._failures + 1
        return self._failures >= self._attempts


def _retry_after(state: RetryCallState) -> float:
    error = _error(state)
    return error.after_seconds if error is not None else 0.0


def _log_retry(state: RetryCallState) -> None:
    pause = state.next_action.sleep if state.next_action else 0.0
    logger.warning("%s; next attempt in %.1f s", _error(state), pause)


def _error(state: RetryCallState) -> RetryableError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, RetryableError) else None
