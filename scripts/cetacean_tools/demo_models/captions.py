"""Which of the gate's prompts describe which drawing."""

from __future__ import annotations

from typing import Final

import numpy as np

from cetacean_inference.models.prompts import Prompts
from cetacean_tools.demo_models.drawing import OTHERS, SPECIES, FloatArray

_WHALE: Final = "a photo of a whale in the ocean"
_AERIAL: Final = "an aerial photo of a whale"
_FLUKE: Final = "a photo of a whale fluke or dorsal fin"
_ANY: Final = ("a photo of a marine mammal in the sea", "a photograph of a cetacean")
_SPECIES: Final[dict[str, tuple[str, ...]]] = {
    "humpback_whale": (_WHALE, _FLUKE, "a photo of a humpback whale"),
    "blue_whale": (_WHALE, _FLUKE, "a photo of a blue whale"),
    "killer_whale": (_FLUKE, "a photo of a killer whale"),
    "bottlenose_dolphin": (_FLUKE, "a photo of a dolphin swimming"),
    "fin_whale": (_WHALE, _FLUKE),
    "beluga": (_WHALE, "a photo of a beluga whale"),
}
_OTHERS: Final[dict[str, str]] = {
    "text_page": "a photo of text on a blank page",
    "document": "a screenshot of a document",
    "person": "a photo of a person",
    "building": "a photo of a building",
    "car": "a photo of a car",
    "cat": "a photo of a cat",
    "dog": "a photo of a dog",
    "food": "a photo of food",
    "landscape": "a photo of a landscape without animals",
    "blank": "a blank white image",
    "fish": "a photo of a fish",
    "boat": "a photo of a boat on water",
    "shark": "a photo of a shark",
    "abstract": "an abstract pattern",
}


def captions(kind: str, subject: str) -> tuple[str, ...]:
    """The prompts that describe a drawing.

    Args:
        kind: `cetacean`, `aerial` or `other`.
        subject: a species, or one of `OTHERS`.
    """
    if kind == "other":
        return (_OTHERS[subject],)
    own = _SPECIES[subject]
    if kind == "aerial":
        return (*(caption for caption in own if caption != _FLUKE), _AERIAL, *_ANY)
    return (*own, *_ANY)


def targets(prompts: Prompts) -> FloatArray:
    """What the gate should say of each sort of drawing: equal parts of the prompts that describe it.

    Returns:
        Shape (sorts, prompts); the sorts in the order of `SORTS`, each row sums to 1.
    """
    rows = np.zeros((len(SORTS), len(prompts.all)))
    for row, (kind, subject) in zip(rows, SORTS, strict=True):
        described = [prompts.all.index(caption) for caption in captions(kind, subject)]
        row[described] = 1 / len(described)
    return rows


SORTS: Final = (
    *(("cetacean", species) for species in SPECIES),
    *(("aerial", species) for species in SPECIES),
    *(("other", kind) for kind in OTHERS),
)
"""All sorts of drawings: kind and subject."""
