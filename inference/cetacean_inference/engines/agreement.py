"""Whether an engine computes what eager torch computes, on pictures drawn here and on the very weights that will serve.

What compiles a network may also lose precision or be plainly wrong on some processor: nothing is taken on trust.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cetacean_inference.engines.base import Networks, Runner, Runners, Scored
from cetacean_inference.models.preprocessing import Pixels, crop_centre, squash

BATCHES: Final = (1, 3, 8)
"""Sizes of the batches that are compared: alone, odd, and full."""
PICTURES: Final = sum(BATCHES)
SIZE: Final = (320, 240)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The pictures as both networks take them."""

    gate: Pixels
    identification: Pixels


@dataclass(frozen=True, slots=True)
class Figures:
    """What an engine says of the pictures."""

    scores: Scored
    """Cetacean scores, (N,)."""
    best: np.ndarray[tuple[int], np.dtype[np.intp]]
    """Row of the likeliest individual, (N,)."""
    likeliest: Scored
    """Its probability, (N,)."""


def calibration(networks: Networks) -> Calibration:
    """The same pictures each time, in the sizes of these networks."""
    drawn = list(draw())
    return Calibration(
        gate=np.stack([crop_centre(picture, networks.gate_side) for picture in drawn]),
        identification=np.stack([squash(picture, networks.identification_side) for picture in drawn]),
    )


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


def figures(runners: Runners, pictures: Calibration) -> Figures:
    """Compute all pictures, in batches of several sizes."""
    scores = _in_batches(runners.gate, pictures.gate)
    probabilities = _in_batches(runners.identification, pictures.identification)
    return Figures(scores=scores, best=probabilities.argmax(axis=1), likeliest=probabilities.max(axis=1))


def disagreement(found: Figures, reference: Figures, *, allowed: float) -> str | None:
    """What keeps an engine from serving, in words; None when nothing does.

    Args:
        found: what the engine says.
        reference: what eager torch says.
        allowed: largest difference of a cetacean score.
    """
    # NaN compares as false, and must not pass.
    deviation = float(np.abs(found.scores - reference.scores).max())
    if not deviation <= allowed:
        return f"cetacean_score: expected within {allowed:g} of torch-eager's, got {deviation:.4g} away"
    if not np.isfinite(found.likeliest).all():
        return "probability: expected finite figures, got others"
    different = int((found.best != reference.best).sum())
    if different:
        return (
            f"likeliest individual: expected torch-eager's, got another for {different} of {len(found.best)} pictures"
        )
    return None


def _in_batches(run: Runner, pixels: Pixels) -> Scored:
    ends = np.cumsum(BATCHES)
    return np.concatenate([run(batch) for batch in np.split(pixels, ends[:-1])])
