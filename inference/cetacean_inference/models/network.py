"""What both networks are: a trunk, where the work is, and a head, where the decision is.

The head is a thousandth of the work and the most sensitive part: a hundred times a cosine goes into a softmax. Engines
may compute the trunk in whatever precision agrees with eager torch, and compute the head in full.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Bytes to what a model was trained on: uint8 (N, H, W, 3), RGB → float32 (N, 3, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Scale to 0..1, then by mean and deviation."""
        scaled = images.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        return (scaled - self.mean) / self.std


class Network(nn.Module):
    """What serves.

    Args:
        trunk: uint8 (N, S, S, 3) → features (N, F).
        head: features → what is told of each picture, (N,) or (N, K).
    """

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, S, S, 3) → (N,) or (N, K)."""
        told: Tensor = self.head(self.trunk(images))
        return told
