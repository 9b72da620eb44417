"""The bytes that an answer may have."""

from __future__ import annotations

import httpcore
import pytest

from cetacean_inference.answer_budget import PIECE, AnswerBudget


def test_an_answer_is_read_in_small_pieces_within_its_bound() -> None:
    budget = AnswerBudget(PIECE + 10)
    assert budget.allowed(65536) == PIECE
    budget.received(PIECE)
    assert budget.allowed(65536) == 10
    assert budget.allowed(3) == 3
    budget.received(10)
    with pytest.raises(httpcore.NetworkError, match=rf"expected at most {PIECE + 10} bytes before the body, got more"):
        budget.allowed(1)


def test_another_request_begins_again_and_a_body_has_no_bound() -> None:
    budget = AnswerBudget(10)
    budget.received(10)
    budget.restart()
    assert budget.allowed(65536) == 10
    budget.release()
    budget.received(10**9)
    assert budget.allowed(65536) == 65536
    budget.restart()
    assert budget.allowed(65536) == 10
