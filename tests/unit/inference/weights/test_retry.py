"""When a download is tried again, after how long, and when no more."""

from __future__ import annotations

import logging

import pytest
from tenacity import Retrying

from cetacean_inference.errors import WeightsUnreachable
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.retry import RetryableError, retrying

INITIAL, LONGEST = 2.0, 16.0


def caller(slept: list[float], *, attempts: int = 6) -> Retrying:
    settings = FetchSettings(attempts=attempts, backoff_initial_seconds=INITIAL, backoff_max_seconds=LONGEST)
    return retrying(settings).copy(sleep=slept.append)


class Server:
    """Fails so often, then answers."""

    def __init__(self, *failures: RetryableError) -> None:
        self.failures = list(failures)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def failure(name: str = "no answer", *, after: float = 0.0, advanced: bool = False) -> RetryableError:
    return RetryableError(WeightsUnreachable(name), after_seconds=after, advanced=advanced)


def test_the_pause_doubles_up_to_the_longest_with_jitter() -> None:
    slept: list[float] = []
    server = Server(*(failure() for _ in range(5)))
    assert caller(slept)(server) == "answer"
    assert server.asked == 6
    for pause, least in zip(slept, [2.0, 4.0, 8.0, 16.0, 16.0], strict=True):
        assert least <= pause <= least + INITIAL
    assert len({pause % 1 for pause in slept}) > 1


@pytest.mark.parametrize(("after", "least"), [(0.5, 2.0), (7.0, 7.0), (16.0, 16.0), (3600.0, 16.0)])
def test_the_servers_wish_counts_up_to_the_longest_pause(after: float, least: float) -> None:
    slept: list[float] = []
    assert caller(slept)(Server(failure(after=after))) == "answer"
    (pause,) = slept
    assert least <= pause <= max(least, 2 * INITIAL)


def test_the_last_failure_is_raised_after_so_many_in_a_row() -> None:
    slept: list[float] = []
    server = Server(*(failure(str(number)) for number in range(9)))
    with pytest.raises(RetryableError, match=r"^2$") as raised:
        caller(slept, attempts=3)(server)
    assert (server.asked, len(slept)) == (3, 2)
    assert str(raised.value.failure) == "2"


def test_an_attempt_that_received_bytes_begins_a_new_row() -> None:
    server = Server(failure(), failure(), failure(advanced=True), failure(), failure("last"), failure("too many"))
    with pytest.raises(RetryableError, match=r"^last$"):
        caller([], attempts=3)(server)
    assert server.asked == 5


def test_an_attempt_has_brought_nothing_and_may_be_repeated_at_once_unless_it_says_otherwise() -> None:
    error = RetryableError(WeightsUnreachable("no answer"))
    assert (str(error), error.after_seconds, error.advanced) == ("no answer", 0.0, False)


def test_any_other_error_is_not_tried_again() -> None:
    def fail() -> None:
        raise WeightsUnreachable("gone")

    slept: list[float] = []
    with pytest.raises(WeightsUnreachable, match=r"^gone$"):
        caller(slept)(fail)
    assert slept == []


def test_each_new_attempt_is_logged_with_its_reason_and_the_pause(caplog: pytest.LogCaptureFixture) -> None:
    slept: list[float] = []
    caller(slept)(Server(failure("no answer of https://x/w", after=5.0)))
    assert caplog.record_tuples == [
        (
            "cetacean_inference.weights.retry",
            logging.WARNING,
            f"no answer of https://x/w; next attempt in {slept[0]:.1f} s",
        )
    ]
