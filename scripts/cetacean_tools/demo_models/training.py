"""The loop that trains both models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from cetacean_tools.demo_models.recipe import SEED, Schedule


def train(
    images: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    parameters: Iterable[nn.Parameter],
    *,
    schedule: Schedule,
    show: Callable[[str], None],
) -> None:
    """Fit parameters by AdamW on a one-cycle schedule.

    Args:
        images: uint8 (N, S, S, 3).
        loss_of: from a batch of pictures, float32 (B, S, S, 3), 0..255, and their indices (B,), to a loss.
        parameters: those to fit.
        schedule: number of passes and learning rate.
        show: called with one line for each pass.
    """
    parameters = list(parameters)
    batches = len(images) // schedule.batch
    if batches == 0:
        raise ValueError(f"expected at least {schedule.batch} pictures for one batch, got {len(images)}")
    optimiser = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=0.05)
    pace = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.epochs * batches, pct_start=0.2
    )
    generator = torch.Generator().manual_seed(SEED)
    begun = time.monotonic()
    for epoch in range(schedule.epochs):
        total = 0.0
        order = torch.randperm(len(images), generator=generator)[: batches * schedule.batch]
        for indices in torch.split(order, schedule.batch):
            # Move the pictures by some pixels, so that the model does not overfit.
            shifts = torch.randint(-6, 7, (2,), generator=generator).tolist()
            loss = loss_of(torch.roll(images[indices], shifts, dims=(1, 2)).float(), indices)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            pace.step()
            total += loss.item()
        seconds = time.monotonic() - begun
        show(f"  pass {epoch + 1} of {schedule.epochs}: loss {total / batches:.2f}, {seconds:.0f} s")
