"""Reads parameters without running code from the file, and checks them against the model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cetacean_inference.errors import CheckpointMismatch
from cetacean_inference.messages import one_line
from cetacean_inference.models.pickled_state import PickleRefused
from cetacean_inference.models.torch_archive import ArchiveRefused, read_torch_archive
from cetacean_inference.weights.blob import Blob
from cetacean_inference.weights.file_kinds import HEAD_BYTES, ZIP_SIGNATURE, describe_content, is_safetensors
from cetacean_inference.weights.unverified_pickles import unverified_pickle

NAMED_KEYS: Final = 3
"""Number of wrong keys that a message names."""
FLOATS: Final = frozenset({torch.bfloat16, torch.float16, torch.float32, torch.float64})
EXPECTED: Final = "expected a .safetensors file, or a zip archive of torch.save with a state dict"


def read_state(stream: IO[bytes], blob: Blob, *, pickle_allowed: bool) -> Mapping[str, Any]:
    """Read a state dict: a safetensors file, or a file of `torch.save` with the dict or with it as `state_dict`.

    Args:
        stream: the file, at its first byte.
        blob: its URL and digest.
        pickle_allowed: take a file of `torch.save`; it should be False if nobody named the file's digest.

    Raises:
        CheckpointMismatch: it is another kind of file, which the message names, or a pickle that is not allowed.
    """
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    if is_safetensors(head):
        return read_safetensors(stream, blob)
    if not head.startswith(ZIP_SIGNATURE):
        raise CheckpointMismatch(f"{blob.url}: {EXPECTED}, got {describe_content(head)}")
    if not pickle_allowed:
        raise unverified_pickle(blob.url)
    try:
        state: Mapping[str, Any] = read_torch_archive(stream)
    except (ArchiveRefused, PickleRefused) as error:
        raise CheckpointMismatch(f"{blob.url}: {EXPECTED}, got {error}") from error
    return state


def read_safetensors(stream: IO[bytes], blob: Blob) -> dict[str, Tensor]:
    """Read a .safetensors file through the open descriptor: the bytes that were verified.

    Raises:
        CheckpointMismatch: it is another kind of file.
    """
    try:
        return load_file(f"/dev/fd/{stream.fileno()}")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise CheckpointMismatch(f"{blob.url}: expected a safetensors file, got: {one_line(error)}") from error


def load_strictly(model: nn.Module, state: Mapping[str, Any], *, url: str) -> None:
    """Set the model's parameters, in float32.

    Raises:
        CheckpointMismatch: names the first missing, unexpected or differently shaped keys, or those of another type.
    """
    expected = model.state_dict()
    shared = {key: tensor for key, tensor in expected.items() if key in state}
    problems = [
        _describe_keys("missing", sorted(expected.keys() - state.keys())),
        _describe_keys("unexpected", sorted(map(str, state.keys() - expected.keys()))),
        _describe_keys(
            "of another shape",
            [
                f"{key} (expected {_shape(tensor)}, got {_shape(state[key])})"
                for key, tensor in shared.items()
                if _shape(state[key]) != _shape(tensor)
            ],
        ),
        _describe_keys(
            "of another type",
            [
                f"{key} (expected {_type(tensor)}, got {_type(state[key])})"
                for key, tensor in shared.items()
                if _shape(state[key]) == _shape(tensor) and not _convertible(state[key], tensor)
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


def _convertible(given: Tensor, expected: Tensor) -> bool:
    if given.layout is not torch.strided or given.is_quantized or given.device.type != "cpu":
        return False
    return given.dtype in FLOATS if expected.is_floating_point() else given.dtype == expected.dtype


def _shape(value: Any) -> str:
    return "x".join(map(str, value.shape)) or "scalar" if isinstance(value, Tensor) else type(value).__name__


def _type(tensor: Tensor) -> str:
    layout = "" if tensor.layout is torch.strided else f" {str(tensor.layout).removeprefix('torch.')}"
    place = "" if tensor.device.type == "cpu" else f" on {tensor.device.type}"
    return f"{str(tensor.dtype).removeprefix('torch.')}{layout}{place}"


def _describe_keys(fault: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    return f"{len(keys)} {fault}: {', '.join(keys[:NAMED_KEYS])}{more}"
