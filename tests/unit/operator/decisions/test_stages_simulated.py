"""The whole machine under random pictures: how often an equal candidate is refused, and a bad one promoted."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from support.operator_world import BEGIN, entry, manifest
from support.pods import ready_pod

from cetacean_operator.api import names
from cetacean_operator.api.observed import Identity
from cetacean_operator.api.shadow import PairCounts, ShadowReport
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.stage_input import Pair, StageInput
from cetacean_operator.decisions.stages import StageState, run_stages

RUNS = 20
MOST_WRONG = 5
"""At 5 %, 20 runs have more with a chance below one in a thousand."""
SCRAPES = 30
PICTURES = 50
"""Between two scrapes."""
STAGES: list[dict[str, Any]] = [{"shadow": {"share": 1.0}, "timeoutSeconds": 30 * SCRAPES}]
SPEC = parse_spec(manifest(entry("first"), entry("second", "b"), rollout={"stages": STAGES})["spec"])
FIRST, SECOND = SPEC.registry.models
PAIR = Pair(SECOND, rollout_of(SECOND, SPEC.anti_fraud), rollout_of(FIRST, SPEC.anti_fraud), FIRST.sha256)
OWN = ready_pod(2, rollout_id=PAIR.rollout.id, identity=Identity(name="second", version="1.0.0", digest=SECOND.sha256))


def end_of(rng: random.Random, *, individual: float, species: float = 1.0) -> StageState:
    """Let pictures come, and judge after each scrape, until there is an end."""
    pairs = other_species = other_individual = 0
    record, run = None, ""
    for number in range(SCRAPES + 1):
        counts = PairCounts(
            pairs=pairs,
            accepted=pairs,
            both_accepted=pairs,
            species=pairs - other_species,
            individual=pairs - other_individual,
        )
        given = StageInput(
            "whales",
            BEGIN + timedelta(seconds=30 * number),
            pods=(ready_pod(1, rollout_id=PAIR.served.id, shadow=ShadowReport(run=run, candidate=counts)),),
            candidate_pods=(OWN,),
            deployment={"metadata": {"annotations": {names.ANNOTATION_STAGES: record}}} if record else None,
        )
        found = run_stages(PAIR, spec=SPEC, given=given, returned=(), approved=True)
        if found.state is not StageState.RUNNING:
            return found.state
        assert found.run is not None
        assert found.run.comparison is not None
        record, run = found.run.record.text(), found.run.comparison.run
        for _ in range(PICTURES):
            pairs += 1
            is_other = rng.random() >= species
            other_species += is_other
            other_individual += is_other or rng.random() >= individual
    raise AssertionError("no end after the timeout")


@pytest.mark.parametrize(
    ("rates", "wrong"),
    [
        # Just at the minima: chance alone must not refuse it.
        ({"individual": 0.8673, "species": 0.98}, StageState.RETURNED),
        # Just below a minimum: chance alone must not promote it.
        ({"individual": 0.99, "species": 0.979}, StageState.PASSED),
        ({"individual": 0.845}, StageState.PASSED),
    ],
    ids=["equal at the minima", "another species too often", "another individual too often"],
)
def test_the_wrong_end_comes_in_at_most_five_percent(rates: dict[str, float], wrong: StageState) -> None:
    rng = random.Random(f"{rates}")
    assert [end_of(rng, **rates) for _ in range(RUNS)].count(wrong) <= MOST_WRONG


def test_a_clear_difference_has_its_right_end() -> None:
    rng = random.Random("clear")
    good = [end_of(rng, individual=0.99, species=0.999) for _ in range(10)]
    bad = [end_of(rng, individual=0.3, species=0.6) for _ in range(10)]
    assert (good.count(StageState.PASSED), bad) == (10, [StageState.RETURNED] * 10)


def test_pictures_too_few_for_a_verdict_are_held() -> None:
    rng = random.Random("between")
    assert end_of(rng, individual=0.86) is StageState.HELD
