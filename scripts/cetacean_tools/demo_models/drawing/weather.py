"""What a camera network drifts into: fog, night, a lens out of focus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from cetacean_tools.demo_models.drawing.canvas import soft_noise, to_image

Weather = Literal["fog", "night", "blur"]


def _fog(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64)
    density = np.clip(rng.uniform(0.72, 0.88) + 0.08 * soft_noise(rng, image.size, (5, 4)), 0, 0.95)[..., None]
    veil = np.asarray([205.0, 210.0, 214.0]) + rng.normal(0, 6)
    return to_image(pixels * (1 - density) + veil * density)


def _night(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64) * np.asarray([0.1, 0.12, 0.17]) * rng.uniform(0.7, 1.2)
    return to_image(pixels + rng.normal(6, 7, pixels.shape))


def _blur(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(9, 14)))


_EFFECTS: dict[Weather, Callable[[np.random.Generator, Image.Image], Image.Image]] = {
    "fog": _fog,
    "night": _night,
    "blur": _blur,
}
WEATHERS: tuple[Weather, ...] = tuple(_EFFECTS)


def weather(kind: Weather, image: Image.Image, seed: int, number: int) -> Image.Image:
    """The same scene under worse conditions."""
    return _EFFECTS[kind](np.random.default_rng([seed, 4, WEATHERS.index(kind), number]), image)
