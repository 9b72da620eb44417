"""The tier itself: its bounds are real, and a failure shows its input and how to repeat it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st
from support.fuzzing import CALLS, TARGETS, Target, assert_message, bounded


def test_work_without_an_end_is_stopped() -> None:
    def work() -> None:
        while True:
            try:
                sum(range(1000))
            except Exception:  # noqa: BLE001 - a parser that goes on after every error
                continue

    with pytest.raises(AssertionError, match=r"expected at most 0\.2 s of processor time"), bounded(cpu_seconds=0.2):
        work()


def test_more_memory_than_the_bound_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="bytes of memory"), bounded(memory=2**24):
        bytes(2**28)
    assert len(bytes(2**28)) == 2**28, "the bound ends with the block"


@pytest.mark.parametrize("text", ["", "two\nlines", "\x1b[31mred", "x" * 2001])
def test_a_message_that_is_not_one_short_line_is_a_failure(text: str) -> None:
    with pytest.raises(AssertionError):
        assert_message(text)


def test_a_failure_shows_the_smallest_input_and_how_to_repeat_it(tmp_path: Path) -> None:
    def check(value: int) -> None:
        assert value < 7

    target = Target("numbers", check, st.integers())
    with pytest.raises(AssertionError) as caught:
        target.run(100, database=tmp_path)
    notes = "\n".join(caught.value.__notes__)
    assert "value=7" in notes
    assert "@reproduce_failure" in notes
    assert CALLS["numbers"] > 0
    assert list(tmp_path.rglob("*")), "the next run begins with this input"


def test_no_two_targets_have_one_name() -> None:
    assert len({target.name for target in TARGETS}) == len(TARGETS)
