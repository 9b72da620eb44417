"""torch as it is: the reference, on the CPU or on CUDA."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from cetacean_inference.engines.base import Runner, Scored
from cetacean_inference.models.preprocessing import Pixels


class EagerEngine:
    """Runs networks in float32, operator by operator."""

    def __init__(self, device: torch.device) -> None:
        self.device: Final = device

    def compile(self, network: nn.Module) -> Runner:
        """Move the network to the device."""
        network = network.to(self.device)

        def run(images: Pixels) -> Scored:
            with torch.inference_mode():
                result: Scored = network(torch.from_numpy(images).to(self.device)).float().cpu().numpy()
            return result

        return run


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA when there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
