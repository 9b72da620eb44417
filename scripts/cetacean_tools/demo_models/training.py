"""The loop that both models are trained by, and what is done to pictures meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from cetacean_tools.demo_models.recipe import Schedule

SHIFT = 6
"""Pixels that a picture is moved by at most."""
CONTRAST, BRIGHTNESS = 0.1, 12.0
"""Standard deviations: of a factor, and of grey levels of 255."""


def train(
    images: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    parameters: Iterable[nn.Parameter],
    *,
    schedule: Schedule,
    generator: torch.Generator,
    show: Callable[[str], None],
) -> None:
    """Fit parameters by AdamW on a one-cycle schedule.

    Args:
        images: uint8 (N, S, S, 3).
        loss_of: from a batch of varied pictures (B, S, S, 3), 0..255, and their indices (B,), to a loss.
        parameters: what is fitted.
        schedule: how long and how fast.
        generator: draws the order and the variations.
        show: told of each pass in one line.
    """
    parameters = list(parameters)
    batches = len(images) // schedule.batch
    if batches == 0:
        raise ValueError(f"expected at least {schedule.batch} pictures for one batch, got {len(images)}")
    optimiser = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=schedule.weight_decay)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.epochs * batches, pct_start=0.2
    )
    begun = time.monotonic()
    for epoch in range(schedule.epochs):
        total = 0.0
        order = torch.randperm(len(images), generator=generator)[: batches * schedule.batch]
        for indices in torch.split(order, schedule.batch):
            loss = loss_of(varied(images[indices], generator), indices)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            pace.step()
            total += loss.item()
        seconds = time.monotonic() - begun
        show(f"  pass {epoch + 1} of {schedule.epochs}: loss {total / batches:.2f}, {seconds:.0f} s")


def varied(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move a batch by a few pixels, and change each picture's contrast and brightness.

    Args:
        images: uint8 (B, S, S, 3).
        generator: draws how much.

    Returns:
        float32 (B, S, S, 3), 0..255.
    """
    side = images.shape[1]
    padded = functional.pad(images.permute(0, 3, 1, 2).float(), (SHIFT,) * 4, mode="replicate")
    left, top = torch.randint(0, 2 * SHIFT + 1, (2,), generator=generator).tolist()
    moved = padded[:, :, top : top + side, left : left + side].permute(0, 2, 3, 1)
    factor = 1 + CONTRAST * torch.randn(len(images), 1, 1, 1, generator=generator)
    offset = BRIGHTNESS * torch.randn(len(images), 1, 1, 1, generator=generator)
    return ((moved - 128) * factor + 128 + offset).clamp(0, 255)
