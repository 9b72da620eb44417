"""Whether an engine computes what eager torch computes, on pictures drawn here and on the very weights that will serve.

What compiles a network may also lose precision or be plainly wrong on some processor: nothing is taken on trust.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cetacean_inference.engines.base import NetworkName, Runner, Scored
from cetacean_inference.models.preprocessing import Pixels, crop_centre, squash

BATCHES: Final = (1, 3, 8)
"""Sizes of the batches that are compared: alone, odd, and full."""
PICTURES: Final = sum(BATCHES)
SIZE: Final = (320, 240)


def pictures_of(network: NetworkName, side: int) -> Pixels:
    """The same pictures each time, as a network takes them: (N, side, side, 3)."""
    cut = crop_centre if network == "gate" else squash
    return np.stack([cut(picture, side) for picture in draw()])


def draw() -> Iterator[Image.Image]:
    """Noise, gradients, and shapes on them, each different; RGB."""
    random = np.random.default_rng(20_240_511)
    for number in range(PICTURES):
        kind = number % 3
        if kind == 0:
            noise = Image.fromarray(random.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
            # From sharp to soft: untrained and trained networks alike tell these apart.
            yield noise.filter(ImageFilter.GaussianBlur(number))
            continue
        corners = random.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        picture = Image.fromarray(corners).resize(SIZE, Image.Resampling.BILINEAR)
        if kind == 2:
            brush = ImageDraw.Draw(picture)
            for _ in range(2 + number):
                left, top, wide, high = (int(value) for value in random.integers(10, 160, 4))
                colour = tuple(int(value) for value in random.integers(0, 256, 3))
                brush.ellipse((left, top, left + wide, top + high), fill=colour)
        yield picture


def in_batches(run: Runner, pictures: Pixels) -> Scored:
    """What an engine says of all pictures, computed in batches of several sizes."""
    return np.concatenate([run(batch) for batch in np.split(pictures, np.cumsum(BATCHES)[:-1])])


def gate_disagreement(found: Scored, reference: Scored, *, allowed: float) -> str | None:
    """What keeps an engine from computing the gate, in words; None when nothing does.

    Args:
        found: the engine's cetacean scores, (N,).
        reference: eager torch's.
        allowed: largest difference of a score.
    """
    deviation = float(np.abs(found - reference).max())
    # Not `>`: NaN must not pass.
    if not deviation <= allowed:
        return f"cetacean_score: expected within {allowed:g} of torch-eager's, got {deviation:.4g} away"
    return None


def identification_disagreement(found: Scored, reference: Scored) -> str | None:
    """The same for the identification.

    Args:
        found: the engine's probabilities, (N, K).
        reference: the rows that are likeliest by eager torch, (N,).
    """
    if not np.isfinite(found).all():
        return "probability: expected finite figures, got others"
    different = int((found.argmax(axis=1) != reference).sum())
    if different:
        return f"likeliest individual: expected torch-eager's, got another for {different} of {len(found)} pictures"
    return None
