"""The delay until the next scrape of a pod."""

from __future__ import annotations

import pytest

from cetacean_operator.api.observed import Identity
from cetacean_operator.pods.schedule import Schedule
from cetacean_operator.pods.scrape import Scrape

SILENT = Scrape(error="cannot connect")
LOADING = Scrape(identity=Identity())
SETTLED = Scrape(identity=Identity(digest="a" * 64))


def delays(schedule: Schedule, scrape: Scrape, count: int, *, ready: bool) -> list[float]:
    return [schedule.next_delay(scrape, ready=ready, interval=30.0) for _ in range(count)]


@pytest.mark.parametrize(
    ("ready", "expected"),
    [(True, [1, 4, 16, 64, 240, 240]), (False, [30, 60, 120, 240, 240])],
)
def test_a_pod_that_does_not_answer_is_scraped_less_and_less_often(ready: bool, expected: list[float]) -> None:
    schedule = Schedule()
    assert delays(schedule, SILENT, len(expected), ready=ready) == expected
    assert delays(schedule, SETTLED, 1, ready=ready) == [30.0]
    assert delays(schedule, SILENT, 1, ready=ready) == expected[:1], "an answer ends the back-off"


def test_a_ready_pod_that_has_not_named_its_weights_is_scraped_again_soon() -> None:
    schedule = Schedule()
    assert delays(schedule, LOADING, 6, ready=True) == [1, 2, 4, 8, 16, 30]
    assert delays(schedule, SETTLED, 2, ready=True) == [30.0, 30.0]
    assert delays(schedule, LOADING, 1, ready=True) == [1]


def test_a_loading_pod_is_scraped_at_its_interval() -> None:
    assert delays(Schedule(), LOADING, 2, ready=False) == [30.0, 30.0]


def test_a_restart_ends_every_back_off() -> None:
    schedule = Schedule()
    delays(schedule, SILENT, 4, ready=True)
    schedule.restart()
    assert delays(schedule, SILENT, 1, ready=True) == [1]
