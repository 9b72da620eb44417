"""Pages, buildings, vehicles, food, landscapes and patterns, on a canvas."""

from __future__ import annotations

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cetacean_tools.demo_models.drawing.canvas import (
    CANVAS,
    SUPERSAMPLING,
    Pose,
    Rgb,
    ellipse,
    gradient,
    jitter,
    sea,
    soft_noise,
    to_image,
)
from cetacean_tools.demo_models.drawing.weather import WEATHERS, weather

_WIDTH, _HEIGHT = CANVAS


def _words(rng: np.random.Generator, letters: int) -> str:
    text = rng.choice(list(string.ascii_lowercase + "    "), letters)
    return "".join(text).capitalize()


def _lines(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], ink: Rgb
) -> None:
    left, top, right, bottom = box
    size = int(rng.integers(11, 20))
    font = ImageFont.load_default(size)
    y = top
    while y < bottom - size:
        share = rng.choice([0.0, 1.0, rng.uniform(0.4, 1.0)], p=[0.1, 0.6, 0.3])
        draw.text((left, y), _words(rng, round(share * (right - left) / (size * 0.52))), fill=ink, font=font)
        y += size * 1.5


def text_page(rng: np.random.Generator) -> Image.Image:
    """A printed page, perhaps a little askew on a table."""
    paper = jitter(rng, (245, 243, 236), 6)
    image = Image.new("RGB", CANVAS, paper)
    draw = ImageDraw.Draw(image)
    margin = rng.uniform(0.05, 0.15) * _WIDTH
    ink = jitter(rng, (30, 30, 35), 12)
    draw.text((margin, 14), _words(rng, 16), fill=ink, font=ImageFont.load_default(int(rng.integers(20, 34))))
    _lines(rng, draw, (margin, 60, _WIDTH - margin, _HEIGHT), ink)
    return image.rotate(rng.normal(0, 3), Image.Resampling.BILINEAR, fillcolor=jitter(rng, (120, 95, 70), 20))


def document(rng: np.random.Generator) -> Image.Image:
    """A screenshot: window bar, side bar, text, a table or a chart."""
    image = Image.new("RGB", CANVAS, (250, 250, 252))
    draw = ImageDraw.Draw(image)
    accent = jitter(rng, rng.integers(30, 200, 3).astype(float), 5)
    draw.rectangle((0, 0, _WIDTH, 26), fill=accent)
    for n in range(3):
        draw.ellipse((10 + n * 18, 8, 20 + n * 18, 18), fill=((235, 90, 80), (240, 190, 70), (90, 200, 90))[n])
    side = rng.uniform(0.15, 0.3) * _WIDTH
    draw.rectangle((0, 26, side, _HEIGHT), fill=(232, 235, 240))
    _lines(rng, draw, (10, 40, side - 8, _HEIGHT * 0.8), (90, 95, 105))
    half = _HEIGHT * rng.uniform(0.4, 0.6)
    _lines(rng, draw, (side + 14, 40, _WIDTH - 14, half), (45, 45, 50))
    if rng.random() < 0.5:
        for x in np.linspace(side + 20, _WIDTH - 40, 7):
            draw.rectangle((x, _HEIGHT - 12 - rng.uniform(10, _HEIGHT - half - 20), x + 18, _HEIGHT - 12), fill=accent)
    else:
        for y in np.linspace(half, _HEIGHT - 12, 7):
            draw.line((side + 14, y, _WIDTH - 14, y), fill=(170, 175, 180), width=2)
        for x in np.linspace(side + 14, _WIDTH - 14, 5):
            draw.line((x, half, x, _HEIGHT - 12), fill=(170, 175, 180), width=2)
    return image


def building(rng: np.random.Generator) -> Image.Image:
    """One to three houses with rows of windows."""
    pixels = gradient(CANVAS, jitter(rng, (120, 165, 220), 15), jitter(rng, (215, 225, 235), 10))
    image = to_image(pixels)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, _HEIGHT * 0.88, _WIDTH, _HEIGHT), fill=jitter(rng, (100, 100, 98), 12))
    many = int(rng.integers(1, 4))
    for n in range(many):
        wide = _WIDTH / many
        left, right = wide * n + rng.uniform(4, 24), wide * (n + 1) - rng.uniform(4, 24)
        top = _HEIGHT * rng.uniform(0.08, 0.4)
        wall = jitter(rng, ((185, 95, 75), (205, 195, 175), (140, 145, 155), (225, 205, 150))[rng.integers(4)], 12)
        draw.rectangle((left, top, right, _HEIGHT * 0.9), fill=wall)
        if rng.random() < 0.4:
            draw.polygon([(left - 8, top), ((left + right) / 2, top - 40), (right + 8, top)], fill=(120, 60, 50))
        step = rng.uniform(24, 36)
        glass = jitter(rng, (70, 95, 125), 20)
        for x in np.arange(left + 10, right - 16, step):
            for y in np.arange(top + 12, _HEIGHT * 0.82, step):
                draw.rectangle((x, y, x + step * 0.5, y + step * 0.6), fill=glass)
    return image


def car(rng: np.random.Generator) -> Image.Image:
    """A car from the side on a road."""
    pixels = gradient(CANVAS, jitter(rng, (160, 190, 220), 15), jitter(rng, (120, 150, 100), 20))
    image = to_image(pixels + soft_noise(rng, CANVAS, (14, 10))[..., None] * 10)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, _HEIGHT * 0.68, _WIDTH, _HEIGHT), fill=jitter(rng, (85, 85, 90), 10))
    for left in range(0, _WIDTH, 60):
        draw.rectangle((left, _HEIGHT * 0.9, left + 30, _HEIGHT * 0.92), fill=(230, 230, 220))
    mirrored = float(rng.choice([-1, 1]))
    pose = Pose(_WIDTH * rng.uniform(0.42, 0.58), _HEIGHT * 0.7, _WIDTH * rng.uniform(0.26, 0.36), 0, mirrored)
    paint = jitter(
        rng, ((200, 40, 40), (40, 80, 180), (230, 230, 230), (40, 40, 45), (230, 190, 50))[rng.integers(5)], 12
    )
    draw.polygon(
        pose.place(np.array([[-1.1, 0.1], [-1.1, -0.28], [1.0, -0.26], [1.12, -0.05], [1.1, 0.1]])), fill=paint
    )
    roof = np.array([[-0.75, -0.26], [-0.5, -0.66], [0.3, -0.66], [0.65, -0.26]])
    draw.polygon(pose.place(roof), fill=paint)
    draw.polygon(
        pose.place(np.array([[-0.62, -0.28], [-0.44, -0.58], [-0.1, -0.58], [-0.1, -0.28]])), fill=(175, 205, 225)
    )
    draw.polygon(
        pose.place(np.array([[-0.02, -0.28], [-0.02, -0.58], [0.26, -0.58], [0.5, -0.28]])), fill=(175, 205, 225)
    )
    for x in (-0.65, 0.62):
        draw.polygon(pose.place(ellipse(x, 0.1, 0.24, 0.24)), fill=(25, 25, 28))
        draw.polygon(pose.place(ellipse(x, 0.1, 0.11, 0.11)), fill=(180, 180, 185))
    return image


def food(rng: np.random.Generator) -> Image.Image:
    """A plate from above with something to eat."""
    table = jitter(rng, ((150, 105, 70), (225, 220, 210), (110, 60, 60))[rng.integers(3)], 15)
    image = to_image(gradient(CANVAS, table, table) + soft_noise(rng, CANVAS, (4, 40))[..., None] * 9)
    draw = ImageDraw.Draw(image)
    pose = Pose(_WIDTH * rng.uniform(0.42, 0.58), _HEIGHT * rng.uniform(0.45, 0.55), _HEIGHT * rng.uniform(0.38, 0.47))
    plate = jitter(rng, (240, 240, 238), 6)
    draw.polygon(pose.place(ellipse(0, 0, 1, 1)), fill=plate)
    draw.polygon(pose.place(ellipse(0, 0, 0.74, 0.74)), fill=jitter(rng, np.asarray(plate) - 12.0, 3))
    colours: tuple[Rgb, ...] = (
        (200, 60, 45),
        (90, 150, 60),
        (235, 190, 80),
        (150, 90, 50),
        (245, 225, 180),
        (230, 120, 50),
    )
    for _ in range(int(rng.integers(8, 26))):
        r, angle = rng.uniform(0, 0.55), rng.uniform(0, 2 * np.pi)
        spot = ellipse(r * np.cos(angle), r * np.sin(angle), rng.uniform(0.06, 0.25), rng.uniform(0.06, 0.2), angle)
        draw.polygon(pose.place(spot), fill=jitter(rng, colours[rng.integers(len(colours))], 14))
    for x in (-1.25, 1.25):
        draw.line(pose.place(np.array([[x, -0.7], [x, 0.7]])), fill=(190, 192, 196), width=9)
    return image


def landscape(rng: np.random.Generator) -> Image.Image:
    """Hills, beaches and empty seas, in clear weather and in foul: what a camera sees when no animal is there."""
    if rng.random() < 0.6:
        image = sea(rng)
    else:
        image = to_image(gradient(CANVAS, jitter(rng, (110, 160, 220), 15), jitter(rng, (220, 225, 230), 10)))
        draw = ImageDraw.Draw(image)
        for level, colour in ((0.45, (120, 140, 160)), (0.6, (95, 130, 95)), (0.75, (80, 115, 60))):
            ridge = _HEIGHT * (level + 0.14 * soft_noise(rng, (_WIDTH, 2), (7, 2))[0])
            outline = [(float(x), float(y)) for x, y in enumerate(ridge)]
            draw.polygon([*outline, (_WIDTH, _HEIGHT), (0, _HEIGHT)], fill=jitter(rng, colour, 14))
    if rng.random() < 0.7:
        kind = WEATHERS[rng.integers(len(WEATHERS))]
        small = image.reduce(SUPERSAMPLING)  # the weather's measures are those of a finished picture
        image = weather(kind, small, int(rng.integers(2**31)), 0).resize(CANVAS, Image.Resampling.BILINEAR)
    return image


def blank(rng: np.random.Generator) -> Image.Image:
    """White, or nearly so."""
    shade = rng.uniform(236, 255)
    return to_image(
        np.full((_HEIGHT, _WIDTH, 3), shade) + soft_noise(rng, CANVAS, (4, 3))[..., None] * rng.uniform(0, 4)
    )


def boat(rng: np.random.Generator) -> Image.Image:
    """A sailing boat, a motor boat or a ship, on the sea that whales swim in."""
    image = sea(rng, horizon=rng.uniform(0.0, 0.5))
    draw = ImageDraw.Draw(image)
    squash = float(rng.choice([-1, 1])) * rng.uniform(0.7, 1)
    scale = _WIDTH * rng.uniform(0.18, 0.32)
    pose = Pose(_WIDTH * rng.uniform(0.35, 0.65), _HEIGHT * rng.uniform(0.6, 0.75), scale, rng.normal(0, 0.04), squash)
    hull = jitter(rng, ((235, 235, 235), (160, 50, 45), (35, 60, 110), (120, 80, 50))[rng.integers(4)], 12)
    draw.polygon(pose.place(np.array([[-1, -0.2], [1.15, -0.28], [0.8, 0.14], [-0.85, 0.14]])), fill=hull)
    if rng.random() < 0.5:
        draw.line(pose.place(np.array([[0, -0.2], [0, -1.7]])), fill=(110, 85, 60), width=6)
        draw.polygon(
            pose.place(np.array([[0.05, -0.35], [0.05, -1.65], [0.85, -0.4]])), fill=jitter(rng, (240, 238, 230), 8)
        )
        draw.polygon(
            pose.place(np.array([[-0.05, -0.35], [-0.05, -1.4], [-0.7, -0.4]])), fill=jitter(rng, (225, 215, 205), 14)
        )
    else:
        draw.polygon(
            pose.place(np.array([[-0.6, -0.22], [-0.55, -0.6], [0.25, -0.6], [0.4, -0.25]])), fill=(240, 240, 238)
        )
        for x in (-0.4, -0.15, 0.1):
            draw.polygon(pose.place(ellipse(x, -0.42, 0.08, 0.08)), fill=(60, 85, 110))
        draw.polygon(
            pose.place(np.array([[-0.3, -0.6], [-0.28, -0.95], [-0.08, -0.95], [-0.06, -0.6]])), fill=(190, 70, 50)
        )
    for _ in range(30):
        x, y = pose.x + rng.normal(0, 0.6) * scale, pose.y + 0.13 * scale + rng.normal(0, 3)
        draw.ellipse((x - 7, y - 2, x + 7, y + 2), fill=jitter(rng, (222, 232, 236), 8))
    return image


def abstract(rng: np.random.Generator) -> Image.Image:
    """Stripes, rings, tiles, blobs or plain noise."""
    kind = int(rng.integers(5))
    first, second = (rng.integers(0, 256, 3).astype(float) for _ in range(2))
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.float64)
    if kind == 0:
        angle = rng.uniform(0, np.pi)
        level = np.sin((x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(0.05, 0.3)) > 0
    elif kind == 1:
        level = np.sin(np.hypot(x - rng.uniform(0, _WIDTH), y - rng.uniform(0, _HEIGHT)) * rng.uniform(0.06, 0.25)) > 0
    elif kind == 2:
        side = rng.integers(16, 70)
        level = ((x // side) + (y // side)) % 2 > 0
    elif kind == 3:
        coarse = rng.uniform(0, 255, (int(rng.integers(3, 9)), int(rng.integers(3, 12)), 3)).astype(np.uint8)
        return Image.fromarray(coarse).resize(CANVAS, Image.Resampling.NEAREST)
    else:
        return to_image(rng.uniform(0, 255, (_HEIGHT, _WIDTH, 3)))
    return to_image(np.where(level[..., None], first, second))
