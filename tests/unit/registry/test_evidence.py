"""One figure and one bound: where an interval ends, and what the message says."""

from __future__ import annotations

from functools import partial

import pytest

from cetacean_registry.evidence import Measured, judge_drop, judge_minimum
from cetacean_registry.intervals import difference, pictures_more_than, quantile, wilson

drop = partial(judge_drop, serving="old", field="maxRegression", evidence="Interval")
OWN, OTHER = Measured("top-1", 0.7, 100), Measured("top-1", 0.9, 100)


def test_an_interval_that_ends_at_the_minimum_does_not_exclude_it() -> None:
    low = Measured("top-1", 0.46, 100)
    on_the_end = judge_minimum(low, wilson(0.46, 100).high, "minTop1", "Interval")
    assert (on_the_end.passed, on_the_end.conclusive) == (True, False)
    assert not judge_minimum(low, wilson(0.46, 100).high + 1e-9, "minTop1", "Interval").passed


def test_an_interval_that_ends_at_the_allowed_drop_does_not_lie_above_it() -> None:
    lowest = difference(0.9, 100, 0.7, 100).low
    on_the_end = drop(OWN, OTHER, lowest)
    assert (on_the_end.passed, on_the_end.conclusive) == (True, False)
    assert not drop(OWN, OTHER, lowest - 1e-9).passed


@pytest.mark.parametrize("z", [None, quantile(comparisons=10)], ids=["alone", "of ten"])
def test_a_drop_that_is_not_shown_names_its_interval_and_the_pictures_that_would_decide(z: float | None) -> None:
    low, high = difference(0.9, 100, 0.7, 100, z)
    assert drop(OWN, OTHER, 0.15, z=z).text == (
        "top-1 0.7000 of 100 pictures is not shown to be more than 0.1500 below old's 0.9000, 95 % interval of the "
        f"drop {low:.4f} to {high:.4f}: about {pictures_more_than(0.9, 0.7, 0.15, z)} pictures would decide (maxRegression)"
    )


def test_a_drop_hardly_larger_than_allowed_is_decided_by_no_number_of_pictures() -> None:
    assert drop(OWN, OTHER, 0.19999).text.endswith(": no number of pictures would decide (maxRegression)")


def test_a_minimum_hardly_above_the_figure_is_decided_by_no_number_of_pictures() -> None:
    text = judge_minimum(Measured("TNR", 0.0, 100), 1e-170, "minTNR", "Interval").text
    assert text.endswith("is not shown to be below 0.0000: no number of pictures would decide (minTNR)")
