"""The training loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cetacean_tools.demo_models.recipe import Schedule
from cetacean_tools.demo_models.training import train


def random_images(many: int, side: int = 16) -> Tensor:
    return torch.randint(0, 256, (many, side, side, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def test_training_learns_and_reports_each_pass() -> None:
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
    train(images, loss_of, model.parameters(), schedule=schedule, show=lines.append)
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
            show=print,
        )
