"""ADWIN: the same as river's class, in a process that starts fast."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from river.drift import ADWIN

from cetacean_inference.monitoring.adwin import Adwin

LEVELS = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 120)), min_size=1, max_size=6)


@given(LEVELS, st.sampled_from((0.002, 0.3)))
def test_it_finds_the_changes_that_rivers_class_finds(levels: list[tuple[float, int]], delta: float) -> None:
    expected, found = ADWIN(delta=delta), Adwin(delta=delta)
    for value in (level for level, times in levels for _ in range(times)):
        expected.update(value)
        assert found.update(value) == bool(expected.drift_detected)
        assert (found.width, found.mean or 0.0) == (expected.width, expected.estimation)


def test_it_has_no_mean_without_values() -> None:
    assert (Adwin(delta=0.002).width, Adwin(delta=0.002).mean) == (0, None)


def test_the_modules_of_the_service_import_neither_scipy_nor_sklearn() -> None:
    program = (
        "import sys, cetacean_inference.http.serve, cetacean_inference.pipeline\n"
        "print([name for name in ('scipy', 'sklearn', 'torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
