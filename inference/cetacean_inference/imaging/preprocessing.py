"""Resizes pictures for the networks, with the same result as torchvision's transforms on PIL pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def squash(image: Image.Image, side: int) -> Pixels:
    """Resize an RGB picture to side x side, bilinear, without keeping its proportions: (side, side, 3)."""
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def crop_centre(image: Image.Image, side: int) -> Pixels:
    """Resize an RGB picture's shortest side to `side`, bicubic, and crop the centre: (side, side, 3)."""
    width, height = image.size
    # Rounded like torchvision's Resize and CenterCrop.
    if width <= height:
        wide, high = side, int(side * height / width)
    else:
        wide, high = int(side * width / height), side
    left, top = round((wide - side) / 2.0), round((high - side) / 2.0)
    resized = image if image.size == (wide, high) else image.resize((wide, high), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + side, top + side)))
