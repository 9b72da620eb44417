"""Every set of figures that the schema allows gets a verdict: the operator judges them while it decides."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from cetacean_registry.figures import IdentificationMetrics, ModelMetrics, SpeciesMetrics
from cetacean_registry.gate import judge
from cetacean_registry.outcomes import Outcome
from cetacean_registry.pairs import compare_pictures
from cetacean_registry.policy import BySpeciesPolicy, GatePolicy

SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 5e-324, 1e-170, 2**-53, 0.9, 1 - 2**-53, 1.0]))
COUNTS = st.one_of(st.integers(0, 1_000_000_000), st.sampled_from([0, 1, 2, 50, 1_000_000_000]))


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


METRICS = st.builds(
    ModelMetrics,
    tpr=maybe(SHARES),
    tnr=maybe(SHARES),
    roc_auc=maybe(SHARES),
    positives=maybe(COUNTS),
    negatives=maybe(COUNTS),
    sample_size=st.sampled_from([None, 0, 100]),
    evaluation_set=st.just("split"),
    identification=maybe(
        st.builds(
            IdentificationMetrics,
            samples=COUNTS,
            top1=maybe(SHARES),
            species_samples=maybe(COUNTS),
            species_accuracy=maybe(SHARES),
            top_probability_mean=maybe(SHARES),
        )
    ),
    by_species=maybe(
        st.tuples(
            *(
                st.builds(SpeciesMetrics, species=st.just(name), samples=COUNTS, species_accuracy=SHARES)
                for name in ("beluga", "orca")
            )
        )
    ),
)
POLICIES = st.builds(
    GatePolicy,
    min_tnr=SHARES,
    min_tpr=SHARES,
    max_regression=SHARES,
    min_top1=maybe(SHARES),
    min_species_accuracy=maybe(SHARES),
    by_species=maybe(st.builds(BySpeciesPolicy, min_samples=st.integers(1, 1_000_000), max_regression=SHARES)),
    evidence=st.sampled_from(["Point", "Interval"]),
)


NEAR_ITS_BOUND = {
    "own": ModelMetrics(tnr=0.0, tpr=0.0, negatives=100, positives=100),
    "theirs": ModelMetrics(),
    "policy": GatePolicy(min_tnr=1e-170, min_tpr=5e-324, evidence="Interval"),
}


@given(own=METRICS, theirs=METRICS, policy=POLICIES)
@example(**NEAR_ITS_BOUND)
def test_every_pair_of_models_gets_a_verdict(own: ModelMetrics, theirs: ModelMetrics, policy: GatePolicy) -> None:
    verdict = judge(candidate="new", metrics=own, policy=policy, serving="old", serving_metrics=theirs)
    assert verdict.message.startswith("new passes" if verdict.passed else "new is refused")
    # On the same pictures every figure is compared, also if the numbers of pictures above differ.
    same = {"positives": theirs.positives, "negatives": theirs.negatives, "sample_size": theirs.sample_size}
    other = own.model_copy(update=same | {"identification": theirs.identification, "by_species": theirs.by_species})
    assert judge(candidate="new", metrics=other, policy=policy, serving="old", serving_metrics=theirs).message


@given(policy=POLICIES, right=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
def test_every_bound_gets_a_verdict_picture_by_picture(policy: GatePolicy, right: list[tuple[bool, bool]]) -> None:
    verdict = judge(candidate="new", metrics=None, policy=policy, serving="old", serving_metrics=None)
    own, theirs = ([_outcome(number, pair[side]) for number, pair in enumerate(right)] for side in (0, 1))
    assert compare_pictures(verdict, own, theirs, policy).verdict.message


def _outcome(number: int, right: bool) -> Outcome:
    return Outcome(
        picture=f"{number}.jpg",
        sha256="a" * 64,
        individual="a",
        species=None,
        named_individual="a" if right else "z",
        named_species="orca",
        probability=0.9,
        top5=right,
    )
