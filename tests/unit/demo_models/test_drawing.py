"""Drawings: the same integers give the same picture, other integers another one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cetacean_tools.demo_models.drawing import (
    SCENES,
    SPECIES,
    WEATHERS,
    draw_cetacean,
    draw_scene,
    individuals,
    weather,
)
from cetacean_tools.demo_models.drawing.canvas import SIZE

SEEDS = st.integers(0, 2**31 - 1)


def pixels(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.asarray(image, dtype=np.float64)


def edges(image: Image.Image) -> float:
    """How much neighbouring pixels differ."""
    return float(np.abs(np.diff(pixels(image).mean(axis=2), axis=1)).mean())


@settings(max_examples=8)
@given(seed=SEEDS, number=st.integers(0, 10**6), species=st.integers(0, 5))
def test_a_cetacean_is_drawn_alike_each_time_and_has_the_agreed_size(seed: int, number: int, species: int) -> None:
    individual = individuals(seed, 1)[species]
    once, again = (draw_cetacean(individual, seed, number) for _ in range(2))
    assert once.tobytes() == again.tobytes()
    assert (once.size, once.mode) == (SIZE, "RGB")
    assert draw_cetacean(individual, seed, number + 1).tobytes() != once.tobytes()


@pytest.mark.parametrize("name", SCENES)
def test_each_scene_is_drawn_alike_each_time_and_varies_with_its_number(name: str) -> None:
    once, again, next_one = draw_scene(name, 7, 3), draw_scene(name, 7, 3), draw_scene(name, 7, 4)
    assert once.tobytes() == again.tobytes()
    assert once.tobytes() != next_one.tobytes()
    assert (once.size, once.mode) == (SIZE, "RGB")


def test_a_larger_catalogue_begins_with_the_same_animals() -> None:
    few, many = individuals(5, 2), individuals(5, 4)
    for species in SPECIES:
        of_few, of_many = ([one for one in catalogue if one.species == species] for catalogue in (few, many))
        assert [one.identifier for one in of_few] == [one.identifier for one in of_many][:2]
        for one, same in zip(of_few, of_many, strict=False):
            assert (one.outline == same.outline).all()
            assert draw_cetacean(one, 5, 0).tobytes() == draw_cetacean(same, 5, 0).tobytes()


@settings(max_examples=10)
@given(seed=SEEDS)
def test_animals_have_names_of_their_own_and_bodies_that_fit_the_picture(seed: int) -> None:
    catalogue = individuals(seed, 4)
    assert len({one.identifier for one in catalogue}) == len(catalogue) == 4 * len(SPECIES)
    for one in catalogue:
        assert len(one.identifier) == 12
        assert np.isfinite(one.outline).all()
        # Drawn at 0.27 to 0.38 of the width per unit, around the middle third: 1.6 units stay near the picture.
        assert np.abs(one.outline).max() < 1.6
        assert all(0 <= channel <= 255 for _, colour in one.marks for channel in colour)


def test_two_animals_of_a_species_have_different_outlines() -> None:
    """An individual can be recognised at all because its outline is its own."""
    catalogue = [one for one in individuals(7, 3) if one.species == "humpback_whale"]
    for one, other in combinations(catalogue, 2):
        assert one.outline.shape == other.outline.shape
        assert np.abs(one.outline - other.outline).mean() > 0.01


@pytest.mark.parametrize("kind", WEATHERS)
def test_weather_is_the_same_each_time(kind: str) -> None:
    clear = draw_cetacean(individuals(7, 1)[0], 7, 0)
    once, again = (weather(kind, clear, np.random.default_rng(1)) for _ in range(2))
    assert once.tobytes() == again.tobytes()
    assert once.size == clear.size


def test_fog_takes_contrast_night_takes_light_and_blur_takes_edges() -> None:
    rng = np.random.default_rng(7)
    for number, one in enumerate(individuals(7, 1)):
        clear = draw_cetacean(one, 7, number)
        assert pixels(weather("fog", clear, rng)).std() < 0.6 * pixels(clear).std()
        assert pixels(weather("night", clear, rng)).mean() < 0.35 * pixels(clear).mean()
        assert edges(weather("blur", clear, rng)) < 0.3 * edges(clear)
