"""Each drawing goes with prompts of the gate, and each prompt with a drawing."""

from __future__ import annotations

from collections import Counter

import numpy as np

from cetacean_inference.models.prompts import default_prompts
from cetacean_tools.demo_models.captions import SORTS, captions, targets
from cetacean_tools.demo_models.drawing import OTHERS, SPECIES

PROMPTS = default_prompts()


def test_cetaceans_have_positive_prompts_only_and_others_one_negative_prompt() -> None:
    for kind, subject in SORTS:
        described = captions(kind, subject)
        assert len(set(described)) == len(described)
        if kind == "other":
            assert len(described) == 1
            assert set(described) <= set(PROMPTS.negative)
        else:
            assert set(described) <= set(PROMPTS.positive)


def test_each_prompt_describes_something() -> None:
    uses = Counter(caption for kind, subject in SORTS for caption in captions(kind, subject))
    assert set(uses) == set(PROMPTS.all)
    assert all(uses[caption] == 1 for caption in PROMPTS.negative)


def test_a_fluke_is_no_aerial_photograph() -> None:
    for species in SPECIES:
        assert "an aerial photo of a whale" in captions("aerial", species)
        assert "an aerial photo of a whale" not in captions("cetacean", species)
        assert "a photo of a whale fluke or dorsal fin" not in captions("aerial", species)


def test_targets_share_the_whole_among_the_prompts_that_describe_a_drawing() -> None:
    rows = targets(PROMPTS)
    assert rows.shape == (2 * len(SPECIES) + len(OTHERS), len(PROMPTS.all))
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)
    humpback = rows[SORTS.index(("cetacean", "humpback_whale"))]
    assert humpback[PROMPTS.all.index("a photo of a humpback whale")] == 1 / 5
    assert humpback[PROMPTS.all.index("a photo of a boat on water")] == 0
