"""A shown figure stays while it has hardly moved, and never lies on another side of its bound than the exact one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_operator.decisions.hysteresis import held, lasts, steady

BOUND = 95.0
# Most values lie around the bound, so that rounding may cross it.
figures = st.floats(94.8, 95.2) | st.floats(94.999999, 95.000001) | st.floats(0, 100)


@pytest.mark.parametrize(
    ("value", "raised", "expected"),
    [
        (0.9 - 0.8, False, True),
        (0.0999, False, False),
        (0.0999, True, True),
        (0.08, True, True),
        (0.0799, True, False),
        (-1.0, True, False),
    ],
)
def test_an_alarm_begins_at_its_bound_and_ends_below_four_fifths_of_it(
    value: float, raised: bool, expected: bool
) -> None:
    assert lasts(value, 0.1, raised=raised) is expected


@pytest.mark.parametrize(
    ("value", "last", "shown"),
    [
        (None, 95.0, None),
        (97.26, None, 97.3),
        (97.26, 97.2, 97.2),
        (97.31, 97.2, 97.3),
        (94.96, None, 94.96),
        (94.96, 95.0, 94.96),
        (95.04, 94.96, 95.04),
        (95.0, 94.96, 95.0),
        (95.0, None, 95.0),
        (94.99999996, None, 94.99999996),
    ],
)
def test_a_figure_moves_by_more_than_its_last_decimal_or_over_its_bound(
    value: float | None, last: float | None, shown: float | None
) -> None:
    assert steady(value, last, digits=1, bound=BOUND) == shown


def test_a_figure_on_a_bound_with_more_decimals_is_shown_in_full() -> None:
    assert steady(95.125, None, digits=1, bound=95.125) == 95.125


def test_a_figure_that_rounding_always_moves_to_its_bound_is_shown_as_it_is() -> None:
    assert steady(1e-20, None, digits=1, bound=0.0) == 1e-20


@pytest.mark.parametrize(
    ("value", "digits", "shown"), [(96.0, 0, 95.0), (97.0, 0, 97.0), (95.099, 1, 95.0), (95.11, 1, 95.1)]
)
def test_a_move_by_one_unit_of_the_last_decimal_is_noise(value: float, digits: int, shown: float) -> None:
    assert steady(value, 95.0, digits=digits) == shown


@pytest.mark.parametrize(("value", "expected"), [(0.999999999, True), (0.999999998, False)])
def test_a_billionth_below_its_bound_is_on_it(value: float, expected: bool) -> None:
    assert lasts(value, 1.0, raised=False) is expected


def test_a_figure_without_a_bound_is_rounded() -> None:
    assert steady(94.96, None, digits=1) == 95.0
    assert steady(94.96, 95.0, digits=1) == 95.0


def test_a_larger_step_is_noise_too() -> None:
    assert steady(1.04, 1.0, digits=2, step=0.05) == 1.0
    assert steady(1.06, 1.0, digits=2, step=0.05) == 1.06
    assert steady(1.06, 1.0, digits=2, step=0.2, bound=1.05) == 1.06, "it has crossed its bound"


@given(figures, st.none() | figures)
def test_the_shown_figure_is_near_the_exact_one_and_on_its_side_of_the_bound(value: float, last: float | None) -> None:
    first = steady(last, None, digits=1, bound=BOUND)
    shown = steady(value, first, digits=1, bound=BOUND)
    assert shown is not None
    assert abs(shown - value) <= 0.1 + 1e-9
    assert (shown < BOUND, shown > BOUND) == (value < BOUND, value > BOUND)
    assert steady(value, shown, digits=1, bound=BOUND) == shown


@pytest.mark.parametrize(
    ("last", "bounds", "kept"),
    [
        (None, {"above": 0.1}, False),
        (0.2, {"above": 0.1}, True),
        (0.1, {"above": 0.1}, False),
        (94.0, {"below": 95.0}, True),
        (95.0, {"below": 95.0}, False),
        (96.0, {"below": 95.0}, False),
        (1.0, {}, False),
    ],
)
def test_only_a_figure_beyond_its_bound_is_held(last: float | None, bounds: dict[str, float], kept: bool) -> None:
    assert held(last, **bounds) == (last if kept else None)
