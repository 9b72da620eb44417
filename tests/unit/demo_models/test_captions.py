"""Each drawing has prompts of the gate, and each prompt has a drawing."""

from __future__ import annotations

from collections import Counter

import numpy as np

from cetacean_inference.models.prompts import default_prompts
from cetacean_tools.demo_models.captions import CAPTIONS, SORTS, targets
from cetacean_tools.demo_models.drawing import SCENES, SPECIES

PROMPTS = default_prompts()
CETACEANS = {*SPECIES, "aerial"}


def test_every_sort_of_drawing_has_prompts() -> None:
    assert set(CAPTIONS) == {*SPECIES, *SCENES}


def test_cetaceans_have_positive_prompts_only_and_other_scenes_negative_ones_only() -> None:
    for sort, described in CAPTIONS.items():
        assert len(set(described)) == len(described)
        assert set(described) <= set(PROMPTS.positive if sort in CETACEANS else PROMPTS.negative)


def test_each_prompt_describes_something() -> None:
    uses = Counter(caption for described in CAPTIONS.values() for caption in described)
    assert set(uses) == set(PROMPTS.all)
    assert all(uses[caption] == 1 for caption in PROMPTS.negative)


def test_targets_share_the_whole_among_the_prompts_that_describe_a_drawing() -> None:
    rows = targets(PROMPTS)
    assert rows.shape == (len(SPECIES) + len(SCENES), len(PROMPTS.all))
    np.testing.assert_allclose(rows.sum(axis=1), 1.0)
    humpback = rows[SORTS.index("humpback_whale")]
    assert humpback[PROMPTS.all.index("a photo of a humpback whale")] == 1 / 5
    assert humpback[PROMPTS.all.index("a photo of a boat on water")] == 0
