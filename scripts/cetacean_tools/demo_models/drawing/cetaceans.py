"""Whales and dolphins: six species, each individual with an outline, a shade and patches of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from cetacean_tools.demo_models.drawing.canvas import CANVAS, FloatArray, Pose, Rgb, curve, ellipse, finish, jitter, sea


@dataclass(frozen=True, slots=True)
class Individual:
    """One animal: its outline, colour and marks never change, the pictures of it do."""

    identifier: str
    """Twelve hex digits, as in the catalogues of the field."""
    species: str
    outline: FloatArray
    """Polygon in the body's coordinates, y downwards, the water line at 0; shape (n, 2)."""
    colour: Rgb
    marks: tuple[tuple[FloatArray, Rgb], ...]
    """Patches of other colours: outline of shape (28, 2), and colour."""


@dataclass(frozen=True, slots=True)
class _Species:
    colour: Rgb
    mark_colour: Rgb
    shape: Callable[[np.random.Generator], FloatArray]


def _notches(rng: np.random.Generator, points: int, depth: float) -> FloatArray:
    """By how much bites and tears set an edge back along its course, shape (points,)."""
    t = np.linspace(-1, 1, points)
    centres, widths = rng.uniform(-0.85, 0.85, (4, 1)), rng.uniform(0.03, 0.07, (4, 1))
    loss: FloatArray = (rng.uniform(0, depth, (4, 1)) * np.exp(-(((t - centres) / widths) ** 2))).sum(axis=0)
    return loss


def _fluke(rng: np.random.Generator) -> FloatArray:
    """A tail fluke, seen from behind before a dive."""
    t = np.linspace(-1, 1, 121)
    lobes = rng.uniform(0.12, 0.3) * np.sin(np.pi * np.abs(t)) - 0.13 * np.exp(-((t / 0.07) ** 2))
    edge = rng.uniform(-0.12, 0.12) * np.abs(t) - 0.45 - lobes + _notches(rng, 121, 0.17)
    side = curve((1, edge[-1]), (rng.uniform(0.3, 0.6), 0.05), (0.12, 0.05))
    stem = np.array([[0.19, 0.5], [-0.19, 0.5]])
    return np.concatenate([np.stack([t, edge], axis=1), side, stem, side[::-1] * [-1, 1]])


def _back(rng: np.random.Generator, height: float, start: float, end: float) -> FloatArray:
    """A back above the water, with a dorsal fin of a height between two places of the back."""
    x = np.linspace(-1.35, 1.35, 81)
    ridge = np.stack([x, rng.uniform(0.3, 0.4) * ((x / 1.35) ** 2 - 1) + _notches(rng, 81, 0.08)], axis=1)
    top, tall = -0.3, height * rng.uniform(0.8, 1.2)
    tip = (end + rng.uniform(-0.2, 0.15), top - tall)
    leading = curve((start, top), (start + 0.2, top - tall * rng.uniform(0.8, 1.1)), tip)
    trailing = curve(tip, (end - rng.uniform(0.1, 0.28), top - tall * rng.uniform(0.3, 0.55)), (end, top))
    trailing[:, 0] -= _notches(rng, 40, 0.2 * tall)
    return np.concatenate([ridge[x < start], leading, trailing, ridge[x > end], [[1.35, 0.3], [-1.35, 0.3]]])


_SPECIES: Final[dict[str, _Species]] = {
    "humpback_whale": _Species((46, 50, 58), (225, 228, 228), _fluke),
    "blue_whale": _Species((98, 118, 140), (160, 178, 192), _fluke),
    "killer_whale": _Species((28, 29, 34), (190, 195, 200), partial(_back, height=0.9, start=-0.3, end=0.3)),
    "bottlenose_dolphin": _Species((110, 118, 126), (75, 80, 88), partial(_back, height=0.46, start=-0.3, end=0.35)),
    "fin_whale": _Species((88, 84, 82), (140, 136, 130), partial(_back, height=0.28, start=0.35, end=0.75)),
    "beluga": _Species((226, 228, 226), (150, 154, 158), partial(_back, height=0.06, start=-0.3, end=0.3)),
}
SPECIES: Final = tuple(_SPECIES)


@cache
def individuals(seed: int, per_species: int) -> tuple[Individual, ...]:
    """The catalogue: `per_species` animals of each species, in the species' order.

    The n-th animal of a species is the same whatever `per_species` is.
    """
    return tuple(_individual(seed, name, number) for name in SPECIES for number in range(per_species))


def _individual(seed: int, species: str, number: int) -> Individual:
    rng = np.random.default_rng([seed, 1, SPECIES.index(species), number])
    kind = _SPECIES[species]
    marks = []
    for _ in range(int(rng.integers(3, 8))):
        x, y, turn = rng.uniform((-0.8, -0.45, -0.8), (0.8, -0.05, 0.8))
        patch = ellipse(x, y, rng.uniform(0.07, 0.26), rng.uniform(0.015, 0.13), turn)
        marks.append((patch, jitter(rng, kind.mark_colour, 14)))
    identifier = hashlib.sha256(f"{seed}/{species}/{number}".encode()).hexdigest()[:12]
    return Individual(identifier, species, kind.shape(rng), jitter(rng, kind.colour, 13), tuple(marks))


def draw_cetacean(individual: Individual, seed: int, number: int) -> Image.Image:
    """The `number`-th picture of an individual: its own sea, light and pose."""
    rng = np.random.default_rng([seed, 2, int(individual.identifier, 16), number])
    width, height = CANVAS
    image = sea(rng)
    pose = Pose(
        x=width * rng.uniform(0.42, 0.58),
        y=height * rng.uniform(0.6, 0.76),
        scale=width * rng.uniform(0.27, 0.38),
        turn=rng.normal(0, 0.07),
        squash=rng.uniform(0.8, 1),
    )
    body, mask = Image.new("RGB", CANVAS, individual.colour), Image.new("L", CANVAS)
    for outline, colour in individual.marks:
        ImageDraw.Draw(body).polygon(pose.place(outline), fill=colour)
    above_water = ImageDraw.Draw(mask)
    above_water.polygon(pose.place(individual.outline), fill=255)
    above_water.rectangle((0, pose.y, width, height), fill=0)
    image.paste(body, mask=mask)
    for _ in range(40):
        x, y = pose.x + rng.normal(0, 0.5) * pose.scale, pose.y + rng.normal(4, 4)
        ImageDraw.Draw(image).ellipse((x - 6, y - 2, x + 6, y + 2), fill=jitter(rng, (225, 235, 238), 10))
    return finish(rng, image)
