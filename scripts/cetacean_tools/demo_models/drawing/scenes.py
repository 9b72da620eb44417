"""Scenes: the subjects of the anti-fraud gate's negative prompts, and a whale seen from above."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cetacean_tools.demo_models.drawing.canvas import (
    CANVAS,
    FloatArray,
    Pose,
    Rgb,
    choose,
    ellipse,
    finish,
    gradient,
    jitter,
    sea,
    soft_noise,
    to_image,
)
from cetacean_tools.demo_models.drawing.weather import WEATHERS, weather

Scene = Callable[[np.random.Generator], Image.Image]
Shape = tuple[FloatArray, Rgb | None]
"""Outline and colour; None is the colour that the picture has drawn."""

_WIDTH, _HEIGHT = CANVAS
_BRIGHT: Final[tuple[Rgb, ...]] = ((210, 60, 50), (240, 160, 50), (90, 150, 60), (50, 90, 180), (230, 225, 215))
_FURS: Final[tuple[Rgb, ...]] = ((190, 130, 70), (90, 85, 80), (225, 215, 200), (60, 45, 35))
_SKINS: Final[tuple[Rgb, ...]] = ((105, 120, 130), (60, 65, 75), (110, 118, 126), (226, 228, 226))
_BLACK, _WHITE, _GLASS, _BEIGE = (20, 18, 20), (240, 240, 238), (70, 95, 125), (215, 165, 135)


def _figure(background: Scene, colours: tuple[Rgb, ...], *shapes: Shape, turn: float = 0.1) -> Scene:
    """Make a scene of one figure, of about unit size, in front of a background.

    Args:
        background: draws it.
        colours: one of them is the colour of the shapes that have none.
        shapes: from back to front.
        turn: standard deviation of the figure's turn, radians.
    """

    def draw(rng: np.random.Generator) -> Image.Image:
        image, own = background(rng), choose(rng, colours)
        pose = Pose(
            x=_WIDTH * rng.uniform(0.38, 0.62),
            y=_HEIGHT * rng.uniform(0.42, 0.6),
            scale=_HEIGHT * rng.uniform(0.27, 0.42),
            turn=rng.normal(0, turn),
            squash=float(rng.choice([-1, 1])) * rng.uniform(0.85, 1),
        )
        for outline, colour in shapes:
            ImageDraw.Draw(image).polygon(pose.place(outline), fill=jitter(rng, colour, 10) if colour else own)
        return image

    return draw


def _points(*coordinates: float) -> FloatArray:
    return np.array(coordinates).reshape(-1, 2)


def _both(outline: FloatArray, colour: Rgb | None) -> tuple[Shape, Shape]:
    """A shape and its mirror image."""
    return (outline, colour), (outline * [-1, 1], colour)


def _room(rng: np.random.Generator) -> Image.Image:
    wall = choose(rng, _FURS, 30)
    image = to_image(gradient(wall, wall) + soft_noise(rng, (12, 9)) * 8)
    ImageDraw.Draw(image).rectangle(
        (0, _HEIGHT * rng.uniform(0.65, 0.9), *CANVAS), fill=jitter(rng, (140, 105, 75), 20)
    )
    return image


def _outdoors(rng: np.random.Generator) -> Image.Image:
    return to_image(gradient(jitter(rng, (120, 165, 220), 15), jitter(rng, (215, 225, 235), 10)))


def _under_water(rng: np.random.Generator) -> Image.Image:
    water = gradient(jitter(rng, (95, 190, 200), 16), jitter(rng, (12, 75, 105), 16))
    return to_image(water + soft_noise(rng, (14, 2)) * 10)


def _page(rng: np.random.Generator) -> Image.Image:
    """Printed text; on half of the pages with a title bar and a chart, as on a screen."""
    image, accent = Image.new("RGB", CANVAS, jitter(rng, (245, 244, 240), 6)), choose(rng, _BRIGHT)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(int(rng.integers(11, 20)))
    letters = rng.choice(list(string.ascii_lowercase + "     "), (16, int(rng.integers(18, 40))))
    text = "\n".join("".join(line) for line in letters)
    draw.text((_WIDTH * rng.uniform(0.05, 0.3), 40), text, fill=jitter(rng, (40, 40, 45), 12), font=font)
    if rng.random() < 0.5:
        draw.rectangle((0, 0, _WIDTH, 26), fill=accent)
        for x in np.linspace(20, _WIDTH - 40, 9):
            draw.rectangle((x, _HEIGHT * rng.uniform(0.6, 0.9), x + 18, _HEIGHT - 12), fill=accent)
    return image


def _food(rng: np.random.Generator) -> Image.Image:
    image = to_image(gradient(choose(rng, _FURS), choose(rng, _FURS)))
    draw = ImageDraw.Draw(image)
    pose = Pose(_WIDTH * rng.uniform(0.42, 0.58), _HEIGHT * rng.uniform(0.45, 0.55), _HEIGHT * rng.uniform(0.38, 0.47))
    draw.polygon(pose.place(ellipse(0, 0, 1, 1)), fill=jitter(rng, _WHITE, 6))
    for _ in range(int(rng.integers(8, 26))):
        (x, y), (rx, ry) = rng.normal(0, 0.28, 2), rng.uniform(0.06, 0.25, 2)
        draw.polygon(pose.place(ellipse(x, y, rx, ry)), fill=choose(rng, _BRIGHT))
    return image


def _landscape(rng: np.random.Generator) -> Image.Image:
    """Hills and empty seas, in clear weather and in foul: the view of a camera if no animal is there."""
    if rng.random() < 0.7:
        image = sea(rng)
    else:
        image = _outdoors(rng)
        for level, colour in ((0.45, (120, 140, 160)), (0.6, (95, 130, 95)), (0.75, (80, 115, 60))):
            ridge = _HEIGHT * (level + 0.14 * soft_noise(rng, (7, 2), (_WIDTH, 2))[0, :, 0])
            ImageDraw.Draw(image).polygon([*enumerate(ridge.tolist()), CANVAS, (0, _HEIGHT)], jitter(rng, colour, 14))
    if rng.random() < 0.7:
        # Weather is made for a finished picture's size.
        image = weather(WEATHERS[rng.integers(len(WEATHERS))], image.reduce(2), rng).resize(CANVAS)
    return image


def _abstract(rng: np.random.Generator) -> Image.Image:
    """Stripes, rings, tiles or noise of two colours."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH] * rng.uniform(0.05, 0.25)
    stripes, rings, tiles = np.sin(x + y * rng.uniform(-2, 2)), np.sin(np.hypot(x, y)), np.sin(x) * np.sin(y)
    level = (stripes, rings, tiles, rng.normal(size=x.shape))[rng.integers(4)]
    first, second = rng.uniform(0, 255, (2, 3))
    return to_image(np.where(level[..., None] > 0, first, second))


_SCENES: Final[dict[str, Scene]] = {
    "page": _page,
    "person": _figure(
        _room,
        _BRIGHT,
        (_points(-0.38, 0.7, 0.38, 0.7, 0.42, 2.2, -0.42, 2.2), (60, 70, 100)),
        *_both(_points(0.4, -0.15, 0.56, -0.15, 0.8, 0.7, 0.65, 0.75), _BEIGE),
        (_points(-0.5, -0.15, 0.5, -0.15, 0.4, 0.8, -0.4, 0.8), None),
        (ellipse(0, -0.65, 0.31, 0.38), (70, 50, 40)),
        (ellipse(0, -0.55, 0.25, 0.34), _BEIGE),
    ),
    "town": _figure(
        _outdoors,
        _BRIGHT,
        (_points(-1, -1.2, 0.7, -1.2, 0.7, 1, -1, 1), (190, 150, 120)),
        *((ellipse(x, y, 0.12, 0.16), _GLASS) for x in (-0.75, -0.35, 0.05, 0.45) for y in (-0.9, -0.4, 0.1)),
        (_points(-0.6, 1, -0.6, 0.7, -0.3, 0.7, -0.15, 0.45, 0.6, 0.45, 0.9, 0.7, 1.2, 0.75, 1.2, 1), None),
        *((ellipse(x, 1, 0.17, 0.17), _BLACK) for x in (-0.2, 0.8)),
        turn=0.02,
    ),
    "pet": _figure(
        _room,
        _FURS,
        (ellipse(0, 1.3, 0.85, 0.9), None),
        *_both(_points(0.15, -0.5, 0.75, -1.15, 0.72, -0.1), None),
        (ellipse(0, 0, 0.8, 0.68), None),
        *_both(ellipse(0.34, -0.08, 0.17, 0.14), (150, 190, 80)),
        *_both(ellipse(0.34, -0.08, 0.04, 0.13), _BLACK),
        (_points(-0.13, 0.16, 0.13, 0.16, 0, 0.3), _BEIGE),
    ),
    "food": _food,
    "landscape": _landscape,
    "blank": lambda rng: to_image(np.full((_HEIGHT, _WIDTH, 3), rng.uniform(236, 255))),
    "fish": _figure(
        _under_water,
        (*_BRIGHT, *_SKINS),
        (_points(-0.75, 0, -1.25, -0.5, -1.1, 0, -1.25, 0.5), None),
        (_points(-0.4, -0.2, 0, -0.8, 0.3, -0.2), None),
        (ellipse(0, 0, 0.95, 0.38), None),
        (ellipse(0.1, 0.12, 0.6, 0.14), _WHITE),
        (ellipse(0.65, -0.08, 0.07, 0.07), _BLACK),
    ),
    "boat": _figure(
        sea,
        _BRIGHT,
        (_points(-1, 0.1, 1.15, 0, 0.8, 0.45, -0.85, 0.45), None),
        (_points(0.05, -0.05, 0.05, -1.3, 0.85, -0.1), _WHITE),
        (_points(-0.05, -0.05, -0.05, -1.1, -0.7, -0.1), _WHITE),
    ),
    "abstract": _abstract,
    "aerial": _figure(
        lambda rng: sea(rng, horizon=0),
        _SKINS,
        (ellipse(0, 0, 1.1, 0.3), None),
        (_points(-0.9, 0, -1.4, -0.4, -1.25, 0, -1.4, 0.4), None),
        *((_points(0.5, side * 0.2, 0, side * 0.65, 0.2, side * 0.2), None) for side in (-1, 1)),
        turn=2.0,
    ),
}
SCENES: Final = tuple(_SCENES)
"""The last one is a whale from straight above, the others have no cetacean."""


def draw_scene(name: str, seed: int, number: int) -> Image.Image:
    """The `number`-th picture of one of `SCENES`."""
    rng = np.random.default_rng([seed, 5, SCENES.index(name), number])
    return finish(rng, _SCENES[name](rng))
