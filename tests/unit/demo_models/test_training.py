"""The loop and its parts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cetacean_tools.demo_models.identification import with_margin
from cetacean_tools.demo_models.recipe import Schedule
from cetacean_tools.demo_models.training import SHIFT, train, varied


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(many: int, side: int = 16) -> Tensor:
    return torch.randint(0, 256, (many, side, side, 3), generator=generator(), dtype=torch.uint8)


def test_varied_pictures_keep_their_shape_and_range_and_follow_the_generator() -> None:
    images = random_images(4)
    once, again, otherwise = varied(images, generator()), varied(images, generator()), varied(images, generator(4))
    assert once.shape == images.shape
    assert once.min() >= 0 and once.max() <= 255  # noqa: PT018 - one range
    assert torch.equal(once, again)
    assert not torch.equal(once, otherwise)


def test_a_varied_picture_is_moved_by_a_few_pixels_and_not_turned() -> None:
    images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    images[0, 16, 16] = 255
    brightest = varied(images, generator())[0].sum(dim=-1).argmax()
    row, column = divmod(int(brightest), 32)
    assert abs(row - 16) <= SHIFT
    assert abs(column - 16) <= SHIFT


def test_training_learns_what_can_be_learnt_and_tells_of_each_pass() -> None:
    images = torch.zeros(64, 4, 4, 3, dtype=torch.uint8)
    images[::2] = 200
    bright = torch.arange(64) % 2 == 0
    model = nn.Linear(1, 1)
    lines: list[str] = []

    def loss_of(batch: Tensor, indices: Tensor) -> Tensor:
        guess = model(batch.mean(dim=(1, 2, 3)).div(255).unsqueeze(1)).squeeze(1)
        return nn.functional.binary_cross_entropy_with_logits(guess, bright[indices].float())

    everything = torch.arange(64)
    before = loss_of(images.float(), everything).item()
    schedule = Schedule(epochs=20, rate=0.3, batch=16)
    train(images, loss_of, model.parameters(), schedule=schedule, generator=generator(), show=lines.append)
    assert loss_of(images.float(), everything).item() < 0.3 * before
    assert len(lines) == 20
    assert lines[0].startswith("  pass 1 of 20: loss ")


def test_fewer_pictures_than_a_batch_are_an_error() -> None:
    with pytest.raises(ValueError, match="expected at least 64 pictures for one batch, got 3"):
        train(
            random_images(3),
            lambda batch, _: batch.mean(),
            [nn.Parameter(torch.zeros(1))],
            schedule=Schedule(epochs=1, rate=0.1),
            generator=generator(),
            show=print,
        )


def test_the_margin_turns_a_picture_away_from_its_own_row_only() -> None:
    cosine = torch.tensor([[math.cos(1.0), 0.3], [0.1, math.cos(0.5)]])
    turned = with_margin(cosine, torch.tensor([0, 1]), 0.2)
    assert turned[0, 0].item() == pytest.approx(math.cos(1.2), abs=1e-6)
    assert turned[1, 1].item() == pytest.approx(math.cos(0.7), abs=1e-6)
    assert turned[0, 1].item() == pytest.approx(0.3)
    assert turned[1, 0].item() == pytest.approx(0.1)


@settings(deadline=None)
@given(cosine=st.floats(-1, 1), nearer=st.floats(0.001, 0.5), margin=st.floats(0, 0.5))
def test_the_margin_never_makes_it_easier_nor_changes_who_is_nearer(
    cosine: float, nearer: float, margin: float
) -> None:
    labels = torch.tensor([0, 0])
    pair = torch.tensor([[cosine], [min(1.0, cosine + nearer)]])
    turned = with_margin(pair, labels, margin).flatten()
    assert (turned <= pair.flatten() + 2e-3).all()
    assert turned[0] <= turned[1] + 2e-3
