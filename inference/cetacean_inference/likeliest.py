"""The likeliest of thousands of individuals, without sorting them all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def likeliest(probabilities: npt.NDArray[np.float32], number: int) -> npt.NDArray[np.intp]:
    """Return the rows of the largest probabilities, the largest first; equal ones by the order of the rows.

    Args:
        probabilities: (K,), finite; at least one.
        number: of rows to return, at least 1; all K if there are fewer.
    """
    number = min(number, len(probabilities))
    smallest = np.partition(probabilities, -number)[-number]
    rows = np.flatnonzero(probabilities >= smallest)
    return rows[np.argsort(-probabilities[rows], kind="stable")][:number]
