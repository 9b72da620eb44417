"""People, pets, fish and sharks, on a canvas."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from cetacean_tools.demo_models.drawing.canvas import (
    CANVAS,
    FloatArray,
    Pose,
    Rgb,
    bezier,
    ellipse,
    gradient,
    jitter,
    sea,
    soft_noise,
    to_image,
)

_WIDTH, _HEIGHT = CANVAS
_FURS: tuple[Rgb, ...] = ((190, 130, 70), (90, 85, 80), (225, 215, 200), (60, 45, 35), (160, 150, 140))
_WALLS: tuple[Rgb, ...] = ((215, 200, 175), (180, 195, 170), (200, 185, 200), (225, 220, 205), (150, 165, 130))


def _room(rng: np.random.Generator) -> Image.Image:
    wall = jitter(rng, _WALLS[rng.integers(len(_WALLS))], 12)
    pixels = gradient(CANVAS, wall, jitter(rng, np.asarray(wall) * 0.8, 8))
    floor = round(_HEIGHT * rng.uniform(0.65, 0.9))
    pixels[floor:] = jitter(rng, (140, 105, 75), 20)
    return to_image(pixels + soft_noise(rng, CANVAS, (12, 9))[..., None] * 8)


def _polygon(draw: ImageDraw.ImageDraw, pose: Pose, points: FloatArray, colour: Rgb) -> None:
    draw.polygon(pose.place(points), fill=colour)


def person(rng: np.random.Generator) -> Image.Image:
    """One standing person, from the knees up."""
    image = _room(rng) if rng.random() < 0.7 else sea(rng, horizon=0.45)
    draw = ImageDraw.Draw(image)
    pose = Pose(_WIDTH * rng.uniform(0.35, 0.65), _HEIGHT * 0.36, _HEIGHT * rng.uniform(0.3, 0.42), rng.normal(0, 0.05))
    skin = jitter(rng, ((236, 195, 165), (200, 150, 115), (120, 80, 55))[rng.integers(3)], 10)
    shirt, trousers, hair = (jitter(rng, rng.integers(20, 235, 3).astype(float), 5) for _ in range(3))
    _polygon(draw, pose, np.array([[-0.38, 0.95], [0.38, 0.95], [0.42, 2.2], [-0.42, 2.2]]), trousers)
    _polygon(draw, pose, np.array([[-0.5, 0.12], [0.5, 0.12], [0.4, 1.05], [-0.4, 1.05]]), shirt)
    for side in (-1, 1):
        swing = rng.uniform(0.0, 0.35)
        arm = np.array([[0.42, 0.15], [0.56, 0.15], [0.68 + swing, 0.95], [0.55 + swing, 0.98]]) * [side, 1]
        _polygon(draw, pose, arm, shirt if rng.random() < 0.5 else skin)
    _polygon(draw, pose, np.array([[-0.1, -0.1], [0.1, -0.1], [0.12, 0.16], [-0.12, 0.16]]), skin)
    _polygon(draw, pose, ellipse(0, -0.38, 0.31, 0.38), hair)
    _polygon(draw, pose, ellipse(0, -0.3, 0.25, 0.32), skin)
    for side in (-1, 1):
        _polygon(draw, pose, ellipse(side * 0.1, -0.36, 0.035, 0.025), (40, 30, 30))
    _polygon(draw, pose, ellipse(0, -0.14, 0.09, 0.025), (170, 80, 80))
    return image


def _face(rng: np.random.Generator) -> tuple[Image.Image, ImageDraw.ImageDraw, Pose, Rgb]:
    image = _room(rng)
    pose = Pose(
        _WIDTH * rng.uniform(0.4, 0.6),
        _HEIGHT * rng.uniform(0.42, 0.55),
        _HEIGHT * rng.uniform(0.28, 0.4),
        rng.normal(0, 0.12),
    )
    fur = jitter(rng, _FURS[rng.integers(len(_FURS))], 12)
    draw = ImageDraw.Draw(image)
    _polygon(draw, pose, ellipse(0, 1.3, 0.85, 0.9), fur)
    return image, draw, pose, fur


def cat(rng: np.random.Generator) -> Image.Image:
    """A cat's face: pointed ears, slit eyes, whiskers."""
    image, draw, pose, fur = _face(rng)
    for side in (-1, 1):
        _polygon(draw, pose, np.array([[0.15, -0.5], [0.75, -1.15], [0.72, -0.1]]) * [side, 1], fur)
        _polygon(draw, pose, np.array([[0.32, -0.5], [0.65, -0.9], [0.62, -0.25]]) * [side, 1], (215, 150, 150))
    _polygon(draw, pose, ellipse(0, 0, 0.8, 0.68), fur)
    stripe = jitter(rng, np.asarray(fur) * 0.6, 4)
    for x in (-0.2, 0, 0.2):
        draw.line(pose.place(np.array([[x, -0.6], [x * 0.8, -0.35]])), fill=stripe, width=5)
    for side in (-1, 1):
        _polygon(draw, pose, ellipse(side * 0.34, -0.08, 0.17, 0.14), jitter(rng, (150, 190, 80), 20))
        _polygon(draw, pose, ellipse(side * 0.34, -0.08, 0.04, 0.13), (15, 15, 15))
        for dy in (-0.05, 0.05, 0.15):
            draw.line(
                pose.place(np.array([[side * 0.2, 0.25], [side * 1.05, 0.2 + dy * 2]])), fill=(245, 245, 245), width=2
            )
    _polygon(draw, pose, np.array([[-0.09, 0.16], [0.09, 0.16], [0, 0.27]]), (220, 120, 130))
    return image


def dog(rng: np.random.Generator) -> Image.Image:
    """A dog's face: hanging ears, a muzzle, a black nose, a tongue."""
    image, draw, pose, fur = _face(rng)
    ear = jitter(rng, np.asarray(fur) * 0.65, 6)
    _polygon(draw, pose, ellipse(0, 0, 0.62, 0.75), fur)
    for side in (-1, 1):
        _polygon(draw, pose, ellipse(side * 0.68, 0.0, 0.22, 0.6, -side * 0.25), ear)
        _polygon(draw, pose, ellipse(side * 0.26, -0.2, 0.09, 0.1), (25, 18, 15))
    _polygon(draw, pose, ellipse(0, 0.35, 0.38, 0.36), jitter(rng, np.asarray(fur) + 35.0, 6))
    _polygon(draw, pose, ellipse(0.02, 0.72, 0.13, 0.24), (220, 105, 115))
    _polygon(draw, pose, ellipse(0, 0.18, 0.17, 0.12), (20, 18, 20))
    return image


def _under_water(rng: np.random.Generator) -> Image.Image:
    top, bottom = ((90, 190, 210), (10, 70, 120)) if rng.random() < 0.6 else ((110, 190, 170), (15, 80, 80))
    pixels = gradient(CANVAS, jitter(rng, top, 14), jitter(rng, bottom, 14))
    rays = soft_noise(rng, CANVAS, (14, 2)) * rng.uniform(5, 16)
    return to_image(pixels + rays[..., None])


def fish(rng: np.random.Generator) -> Image.Image:
    """One to four bright fish under water."""
    image = _under_water(rng)
    draw = ImageDraw.Draw(image)
    body_colour = jitter(rng, ((240, 150, 40), (235, 210, 60), (220, 80, 70), (200, 205, 210))[rng.integers(4)], 12)
    stripe = jitter(rng, (245, 245, 245) if rng.random() < 0.5 else (40, 40, 60), 8)
    many = int(rng.integers(1, 5))
    for _ in range(many):
        pose = Pose(
            _WIDTH * rng.uniform(0.25, 0.75),
            _HEIGHT * rng.uniform(0.25, 0.75),
            _WIDTH * rng.uniform(0.2, 0.3) / many**0.5,
            rng.normal(0, 0.2),
            float(rng.choice([-1, 1])),
        )
        _polygon(draw, pose, np.array([[-0.75, 0], [-1.25, -0.5], [-1.1, 0], [-1.25, 0.5]]), body_colour)
        _polygon(draw, pose, np.array([[-0.4, -0.3], [0.1, -0.85], [0.4, -0.35]]), stripe)
        _polygon(draw, pose, ellipse(0, 0, 0.9, rng.uniform(0.42, 0.6)), body_colour)
        for x in (-0.3, 0.15):
            _polygon(draw, pose, ellipse(x, 0, 0.07, 0.42), stripe)
        _polygon(draw, pose, ellipse(0.6, -0.1, 0.1, 0.1), (250, 250, 250))
        _polygon(draw, pose, ellipse(0.62, -0.1, 0.05, 0.05), (10, 10, 10))
    return image


def shark(rng: np.random.Generator) -> Image.Image:
    """A shark under water: upright tail fin, gill slits, a pale belly."""
    image = _under_water(rng)
    draw = ImageDraw.Draw(image)
    pose = Pose(
        _WIDTH * rng.uniform(0.42, 0.58),
        _HEIGHT * rng.uniform(0.4, 0.6),
        _WIDTH * rng.uniform(0.28, 0.36),
        rng.normal(0, 0.15),
        float(rng.choice([-1, 1])),
    )
    skin = jitter(rng, (105, 120, 130), 14)
    belly = jitter(rng, (215, 222, 222), 8)
    _polygon(draw, pose, np.array([[-0.85, 0], [-1.35, -0.5], [-1.1, -0.02], [-1.25, 0.32]]), skin)
    _polygon(draw, pose, np.array([[-0.1, -0.2], [0.1, -0.62], [0.28, -0.2]]), skin)
    _polygon(draw, pose, np.array([[0.3, 0.15], [-0.05, 0.6], [0.1, 0.15]]), skin)
    upper = bezier((-1, 0), (-0.2, -0.42), (0.6, -0.32), (1.1, -0.02))
    _polygon(draw, pose, np.concatenate([upper, bezier((1.1, -0.02), (0.6, 0.3), (-0.2, 0.3), (-1, 0))]), skin)
    _polygon(
        draw,
        pose,
        np.concatenate(
            [bezier((-0.7, 0.06), (0.2, 0.1), (0.95, 0.05)), bezier((0.95, 0.05), (0.5, 0.26), (-0.7, 0.06))]
        ),
        belly,
    )
    for x in (0.42, 0.48, 0.54):
        draw.line(pose.place(np.array([[x, -0.12], [x - 0.03, 0.08]])), fill=(60, 70, 80), width=3)
    _polygon(draw, pose, ellipse(0.85, -0.08, 0.03, 0.03), (10, 10, 10))
    return image
