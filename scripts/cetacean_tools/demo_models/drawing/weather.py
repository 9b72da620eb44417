"""The conditions that a camera network drifts into: fog, night, a lens out of focus."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from cetacean_tools.demo_models.drawing.canvas import soft_noise, to_image

WEATHERS: Final = ("fog", "night", "blur")


def weather(kind: str, image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same finished picture under one of `WEATHERS`."""
    pixels = np.asarray(image, dtype=np.float64)
    if kind == "fog":
        density = np.clip(rng.uniform(0.72, 0.88) + 0.08 * soft_noise(rng, (5, 4), image.size), 0, 0.95)
        return to_image(pixels * (1 - density) + np.array([205, 210, 214]) * density)
    if kind == "night":
        return to_image(pixels * [0.1, 0.12, 0.17] + rng.normal(6, 7, pixels.shape))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(9, 14)))
