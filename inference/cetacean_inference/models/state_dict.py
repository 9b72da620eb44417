"""Reads parameters without running code from the file, and checks them against the model's."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import IO, Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cetacean_inference.errors import CheckpointMismatch
from cetacean_inference.weights.blob import Blob

NAMED_KEYS: Final = 3
"""Number of wrong keys that a message names."""


def read_pickled(stream: IO[bytes], blob: Blob) -> Any:
    """Read a file of `torch.save`: tensors and plain containers only.

    Raises:
        CheckpointMismatch: it contains code to execute, or is another kind of file.
    """
    try:
        return torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).splitlines()[0]
        raise CheckpointMismatch(
            f"{blob.url}: expected tensors and plain containers only (weights_only=True), got: {first} "
            "- save it again as torch.save({'state_dict': model.state_dict()}, path)"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise CheckpointMismatch(f"{blob.url}: expected a file of torch.save, got: {_first_line(error)}") from error


def read_safetensors(stream: IO[bytes], blob: Blob) -> dict[str, Tensor]:
    """Read a .safetensors file through the open descriptor: the bytes that were verified.

    Raises:
        CheckpointMismatch: it is another kind of file.
    """
    try:
        return load_file(f"/dev/fd/{stream.fileno()}")
    except (SafetensorError, OSError) as error:
        raise CheckpointMismatch(f"{blob.url}: expected a safetensors file, got: {_first_line(error)}") from error


def load_strictly(model: nn.Module, state: Mapping[str, Any], *, url: str) -> None:
    """Set the model's parameters, in float32.

    Raises:
        CheckpointMismatch: names the first missing, unexpected or differently shaped keys.
    """
    expected = model.state_dict()
    problems = [
        _describe_keys("missing", sorted(expected.keys() - state.keys())),
        _describe_keys("unexpected", sorted(map(str, state.keys() - expected.keys()))),
        _describe_keys(
            "of another shape",
            [
                f"{key} (expected {_shape(tensor)}, got {_shape(state[key])})"
                for key, tensor in expected.items()
                if key in state and _shape(state[key]) != _shape(tensor)
            ],
        ),
    ]
    if found := "; ".join(filter(None, problems)):
        raise CheckpointMismatch(f"{url}: expected the {len(expected)} parameters of the architecture, got {found}")
    # assign: the file's tensors become the parameters; there is no second copy in memory.
    model.load_state_dict(state, strict=True, assign=True)
    model.float()
    if bad := [key for key, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]:
        raise CheckpointMismatch(
            f"{url}: expected finite parameters, got {_describe_keys('with NaN or infinity', bad)}"
        )


def _shape(value: Any) -> str:
    return "x".join(map(str, value.shape)) or "scalar" if isinstance(value, Tensor) else type(value).__name__


def _describe_keys(fault: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    return f"{len(keys)} {fault}: {', '.join(keys[:NAMED_KEYS])}{more}"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
