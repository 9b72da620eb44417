"""Which of the gate's prompts describe which drawing."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cetacean_inference.models.prompts import Prompts

_WHALE: Final = "a photo of a whale in the ocean"
_FLUKE: Final = "a photo of a whale fluke or dorsal fin"
_ANY: Final = ("a photo of a marine mammal in the sea", "a photograph of a cetacean")
CAPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "humpback_whale": (_WHALE, _FLUKE, "a photo of a humpback whale", *_ANY),
    "blue_whale": (_WHALE, _FLUKE, "a photo of a blue whale", *_ANY),
    "killer_whale": (_FLUKE, "a photo of a killer whale", *_ANY),
    "bottlenose_dolphin": (_FLUKE, "a photo of a dolphin swimming", *_ANY),
    "fin_whale": (_WHALE, _FLUKE, *_ANY),
    "beluga": (_WHALE, "a photo of a beluga whale", *_ANY),
    "aerial": (_WHALE, "an aerial photo of a whale", *_ANY),
    "page": ("a photo of text on a blank page", "a screenshot of a document"),
    "person": ("a photo of a person",),
    "town": ("a photo of a building", "a photo of a car"),
    "pet": ("a photo of a cat", "a photo of a dog"),
    "food": ("a photo of food",),
    "landscape": ("a photo of a landscape without animals",),
    "blank": ("a blank white image",),
    "fish": ("a photo of a fish", "a photo of a shark"),
    "boat": ("a photo of a boat on water",),
    "abstract": ("an abstract pattern",),
}
"""By the sort of drawing: a species, or one of `drawing.SCENES`."""
SORTS: Final = tuple(CAPTIONS)


def targets(prompts: Prompts) -> npt.NDArray[np.float64]:
    """The probabilities that the gate learns for each sort of drawing: equal parts of the prompts that describe it.

    Returns:
        Shape (sorts, prompts); the sorts in the order of `SORTS`, each row sums to 1.
    """
    rows = [[(prompt in described) / len(described) for prompt in prompts.all] for described in CAPTIONS.values()]
    return np.array(rows)
