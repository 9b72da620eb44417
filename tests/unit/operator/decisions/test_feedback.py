"""The live accuracy in the status: pooled exactly, with its interval, bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.pods import ready_pod

from cetacean_operator.api.feedback import AnswerFeedback
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import MOST_FEEDBACK_VERSIONS, LiveAccuracy
from cetacean_operator.decisions.feedback import live_accuracy

COUNTS = st.builds(AnswerFeedback, *[st.integers(0, 2**53)] * 2, *[st.integers(0, 1)] * 2)


def model(name: str, version: str) -> Model:
    return Model(
        name=name,
        version=version,
        architecture="CetaceanIdentificationModel",
        weights_url=f"https://weights.test/{name}.ckpt",
    )


MODELS = (model("first", "1.0.0"), model("second", "2.0.0"))


def test_without_feedback_there_are_no_figures() -> None:
    assert live_accuracy([], MODELS) == ()
    assert live_accuracy([ready_pod(1), ready_pod(2, feedback={"1.0.0": AnswerFeedback()})], MODELS) == ()


def test_the_counts_of_all_pods_are_added() -> None:
    pods = [
        ready_pod(1, feedback={"1.0.0": AnswerFeedback(6, 1, 2, 1)}),
        ready_pod(2, feedback={"1.0.0": AnswerFeedback(3, 0, 0, 1)}),
    ]
    (found,) = live_accuracy(pods, MODELS)
    assert (found.version, found.model) == ("1.0.0", "first")
    # Wilson's interval of 9 of 10 and of 2 of 4.
    assert found.species == LiveAccuracy(samples=10, correct=9, accuracy=0.9, low=0.596, high=0.982)
    assert found.individual == LiveAccuracy(samples=4, correct=2, accuracy=0.5, low=0.15, high=0.85)


def test_feedback_without_individuals_says_nothing_about_them() -> None:
    (found,) = live_accuracy([ready_pod(1, feedback={"1.0.0": AnswerFeedback(0, 3)})], MODELS)
    assert found.individual is None
    assert found.species == LiveAccuracy(samples=3, correct=0, accuracy=0.0, low=0.0, high=0.561)


def test_a_version_counts_for_itself_whichever_model_the_pod_serves() -> None:
    pods = [ready_pod(1, feedback={"2.0.0": AnswerFeedback(1), "1.0.0": AnswerFeedback(0, 1)})]
    found = live_accuracy(pods, MODELS)
    assert [(one.version, one.species.correct) for one in found] == [("1.0.0", 0), ("2.0.0", 1)]


def test_a_version_that_the_registry_lacks_or_has_twice_has_no_model() -> None:
    models = (*MODELS, model("third", "2.0.0"))
    pods = [ready_pod(1, feedback=dict.fromkeys(("1.0.0", "2.0.0", "3.0.0"), AnswerFeedback(1)))]
    found = {one.version: one.model for one in live_accuracy(pods, models)}
    assert found == {"1.0.0": "first", "2.0.0": None, "3.0.0": None}


def test_versions_of_the_registry_come_first_then_those_with_the_most_feedback() -> None:
    invented = {f"9.0.{number:02}": AnswerFeedback(100 + number) for number in range(30)}
    pods = [ready_pod(1, feedback={**invented, "1.0.0": AnswerFeedback(1), "2.0.0": AnswerFeedback(2)})]
    versions = [one.version for one in live_accuracy(pods, MODELS)]
    assert len(versions) == MOST_FEEDBACK_VERSIONS
    assert versions[:4] == ["2.0.0", "1.0.0", "9.0.29", "9.0.28"]


@given(st.lists(st.dictionaries(st.sampled_from(("1.0.0", "2.0.0", "x")), COUNTS), max_size=5))
def test_the_order_of_pods_changes_nothing_and_the_interval_contains_the_share(
    reports: list[dict[str, AnswerFeedback]],
) -> None:
    pods = [ready_pod(number, feedback=report) for number, report in enumerate(reports)]
    found = live_accuracy(pods, MODELS)
    assert live_accuracy(pods[::-1], MODELS) == found
    for one in found:
        total = sum((pod.feedback.get(one.version, AnswerFeedback()) for pod in pods), AnswerFeedback())
        assert (one.species.samples, one.species.correct) == (total.answers, total.species_correct)
        assert 0.0 <= one.species.low <= one.species.accuracy <= one.species.high <= 1.0
