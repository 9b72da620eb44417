"""Counts over pairs equal those of a plain recount, however the pairs are spread over pods."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cetacean_inference.shadow.agreement import Agreement, PairBounds
from cetacean_inference.shadow.answers import Answer
from cetacean_registry.figures import MAX_SPECIES

SPECIES = st.sampled_from(["orca", "fin_whale", "beluga"])
UNITS = st.integers(0, 10_000)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    if not draw(st.booleans()):
        return Answer(
            accepted=False, species="unknown", individual="", score=draw(UNITS), probability=0, compute_us=draw(UNITS)
        )
    return Answer(
        accepted=True,
        species=draw(SPECIES),
        individual=draw(st.sampled_from("abc")),
        score=draw(UNITS),
        probability=draw(UNITS),
        compute_us=draw(UNITS),
    )


PAIRS = st.lists(st.tuples(answers(), answers()), max_size=30)


def counted(pairs: list[tuple[Answer, Answer]]) -> Agreement:
    agreement = Agreement()
    for served, other in pairs:
        agreement.count(served, other)
    return agreement


@given(PAIRS)
def test_the_counts_are_those_of_a_recount(pairs: list[tuple[Answer, Answer]]) -> None:
    found = counted(pairs).report()
    both = [(served, other) for served, other in pairs if served.accepted and other.accepted]
    assert found["pairs"] == len(pairs)
    assert found["accepted"] == sum(served.accepted == other.accepted for served, other in pairs)
    assert found["both_accepted"] == len(both)
    assert found["species"] == sum(served.species == other.species for served, other in both)
    assert found["individual"] == sum(served.individual == other.individual for served, other in both)
    assert found["score_difference"] == sum(other.score - served.score for served, other in pairs)
    assert found["probability_served"] == sum(served.probability for served, _ in both)
    assert found["probability_other"] == sum(other.probability for _, other in both)
    assert found["compute_us_served"] == sum(served.compute_us for served, _ in pairs)
    assert found["compute_us_other"] == sum(other.compute_us for _, other in pairs)
    assert found["slower"] == sum(2 * other.compute_us > 3 * served.compute_us for served, other in pairs)
    for one in found["by_species"]:
        of_species = [(served, other) for served, other in both if served.species == one["name"]]
        assert one["pairs"] == len(of_species)
        assert one["species"] == sum(served.species == other.species for served, other in of_species)
        assert one["individual"] == sum(served.individual == other.individual for served, other in of_species)


@given(PAIRS, PAIRS)
def test_counts_of_two_pods_add_up(first: list[tuple[Answer, Answer]], second: list[tuple[Answer, Answer]]) -> None:
    together: dict[str, Any] = counted(first + second).report()
    one, other = counted(first).report(), counted(second).report()
    for name, value in together.items():
        if isinstance(value, int):
            assert value == one[name] + other[name]


@given(answers(), answers())
def test_answers_agree_if_acceptance_species_and_individual_do(served: Answer, other: Answer) -> None:
    agree = served.accepted == other.accepted and (
        not served.accepted or (served.species, served.individual) == (other.species, other.individual)
    )
    assert Agreement().count(served, other) is agree


@given(PAIRS, st.integers(-10_000, 10_000))
def test_surer_and_less_sure_pairs_are_relative_to_what_each_model_expects(
    pairs: list[tuple[Answer, Answer]], offset: int
) -> None:
    agreement = Agreement()
    for served, other in pairs:
        agreement.count(served, other, PairBounds(probability_offset=offset))
    both = [(served, other) for served, other in pairs if served.accepted and other.accepted]
    assert agreement.higher == sum(other.probability + offset > served.probability for served, other in both)
    assert agreement.lower == sum(other.probability + offset < served.probability for served, other in both)


def test_species_beyond_the_bound_count_in_the_sums_only() -> None:
    agreement = Agreement()
    for number in range(MAX_SPECIES + 5):
        answer = Answer(accepted=True, species=f"species{number}", individual="a", score=1, probability=1, compute_us=1)
        agreement.count(answer, answer)
    found = agreement.report()
    assert (found["species"], len(found["by_species"])) == (MAX_SPECIES + 5, MAX_SPECIES)
