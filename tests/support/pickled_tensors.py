"""Pickles of tensors whose sizes do not fit their storage, as `torch.save` never writes them."""

from __future__ import annotations

import collections
import io
import pickle
from typing import Any, Final

import torch

ELEMENTS: Final = 6
"""Floats of the storage, as in the weights of a linear layer from 3 to 2."""
_STORAGE: Final = object()


def pickled_tensor(shape: tuple[int, ...], strides: tuple[int, ...], *, offset: int = 0, key: str = "0") -> bytes:
    """Return the pickle of a state dict: `a` is a tensor of these sizes on the storage `key` of ELEMENTS floats."""

    class Saved(pickle.Pickler):
        def persistent_id(self, given: Any) -> Any:
            return ("storage", torch.FloatStorage, key, "cpu", ELEMENTS) if given is _STORAGE else None

    class Rebuilt:
        def __reduce__(self) -> tuple[Any, ...]:
            rebuild = torch._utils._rebuild_tensor_v2  # noqa: SLF001 - the name that torch.save writes
            return rebuild, (_STORAGE, offset, shape, strides, False, collections.OrderedDict())

    stream = io.BytesIO()
    Saved(stream, protocol=2).dump({"a": Rebuilt()})
    return stream.getvalue()
