"""What all drawings share: size, placing shapes, soft noise, seas and skies, a camera's last touch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

FloatArray = npt.NDArray[np.float64]
Rgb = tuple[int, int, int]

SIZE = (192, 144)
"""Width and height of a finished picture, pixels."""
SUPERSAMPLING = 2
CANVAS = (SIZE[0] * SUPERSAMPLING, SIZE[1] * SUPERSAMPLING)
"""Width and height while drawing: shapes have hard edges, the reduction to SIZE smooths them."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a shape of about unit size lies on the canvas."""

    x: float
    """Of the shape's origin, canvas pixels."""
    y: float
    scale: float
    """Canvas pixels per unit."""
    turn: float = 0.0
    """Radians, clockwise."""
    squash: float = 1.0
    """Foreshortening along the shape's own x axis; negative mirrors."""

    def place(self, points: FloatArray) -> list[tuple[float, float]]:
        """Map points of shape (n, 2) to canvas pixels."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        x, y = points[:, 0] * self.squash, points[:, 1]
        return list(
            zip(
                (self.x + self.scale * (x * cos - y * sin)).tolist(),
                (self.y + self.scale * (x * sin + y * cos)).tolist(),
                strict=True,
            )
        )


def bezier(*controls: tuple[float, float], points: int = 24) -> FloatArray:
    """A Bézier curve of any order, shape (points, 2)."""
    t = np.linspace(0.0, 1.0, points)[:, None]
    layers = [np.broadcast_to(np.asarray(control, dtype=np.float64), (points, 2)) for control in controls]
    while len(layers) > 1:
        layers = [(1 - t) * a + t * b for a, b in itertools.pairwise(layers)]
    return layers[0]


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> FloatArray:
    """An ellipse as a polygon, shape (28, 2)."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    u, v = rx * np.cos(angle), ry * np.sin(angle)
    return np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], axis=1)


def soft_noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> FloatArray:
    """Smooth noise of about -1..1, shape (height, width), with about `cells` bumps across and down."""
    coarse = rng.uniform(-1, 1, (max(2, cells[1]), max(2, cells[0]))).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.float64)


def jitter(rng: np.random.Generator, colour: Rgb | FloatArray, spread: float) -> Rgb:
    """A colour near another."""
    values = np.clip(np.asarray(colour) + rng.normal(0, spread, 3), 0, 255).astype(int)
    return int(values[0]), int(values[1]), int(values[2])


def to_image(pixels: FloatArray) -> Image.Image:
    """From an array of shape (height, width, 3), 0..255."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


_SKIES: tuple[tuple[Rgb, Rgb], ...] = (
    ((120, 170, 225), (205, 225, 240)),
    ((150, 165, 180), (205, 210, 215)),
    ((95, 140, 205), (240, 215, 190)),
    ((175, 200, 225), (230, 235, 235)),
)
_WATERS: tuple[tuple[Rgb, Rgb], ...] = (
    ((95, 150, 180), (25, 75, 115)),
    ((90, 150, 150), (20, 85, 90)),
    ((130, 150, 165), (60, 80, 100)),
    ((110, 140, 185), (30, 60, 120)),
    ((120, 160, 160), (45, 100, 105)),
)


def gradient(size: tuple[int, int], top: Rgb, bottom: Rgb) -> FloatArray:
    """A vertical gradient, shape (height, width, 3)."""
    t = np.linspace(0, 1, size[1])[:, None, None]
    return np.broadcast_to(np.asarray(top) * (1 - t) + np.asarray(bottom) * t, (size[1], size[0], 3)).copy()


def sea(rng: np.random.Generator, *, horizon: float | None = None) -> Image.Image:
    """Open water under a sky.

    Args:
        rng: draws light, swell and glitter.
        horizon: share of the height that is sky; random when None, 0 shows water only.
    """
    width, height = CANVAS
    level = round(height * (rng.choice([0.0, rng.uniform(0.1, 0.45)]) if horizon is None else horizon))
    pixels = np.empty((height, width, 3))
    if level:
        top, bottom = _SKIES[rng.integers(len(_SKIES))]
        clouds = soft_noise(rng, (width, level), (6, 4)) * rng.uniform(0, 18)
        pixels[:level] = gradient((width, level), jitter(rng, top, 8), jitter(rng, bottom, 8)) + clouds[..., None]
    far, near = _WATERS[rng.integers(len(_WATERS))]
    depth = height - level
    pixels[level:] = gradient((width, depth), jitter(rng, far, 10), jitter(rng, near, 10))
    # Waves are wide near the camera and fine at the horizon.
    swell = np.zeros((depth, width))
    for cells, height_of in (((5, 14), 13), ((14, 36), 11), ((40, 90), 8)):
        swell += soft_noise(rng, (width, depth), cells) * height_of
    nearness = np.linspace(0.35, 1.0, depth)[:, None]
    pixels[level:] += (swell * nearness * rng.uniform(0.5, 1.3))[..., None]
    glitter = (soft_noise(rng, (width, depth), (90, 110)) > rng.uniform(0.75, 0.95)) * rng.uniform(10, 55)
    pixels[level:] += (glitter * nearness)[..., None]
    return to_image(pixels)


def finish(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Reduce a canvas to SIZE as a camera would: its own exposure, white balance and grain."""
    pixels = np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float64)
    pixels = (pixels - 128) * rng.uniform(0.85, 1.12) + 128 + rng.normal(0, 9)
    pixels *= 1 + rng.normal(0, 0.03, 3)
    pixels += rng.normal(0, rng.uniform(1, 5), pixels.shape)
    return to_image(pixels)
