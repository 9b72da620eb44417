"""Whales and dolphins: six species, each individual with notches, scars, patches and a shade of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from cetacean_tools.demo_models.drawing.canvas import (
    CANVAS,
    FloatArray,
    Pose,
    Rgb,
    bezier,
    ellipse,
    finish,
    jitter,
    sea,
    soft_noise,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A patch of another colour on the body, an ellipse in the body's coordinates."""

    x: float
    y: float
    rx: float
    ry: float
    turn: float
    colour: Rgb

    @property
    def outline(self) -> FloatArray:
        """Shape (28, 2)."""
        return ellipse(self.x, self.y, self.rx, self.ry, self.turn)


@dataclass(frozen=True, slots=True)
class Individual:
    """One animal: its outline, colour and marks never change, the pictures of it do."""

    identifier: str
    """Twelve hex digits, as in the catalogues of the field."""
    species: str
    outline: FloatArray
    """Polygon in the body's coordinates, y downwards, the water line at 0; shape (n, 2)."""
    colour: Rgb
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class _Species:
    colour: Rgb
    mark_colour: Rgb
    marks: tuple[int, int]
    """Fewest and most patches."""
    region: tuple[float, float, float, float]
    """Where marks lie: left, top, right, bottom."""
    shape: Callable[[np.random.Generator], FloatArray]
    scale: float = 1.0


def _notched(rng: np.random.Generator, t: FloatArray, count: tuple[int, int], depth: float) -> FloatArray:
    """How far bites and tears set an edge back along its course `t` in -1..1, shape of `t`."""
    loss = np.zeros_like(t)
    for _ in range(int(rng.integers(*count, endpoint=True))):
        centre, width = rng.uniform(-0.85, 0.85), rng.uniform(0.03, 0.07)
        loss += rng.uniform(0.4, 1.0) * depth * np.exp(-(((t - centre) / width) ** 2))
    return loss


def _fluke(rng: np.random.Generator) -> FloatArray:
    t = np.linspace(-1, 1, 121)
    hump, droop, power = rng.uniform(0.12, 0.3), rng.uniform(-0.12, 0.12), rng.uniform(1.2, 2.2)
    edge = -0.45 - hump * np.sin(np.pi * np.abs(t)) ** 0.8 + 0.13 * np.exp(-((t / 0.07) ** 2)) + droop * np.abs(t)
    edge += _notched(rng, t, (1, 4), 0.17)
    edge += 0.012 * np.sin(t * rng.uniform(15, 50) + rng.uniform(0, 6)) * (1 - np.abs(t))
    trailing = np.stack([t, edge], axis=1)
    x = np.linspace(1, 0.12, 30)
    lower = np.stack([x, edge[-1] + (0.02 - edge[-1]) * (1 - x) ** power / 0.88**power * 0.95], axis=1)
    stem = np.array([[0.11, 0.1], [0.19, 0.5], [-0.19, 0.5], [-0.11, 0.1]])
    return np.concatenate([trailing, lower, stem, lower[::-1] * [-1, 1]])


def _back(rng: np.random.Generator, arch: float) -> tuple[FloatArray, FloatArray]:
    """The back's ridge from tail to head (n, 2), and the closing line below the water."""
    x = np.linspace(-1.35, 1.35, 81)
    ridge = np.stack([x, -arch * (1 - (x / 1.35) ** 2) ** rng.uniform(0.8, 1.3)], axis=1)
    return ridge, np.array([[1.35, 0.3], [-1.35, 0.3]])


def _finned(
    rng: np.random.Generator, *, height: tuple[float, float], base: tuple[float, float], arch: float
) -> FloatArray:
    tall, lean = rng.uniform(*height), rng.uniform(0.05, 0.4)
    start, end = base[0] + rng.normal(0, 0.03), base[1] + rng.normal(0, 0.03)
    ridge, below = _back(rng, arch)
    top = -arch * 0.9
    tip = (end - 0.25 + lean, top - tall)
    leading = bezier((start, top), (start + 0.2, top - tall * rng.uniform(0.8, 1.1)), tip, points=20)
    trailing = bezier(tip, (end - rng.uniform(0.1, 0.28), top - tall * rng.uniform(0.3, 0.55)), (end, top), points=60)
    loss = _notched(rng, np.linspace(-1, 1, 60), (1, 4), 0.13 * (0.5 + tall))
    trailing[:, 0] -= loss
    return np.concatenate([ridge[ridge[:, 0] < start], leading, trailing, ridge[ridge[:, 0] > end], below])


def _ridged(rng: np.random.Generator) -> FloatArray:
    ridge, below = _back(rng, rng.uniform(0.36, 0.5))
    bumps = _notched(rng, ridge[:, 0] / 1.35, (2, 5), 0.1)
    return np.concatenate([ridge + np.stack([np.zeros_like(bumps), bumps], axis=1), below])


_FLUKE_REGION = (-0.8, -0.6, 0.8, -0.15)
_SPECIES: dict[str, _Species] = {
    "humpback_whale": _Species((46, 50, 58), (225, 228, 228), (2, 5), _FLUKE_REGION, _fluke),
    "blue_whale": _Species((98, 118, 140), (160, 178, 192), (4, 8), _FLUKE_REGION, _fluke),
    "killer_whale": _Species(
        (28, 29, 34),
        (190, 195, 200),
        (1, 3),
        (-0.6, -0.35, 0.9, -0.02),
        lambda rng: _finned(rng, height=(0.75, 1.05), base=(-0.3, 0.3), arch=0.3),
        0.85,
    ),
    "bottlenose_dolphin": _Species(
        (110, 118, 126),
        (75, 80, 88),
        (1, 4),
        (-0.7, -0.6, 0.8, -0.05),
        lambda rng: _finned(rng, height=(0.38, 0.55), base=(-0.3, 0.35), arch=0.32),
    ),
    "fin_whale": _Species(
        (88, 84, 82),
        (140, 136, 130),
        (1, 4),
        (-0.9, -0.3, 0.9, -0.05),
        lambda rng: _finned(rng, height=(0.22, 0.34), base=(0.35, 0.75), arch=0.3),
        1.15,
    ),
    "beluga": _Species((226, 228, 226), (150, 154, 158), (2, 5), (-0.9, -0.36, 0.9, -0.05), _ridged),
}
SPECIES = tuple(_SPECIES)


@cache
def individuals(seed: int, per_species: int) -> tuple[Individual, ...]:
    """The catalogue: `per_species` animals of each species, in the species' order.

    The n-th animal of a species is the same whatever `per_species` is.
    """
    return tuple(_individual(seed, name, number) for name in SPECIES for number in range(per_species))


def _individual(seed: int, species: str, number: int) -> Individual:
    rng = np.random.default_rng([seed, 1, SPECIES.index(species), number])
    kind = _SPECIES[species]
    left, top, right, bottom = kind.region
    marks = []
    for _ in range(int(rng.integers(*kind.marks, endpoint=True))):
        where = rng.uniform(left, right), rng.uniform(top, bottom)
        colour = jitter(rng, kind.mark_colour, 14)
        marks.append(Mark(*where, rng.uniform(0.07, 0.24), rng.uniform(0.04, 0.13), rng.uniform(-0.6, 0.6), colour))
    for _ in range(int(rng.integers(0, 4))):  # scars: long and thin
        where = rng.uniform(left, right), rng.uniform(top, bottom)
        pale = jitter(rng, (205, 205, 205) if kind.colour[0] < 150 else (95, 95, 100), 15)
        marks.append(Mark(*where, rng.uniform(0.12, 0.3), 0.012, rng.uniform(-1.3, 1.3), pale))
    identifier = hashlib.sha256(f"{seed}/{species}/{number}".encode()).hexdigest()[:12]
    return Individual(identifier, species, kind.shape(rng), jitter(rng, kind.colour, 13), tuple(marks))


def draw_cetacean(individual: Individual, seed: int, number: int) -> Image.Image:
    """The `number`-th picture of an individual: its own sea, light and pose."""
    rng = np.random.default_rng([seed, 2, int(individual.identifier, 16), number])
    width, height = CANVAS
    image = sea(rng)
    turned = rng.uniform(0.72, 1.0) if individual.species in {"humpback_whale", "blue_whale"} else rng.uniform(0.85, 1)
    pose = Pose(
        x=width * rng.uniform(0.42, 0.58),
        y=height * rng.uniform(0.6, 0.76),
        scale=width * rng.uniform(0.27, 0.38) * _SPECIES[individual.species].scale,
        turn=rng.normal(0, 0.07),
        squash=turned,
    )
    water_line = pose.y + 0.02 * pose.scale
    image.paste(_body(rng, individual, pose), mask=_above_water(rng, individual, pose, water_line))
    _foam(rng, image, pose, water_line)
    return finish(rng, image)


def _body(rng: np.random.Generator, individual: Individual, pose: Pose) -> Image.Image:
    body = Image.new("RGB", CANVAS, individual.colour)
    draw = ImageDraw.Draw(body)
    for mark in individual.marks:
        draw.polygon(pose.place(mark.outline), fill=mark.colour)
    # Light from above, and skin that is not quite even.
    shade = np.linspace(rng.uniform(0, 26), rng.uniform(-22, 0), CANVAS[1])[:, None]
    shade = shade + soft_noise(rng, CANVAS, (24, 18)) * 7
    return Image.fromarray(np.clip(np.asarray(body, dtype=np.float64) + shade[..., None], 0, 255).astype(np.uint8))


def _above_water(rng: np.random.Generator, individual: Individual, pose: Pose, water_line: float) -> Image.Image:
    mask = Image.new("L", CANVAS, 0)
    draw = ImageDraw.Draw(mask)
    draw.polygon(pose.place(individual.outline), fill=255)
    waves = water_line + soft_noise(rng, (CANVAS[0], 2), (18, 2))[0] * 5
    surface = [(float(x), float(y)) for x, y in enumerate(waves)]
    draw.polygon([*surface, (CANVAS[0], CANVAS[1]), (0, CANVAS[1])], fill=0)
    return mask


def _foam(rng: np.random.Generator, image: Image.Image, pose: Pose, water_line: float) -> None:
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(25, 70))):
        x, y = pose.x + rng.normal(0, 0.5) * pose.scale, water_line + rng.normal(2, 4)
        rx, ry = rng.uniform(2, 9), rng.uniform(1, 3)
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=jitter(rng, (225, 235, 238), 10))


def draw_aerial(species: str, seed: int, number: int) -> Image.Image:
    """A whale or dolphin seen from straight above, near the surface."""
    rng = np.random.default_rng([seed, 3, SPECIES.index(species), number])
    image = sea(rng, horizon=0.0)
    pose = Pose(
        x=CANVAS[0] * rng.uniform(0.4, 0.6),
        y=CANVAS[1] * rng.uniform(0.4, 0.6),
        scale=CANVAS[0] * rng.uniform(0.22, 0.34),
        turn=rng.uniform(0, 2 * np.pi),
    )
    body = np.concatenate(
        [bezier((-1, 0), (0.1, -0.5), (0.9, -0.25), (1, 0)), bezier((1, 0), (0.9, 0.25), (0.1, 0.5), (-1, 0))]
    )
    tail = np.array([[-0.9, 0], [-1.25, -0.35], [-1.12, 0], [-1.25, 0.35]])
    flippers = [np.array([[0.45, s * 0.2], [0.1, s * 0.6], [0.25, s * 0.2]]) for s in (-1, 1)]
    layer = image.copy()
    draw = ImageDraw.Draw(layer)
    colour = jitter(rng, _SPECIES[species].colour, 10)
    for part in (body, tail, *flippers):
        draw.polygon(pose.place(part), fill=colour)
    draw.polygon(pose.place(ellipse(0.35, 0, 0.4, 0.08)), fill=jitter(rng, np.asarray(colour) + 18.0, 4))
    return finish(rng, Image.blend(image, layer, rng.uniform(0.65, 0.95)))
