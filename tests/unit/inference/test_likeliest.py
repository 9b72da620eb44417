"""The likeliest rows are those that sorting all of them gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cetacean_inference.likeliest import likeliest


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 1.0]), min_size=1, max_size=12), st.integers(1, 14))
def test_they_are_the_first_of_all_in_a_stable_order(values: list[float], number: int) -> None:
    probabilities = np.array(values, dtype=np.float32)
    expected = sorted(range(len(values)), key=lambda row: -values[row])[:number]
    assert likeliest(probabilities, number).tolist() == expected


def test_they_are_found_among_thousands() -> None:
    probabilities = np.random.default_rng(0).permutation(np.linspace(0.0, 1.0, 15_587, dtype=np.float32))
    assert np.array_equal(likeliest(probabilities, 5), np.argsort(-probabilities, kind="stable")[:5])


def test_equal_ones_are_returned_by_their_rows() -> None:
    probabilities = np.array([0.1, 0.3, 0.1, 0.3, 0.2, 0.1], dtype=np.float32)
    assert likeliest(probabilities, 4).tolist() == [1, 3, 4, 0]
