"""Which pictures are copied, and the bounds of what is kept."""

from __future__ import annotations

import hashlib

from cetacean_inference.decision import Detection
from cetacean_inference.shadow.answers import Answer
from cetacean_inference.shadow.samples import RequestSamples, SampleQueue

ANSWER = Answer(accepted=True, species="orca", individual="a", score=9000, probability=8000, compute_us=10)


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def queue(*, share: float = 1.0, max_pictures: int = 8, max_bytes: int = 1000) -> SampleQueue:
    made = SampleQueue(max_pictures=max_pictures, max_bytes=max_bytes)
    made.restart(share)
    return made


def answered(made: SampleQueue, number: int, data: bytes = b"x") -> RequestSamples:
    request = RequestSamples(made)
    if (sample := request.copy(digest(number), data)) is not None:
        sample.answer = ANSWER
    return request


def test_the_digest_decides_and_the_share_is_kept() -> None:
    made = queue(share=0.25, max_pictures=10_000, max_bytes=10**6)
    chosen = {number for number in range(4000) if made.copy(digest(number), b"x") is not None}
    # 4000 draws at 0.25: five standard deviations are 137.
    assert abs(len(chosen) - 1000) < 137
    again = queue(share=0.25, max_pictures=10_000, max_bytes=10**6)
    assert chosen == {number for number in range(4000) if again.copy(digest(number), b"x") is not None}


def test_a_picture_that_was_copied_is_not_copied_again() -> None:
    made = queue()
    answered(made, 1).finish(sent=True)
    assert made.copy(digest(1), b"x") is None
    assert made.sampled == 1
    made.restart(1.0)
    assert made.copy(digest(1), b"x") is not None


def test_pictures_beyond_the_bounds_are_dropped_and_counted() -> None:
    made = queue(max_pictures=2)
    for number in range(3):
        answered(made, number).finish(sent=True)
    assert (made.sampled, made.dropped) == (3, 1)
    made = queue(max_bytes=10)
    for number in range(3):
        answered(made, number, b"x" * 6).finish(sent=True)
    assert (made.sampled, made.dropped, made.held_bytes) == (3, 2, 6)


def test_copies_of_requests_in_progress_count_for_the_bounds() -> None:
    made = queue(max_pictures=1)
    first = answered(made, 1)
    assert RequestSamples(made).copy(digest(2), b"x") is None
    first.finish(sent=False)
    assert RequestSamples(made).copy(digest(3), b"x") is not None


def test_a_picture_whose_answer_did_not_leave_counts_as_never_seen() -> None:
    made = queue()
    answered(made, 1).finish(sent=False)
    assert (made.sampled, made.held_bytes, made.take()) == (0, 0, None)
    assert made.copy(digest(1), b"x") is not None


def test_a_picture_without_an_answer_is_not_compared() -> None:
    made = queue()
    request = RequestSamples(made)
    request.copy(digest(1), b"x")
    request.finish(sent=True)
    assert made.take() is None
    assert made.held_bytes == 0


def test_a_thread_that_reads_after_its_request_has_ended_keeps_nothing() -> None:
    made = queue()
    request = RequestSamples(made)
    request.finish(sent=False)
    assert request.copy(digest(1), b"x") is None
    assert (made.held_bytes, made.sampled) == (0, 0)


def test_copies_of_an_earlier_run_are_released() -> None:
    made = queue()
    waiting, in_progress = answered(made, 1), answered(made, 2)
    waiting.finish(sent=True)
    made.restart(1.0)
    in_progress.finish(sent=True)
    assert (made.take(), made.held_bytes) == (None, 0)


def test_a_compared_copy_leaves_room() -> None:
    made = queue(max_pictures=1)
    answered(made, 1).finish(sent=True)
    sample = made.take()
    assert sample is not None
    made.discard(sample)
    assert made.held_bytes == 0
    assert made.sampled == 1
    assert made.copy(digest(2), b"x") is not None


def test_the_contract_has_what_is_compared() -> None:
    assert {"is_cetacean", "class_animal", "id_animal", "probability", "cetacean_score"} <= set(Detection.model_fields)
