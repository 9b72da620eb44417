"""What is no cetacean: one kind of drawing for each negative prompt of the anti-fraud gate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from cetacean_tools.demo_models.drawing import animals, scenes
from cetacean_tools.demo_models.drawing.canvas import finish

_KINDS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "text_page": scenes.text_page,
    "document": scenes.document,
    "person": animals.person,
    "building": scenes.building,
    "car": scenes.car,
    "cat": animals.cat,
    "dog": animals.dog,
    "food": scenes.food,
    "landscape": scenes.landscape,
    "blank": scenes.blank,
    "fish": animals.fish,
    "boat": scenes.boat,
    "shark": animals.shark,
    "abstract": scenes.abstract,
}
OTHERS = tuple(_KINDS)


def draw_other(kind: str, seed: int, number: int) -> Image.Image:
    """The `number`-th picture of a kind of `OTHERS`."""
    rng = np.random.default_rng([seed, 5, OTHERS.index(kind), number])
    return finish(rng, _KINDS[kind](rng))
