"""How large a converted network becomes, by the type of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cetacean_inference.engines.converted_size import largest_converted_size

VALUES = 1000


def save_safetensors(state: dict[str, Any], file: Path) -> None:
    save_file(state, file)


@pytest.mark.parametrize("save", [save_safetensors, torch.save])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_values_in_half_precision_become_twice_as_large(tmp_path: Path, save: Any, half: torch.dtype) -> None:
    file = tmp_path / "weights"
    save({"a": torch.zeros(VALUES), "b": torch.zeros(VALUES, dtype=half)}, file)
    assert largest_converted_size(file) >= 8 * VALUES
    size = file.stat().st_size
    assert size < largest_converted_size(file) <= 2 * size
    save({"a": torch.zeros(VALUES)}, file)
    assert largest_converted_size(file) == file.stat().st_size


@pytest.mark.parametrize(
    "content", [b"", b"x", b"PK\x03\x04", (20).to_bytes(8, "little") + b"{", (2).to_bytes(8, "little") + b"[]"]
)
def test_a_file_that_cannot_be_read_counts_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights"
    file.write_bytes(content)
    assert largest_converted_size(file) == len(content)
