"""Compares an engine with eager torch, on generated pictures and with the weights that will serve.

A compiled network may lose precision or be wrong on some processor, so every engine is checked at every start: with all
pictures until it has agreed on this kind of processor, then with the first few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cetacean_inference.engines.base import Outputs, Runner
from cetacean_inference.imaging.preprocessing import Pixels, crop_centre, squash
from cetacean_inference.types import NetworkName

BATCHES: Final = (1, 3, 8)
"""Sizes of the batches that are compared: one, odd, and full."""
FEW_BATCHES: Final = BATCHES[:2]
"""Those for an engine that has agreed before, on this kind of processor and with the same files."""
PICTURES: Final = sum(BATCHES)
SIZE: Final = (320, 240)
SCORE_FACTOR: Final = 4.0
"""How many times larger the deviation of a cetacean score may be on other pictures; 3.2 was measured."""
PROBABILITY_FACTOR: Final = 8.0
"""The same for probabilities; 6.2 was measured (docs/decisions/0013-bounds-from-trained-weights.md)."""


def comparison_inputs(network: NetworkName, side: int, *, pictures: int = PICTURES) -> Pixels:
    """Return the first pictures, the same each time, resized for a network: (N, side, side, 3)."""
    resize = crop_centre if network == "gate" else squash
    return np.stack([resize(picture, side) for picture in islice(draw_pictures(), pictures)])


def draw_pictures() -> Iterator[Image.Image]:
    """Draw noise, gradients and shapes on gradients, each different; RGB."""
    random = np.random.default_rng(20_240_511)
    for number in range(PICTURES):
        kind = number % 3
        if kind == 0:
            noise = Image.fromarray(random.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
            # From sharp to soft: both untrained and trained networks score these differently.
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


def run_in_batches(run: Runner, pictures: Pixels, batches: Sequence[int] = BATCHES) -> Outputs:
    """Compute all pictures in batches of several sizes."""
    return np.concatenate([run(batch) for batch in np.split(pictures, np.cumsum(batches)[:-1])])


def gate_disagreement(found: Outputs, reference: Outputs, *, allowed: float) -> str | None:
    """Return why an engine must not compute the gate; None if it agrees.

    Args:
        found: the engine's cetacean scores, (N,).
        reference: eager torch's.
        allowed: largest difference of a score.
    """
    deviation = float(np.abs(found - reference).max())
    # Written so that NaN does not pass.
    if not deviation <= allowed:
        return f"cetacean_score: expected within {allowed:g} of torch-eager's, got {deviation:.4g} away"
    return None


def identification_disagreement(found: Outputs, reference: Outputs, *, allowed: float) -> str | None:
    """Return why an engine must not compute the identification; None if it agrees.

    Args:
        found: the engine's probabilities, (N, K).
        reference: eager torch's.
        allowed: largest difference of a probability.
    """
    if not np.isfinite(found).all():
        return "probability: expected finite values, got others"
    different = int((found.argmax(axis=1) != reference.argmax(axis=1)).sum())
    if different:
        return f"likeliest individual: expected torch-eager's, got another for {different} of {len(found)} pictures"
    deviation = float(np.abs(found - reference).max())
    if not deviation <= allowed:
        return f"probability: expected within {allowed:g} of torch-eager's, got {deviation:.4g} away"
    return None
