"""The gate's prompts: the threshold was calibrated with their exact wording."""

from __future__ import annotations

from cetacean_inference.models.prompts import Prompts, default_prompts


def test_the_prompts_are_those_that_the_threshold_was_calibrated_with() -> None:
    default_prompts.cache_clear()
    prompts = default_prompts()
    assert (len(prompts.positive), len(prompts.negative)) == (10, 14)
    assert prompts.all == (*prompts.positive, *prompts.negative)
    assert all(text.strip() == text and not text.startswith("#") for text in prompts.all)
    assert prompts.sha256 == "43d0dfed0bd7e89621418e6c44e4b5175ec087606da69e3f3eb8982cc6d173af"
    assert default_prompts() is prompts


def test_the_digest_is_of_wording_order_and_position() -> None:
    prompts = Prompts(("a whale", "a dolphin"), ("a boat",))
    others = [
        Prompts(("a dolphin", "a whale"), ("a boat",)),
        Prompts(("a whale",), ("a dolphin", "a boat")),
        Prompts(("a whale", "a dolphin"), ("a ship",)),
    ]
    assert len({one.sha256 for one in (prompts, *others)}) == 4
    assert Prompts(("a whale", "a dolphin"), ("a boat",)).sha256 == prompts.sha256
