"""The end of a message about figures that some pods did not give."""

from __future__ import annotations

import pytest
from support.pods import ready_pod

from cetacean_operator.decisions.silent_pods import describe_silent

PODS = [ready_pod(number, silent="refused" if number == 1 else None) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, ""),
        (1, "; no figures from 1 of 9 pods: p1 (refused)"),
        (3, "; no figures from 3 of 9 pods: p1 (refused), p2 (no answer yet), p3 (no answer yet)"),
        (4, "; no figures from 4 of 9 pods: p1 (refused), p2 (no answer yet), p3 (no answer yet) and 1 more"),
        (5, "; no figures from 5 of 9 pods: p1 (refused), p2 (no answer yet), p3 (no answer yet) and 2 more"),
    ],
)
def test_three_silent_pods_are_named_and_the_others_counted(number: int, text: str) -> None:
    assert describe_silent(PODS[:number], 9) == text
