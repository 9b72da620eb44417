"""Pictures as arrays, resized for the networks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from cetacean_inference.imaging import resizing

Pixels = npt.NDArray[np.uint8]


def squash(image: Image.Image, side: int) -> Pixels:
    """Resize an RGB picture to side x side, bilinear, without keeping its proportions: (side, side, 3)."""
    return np.asarray(resizing.squash(image, side))


def crop_centre(image: Image.Image, side: int) -> Pixels:
    """Resize an RGB picture's shortest side to `side`, bicubic, and crop the centre: (side, side, 3)."""
    return np.asarray(resizing.crop_centre(image, side))
