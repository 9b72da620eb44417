"""Resizes pictures for the networks, with the same result as torchvision's transforms on PIL pictures.

Imports neither numpy nor the settings: the decoder's processes must start fast.
"""

from __future__ import annotations

from functools import partial

from PIL import Image

from cetacean_inference.types import Resize

_bilinear = partial(Image.Image.resize, resample=Image.Resampling.BILINEAR)
_bicubic = partial(Image.Image.resize, resample=Image.Resampling.BICUBIC)


def resize(image: Image.Image, how: Resize) -> Image.Image:
    """Return the RGB picture as a network takes it; `image` itself if nothing is to be done."""
    if how.method == "squash":
        return squash(image, how.side)
    if how.method == "crop_centre":
        return crop_centre(image, how.side)
    return image


def squash(image: Image.Image, side: int) -> Image.Image:
    """Resize to side x side, bilinear, without keeping the proportions."""
    return _bilinear(image, (side, side))


def crop_centre(image: Image.Image, side: int) -> Image.Image:
    """Resize the shortest side to `side`, bicubic, and crop the centre."""
    width, height = image.size
    # Rounded like torchvision's Resize and CenterCrop.
    wide, high = max(side, int(side * width / height)), max(side, int(side * height / width))
    left, top = round((wide - side) / 2.0), round((high - side) / 2.0)
    resized = _bicubic(image, (wide, high))
    return resized.crop((left, top, left + side, top + side))
