"""The comparison of an engine with eager torch: its pictures, its batches, and when two results agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cetacean_inference.engines.agreement import (
    BATCHES,
    PICTURES,
    SIZE,
    comparison_inputs,
    draw_pictures,
    gate_disagreement,
    identification_disagreement,
    run_in_batches,
)
from cetacean_inference.engines.base import Outputs
from cetacean_inference.imaging.preprocessing import Pixels, crop_centre, squash

MEAN_COLOURS = [
    (127.6, 127.5, 127.0), (86.3, 177.0, 143.3), (136.7, 93.3, 143.2),
    (127.3, 127.3, 127.7), (179.8, 61.5, 100.3), (176.0, 150.6, 70.8),
    (127.6, 127.5, 127.3), (102.0, 115.5, 116.3), (206.1, 112.1, 104.4),
    (127.7, 127.8, 127.4), (83.5, 91.0, 102.3), (91.8, 128.7, 134.8),
]  # fmt: skip
DEVIATIONS = [73.9, 51.0, 58.6, 7.0, 65.3, 70.0, 3.6, 60.8, 69.6, 2.6, 43.5, 62.4]


def test_the_bounds_were_measured_on_these_pictures() -> None:
    pictures = [np.asarray(picture, dtype=np.float64) for picture in draw_pictures()]
    assert {picture.shape for picture in pictures} == {(SIZE[1], SIZE[0], 3)}
    for picture, colour, deviation in zip(pictures, MEAN_COLOURS, DEVIATIONS, strict=True):
        # Pillow rounds a little differently from one processor to another.
        assert picture.mean((0, 1)) == pytest.approx(colour, abs=0.2)
        assert picture.std() == pytest.approx(deviation, abs=0.2)


def test_the_inputs_are_resized_as_each_network_takes_them() -> None:
    first = next(draw_pictures())
    gate, identification = comparison_inputs("gate", 32), comparison_inputs("identification", 48, pictures=2)
    assert (gate.shape, identification.shape) == ((PICTURES, 32, 32, 3), (2, 48, 48, 3))
    assert np.array_equal(gate[0], np.asarray(crop_centre(first, 32)))
    assert np.array_equal(identification[0], np.asarray(squash(first, 48)))


def test_the_pictures_are_computed_in_batches_and_returned_in_their_order() -> None:
    sizes: list[int] = []

    def run(batch: Pixels) -> Outputs:
        sizes.append(len(batch))
        return batch.astype(np.float32)

    pictures = np.arange(PICTURES, dtype=np.uint8)
    assert np.array_equal(run_in_batches(run, pictures), pictures)
    assert run_in_batches(run, pictures[:3], batches=(2, 1)).tolist() == [0.0, 1.0, 2.0]
    assert sizes == [*BATCHES, 2, 1]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([0.5, 0.25], None),
        ([0.5, 0.375], None),
        ([0.625, 0.25], None),
        ([0.5, 0.5], "cetacean_score: expected within 0.125 of torch-eager's, got 0.25 away"),
        ([0.25, 0.25], "cetacean_score: expected within 0.125 of torch-eager's, got 0.25 away"),
        ([0.5, math.nan], "cetacean_score: expected within 0.125 of torch-eager's, got nan away"),
    ],
)
def test_the_gate_agrees_within_the_largest_difference(found: list[float], message: str | None) -> None:
    assert gate_disagreement(np.array(found), np.array([0.5, 0.25]), allowed=0.125) == message


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([[0.75, 0.25], [0.25, 0.75]], None),
        ([[0.875, 0.25], [0.25, 0.75]], None),
        ([[0.75, 0.5], [0.25, 0.75]], "probability: expected within 0.125 of torch-eager's, got 0.25 away"),
        ([[0.5, 0.25], [0.25, 0.75]], "probability: expected within 0.125 of torch-eager's, got 0.25 away"),
        (
            [[0.25, 0.75], [0.25, 0.75]],
            "likeliest individual: expected torch-eager's, got another for 1 of 2 pictures",
        ),
        (
            [[0.25, 0.75], [0.75, 0.25]],
            "likeliest individual: expected torch-eager's, got another for 2 of 2 pictures",
        ),
        ([[0.75, math.nan], [0.25, 0.75]], "probability: expected finite values, got others"),
        ([[0.75, 0.25], [0.25, math.inf]], "probability: expected finite values, got others"),
    ],
)
def test_the_identification_agrees_in_the_likeliest_and_in_probabilities(
    found: list[list[float]], message: str | None
) -> None:
    reference = np.array([[0.75, 0.25], [0.25, 0.75]])
    assert identification_disagreement(np.array(found), reference, allowed=0.125) == message
