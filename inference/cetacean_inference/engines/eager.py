"""Eager torch, on the CPU (the reference) or on CUDA."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from cetacean_inference.engines.base import Outputs, Runner
from cetacean_inference.imaging.preprocessing import Pixels


class EagerEngine:
    """Runs networks in float32, operator by operator."""

    def __init__(self, device: torch.device) -> None:
        self.device: Final = device

    def compile(self, network: nn.Module) -> Runner:
        """Move the network to the device and return a function that runs it."""
        network = network.to(self.device)

        def run(images: Pixels) -> Outputs:
            with torch.inference_mode():
                result: Outputs = network(torch.from_numpy(images).to(self.device)).float().cpu().numpy()
            return result

        return run


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` is CUDA if there is a device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
