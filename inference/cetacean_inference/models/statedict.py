"""Read parameters from files without running code in them, and hold them against what a model expects."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import IO, Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cetacean_inference.errors import CheckpointMismatch
from cetacean_inference.weights.cache import Blob

NAMED_KEYS: Final = 3
"""How many wrong keys a message names."""


def read_pickled(stream: IO[bytes], blob: Blob) -> Any:
    """What `torch.save` wrote: tensors and plain containers only.

    Raises:
        CheckpointMismatch: when it holds anything that would have to be executed, or is no such file.
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
    """What a .safetensors file holds, read through the open file and not through its name again.

    Raises:
        CheckpointMismatch: when it is no such file.
    """
    try:
        return load_file(f"/dev/fd/{stream.fileno()}")
    except (SafetensorError, OSError) as error:
        raise CheckpointMismatch(f"{blob.url}: expected a safetensors file, got: {_first_line(error)}") from error


def load_strictly(model: nn.Module, state: Mapping[str, Any], *, url: str) -> None:
    """Give the model its parameters, in float32.

    Raises:
        CheckpointMismatch: naming the first missing, unexpected or differently shaped keys.
    """
    expected = model.state_dict()
    problems = [
        _named("missing", sorted(expected.keys() - state.keys())),
        _named("unexpected", sorted(map(str, state.keys() - expected.keys()))),
        _named(
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
    # assign: the file's tensors become the parameters, without a second copy in memory.
    model.load_state_dict(state, strict=True, assign=True)
    model.float()
    if bad := [key for key, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]:
        raise CheckpointMismatch(f"{url}: expected finite parameters, got {_named('with NaN or infinity', bad)}")


def _shape(value: Any) -> str:
    return "x".join(map(str, value.shape)) or "scalar" if isinstance(value, Tensor) else type(value).__name__


def _named(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    return f"{len(keys)} {what}: {', '.join(keys[:NAMED_KEYS])}{more}"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
