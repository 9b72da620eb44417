"""The parts that all drawings share: outlines and their place, soft noise, water, and a camera's noise."""

from __future__ import annotations

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
    """The place of a shape of about unit size on the canvas."""

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
        placed = points * [self.squash, 1] @ np.array([[cos, sin], [-sin, cos]]) * self.scale + [self.x, self.y]
        return [(x, y) for x, y in placed.tolist()]


def curve(start: tuple[float, float], control: tuple[float, float], end: tuple[float, float]) -> FloatArray:
    """A quadratic Bézier curve, shape (40, 2)."""
    t = np.linspace(0, 1, 40)[:, None]
    points: FloatArray = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(control) + t**2 * np.array(end)
    return points


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> FloatArray:
    """An ellipse as a polygon, shape (28, 2)."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    u, v = rx * np.cos(angle), ry * np.sin(angle)
    return np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], axis=1)


def soft_noise(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int] = CANVAS) -> FloatArray:
    """Smooth noise of about -1..1, shape (height, width, 1), with `cells` values across and down."""
    coarse = Image.fromarray(rng.uniform(-1, 1, cells[::-1]).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)[..., None]


def jitter(rng: np.random.Generator, colour: Rgb, spread: float) -> Rgb:
    """A colour near another."""
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, spread, 3), 0, 255).astype(int).tolist()
    return red, green, blue


def choose(rng: np.random.Generator, colours: tuple[Rgb, ...], spread: float = 12.0) -> Rgb:
    """A colour near one of several."""
    return jitter(rng, colours[rng.integers(len(colours))], spread)


def to_image(pixels: FloatArray) -> Image.Image:
    """From an array of shape (height, width, 3), 0..255."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def gradient(top: Rgb, bottom: Rgb) -> FloatArray:
    """From one colour at the top to another at the bottom, shape of a canvas."""
    t = np.linspace(0, 1, CANVAS[1])[:, None, None]
    return np.broadcast_to(np.array(top) * (1 - t) + np.array(bottom) * t, (CANVAS[1], CANVAS[0], 3))


_SKIES: tuple[Rgb, ...] = ((120, 170, 225), (150, 165, 180), (205, 225, 240), (240, 215, 190))
_WATERS: tuple[Rgb, ...] = ((60, 115, 150), (55, 115, 120), (95, 115, 130))


def sea(rng: np.random.Generator, *, horizon: float | None = None) -> Image.Image:
    """Open water under a sky.

    Args:
        rng: draws light and swell.
        horizon: share of the height that is sky; random if None, 0 shows water only.
    """
    height = CANVAS[1]
    level = height * (rng.choice([0.0, rng.uniform(0.1, 0.45)]) if horizon is None else horizon)
    sky = gradient(choose(rng, _SKIES), choose(rng, _SKIES)) + soft_noise(rng, (6, 9)) * 10
    far = choose(rng, _WATERS)
    near = jitter(rng, (far[0] // 2, far[1] * 2 // 3, far[2] * 3 // 4), 8)
    swell = sum(soft_noise(rng, cells) * strength for cells, strength in (((6, 24), 12), ((40, 120), 14)))
    # The swell is small at the horizon.
    water = gradient(far, near) + swell * np.linspace(0.3, 1, height)[:, None, None]
    return to_image(np.where(np.arange(height)[:, None, None] < level, sky, water))


def finish(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Reduce a canvas to SIZE as a camera would: its own exposure, white balance and grain."""
    pixels = np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float64)
    pixels = (pixels - 128) * rng.uniform(0.85, 1.12) + 128 + rng.normal(0, 9)
    pixels *= 1 + rng.normal(0, 0.03, 3)
    return to_image(pixels + rng.normal(0, 3, pixels.shape))
