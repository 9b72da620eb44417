"""The structure of both networks: a trunk, which does the work, and a head, which turns features into scores.

The head is a thousandth of the work and the most sensitive part: it scales a cosine by a hundred before a softmax.
Engines may compute the trunk in any precision that agrees with eager torch; they compute the head in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Scales bytes as in training: uint8 (N, H, W, 3), RGB → float32 (N, 3, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Scale to 0..1, subtract the mean, divide by the standard deviation."""
        scaled = images.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        return (scaled - self.mean) / self.std


class Network(nn.Module):
    """A network as it serves.

    Args:
        trunk: uint8 (N, S, S, 3) → features (N, F).
        head: features → scores, (N,) or (N, K).
    """

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, S, S, 3) → (N,) or (N, K)."""
        scores: Tensor = self.head(self.trunk(images))
        return scores
