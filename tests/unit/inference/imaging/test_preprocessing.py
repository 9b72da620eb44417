"""Resizing gives the same pixels as torchvision's transforms."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from cetacean_inference.imaging.preprocessing import crop_centre, squash

SIZES = [(120, 80), (80, 121), (33, 500), (32, 32), (700, 501)]


def noise(size: tuple[int, int]) -> Image.Image:
    values = np.random.default_rng(sum(size)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("size", SIZES)
def test_squash_is_torchvisions_bilinear_resize(size: tuple[int, int]) -> None:
    expected = Resize((64, 64), InterpolationMode.BILINEAR)(noise(size))
    assert np.array_equal(squash(noise(size), 64), np.asarray(expected))


@pytest.mark.parametrize("size", SIZES)
def test_crop_centre_is_torchvisions_bicubic_resize_and_crop(size: tuple[int, int]) -> None:
    expected = CenterCrop(64)(Resize(64, InterpolationMode.BICUBIC)(noise(size)))
    assert np.array_equal(crop_centre(noise(size), 64), np.asarray(expected))
