"""Drift of the identification: the model before answers the same pictures, and serves again only if it does better."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import SURE, WORSE, World, entry, manifest, model
from support.pods import DIGEST_IN_POD, FakePod, Scraped, ready_pod

from cetacean_operator.api.observed import ContainerFailure, Object
from cetacean_operator.api.shadow import UNIT, PairCounts, ShadowReport
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.api.status import ComparisonStatus, DriftStatus, SignalStatus
from cetacean_operator.decisions import rollback_proof
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.confidence_sequence import Bounds
from cetacean_operator.decisions.drift import DriftVerdict
from cetacean_operator.decisions.identity import reference, rollout_of
from cetacean_operator.decisions.rollback_proof import Proof, ProofInput, Verdict, judge_pairs, prove
from cetacean_operator.decisions.serving_history import ServingHistory
from cetacean_operator.decisions.shadow_verdict import ALPHA
from cetacean_operator.decisions.signals import SignalVerdict

SURER = {"identification": SURE["identification"] | {"topProbabilityMean": 0.95}}
CALIBRATE = "check the pictures, calibrate the anti-fraud gate or collect pictures of today"


def served_twice(
    first: dict[str, Any] = SURE,
    second: dict[str, Any] = SURE,
    *,
    name: str = "whales",
    digit: str | None = "a",
    **spec: Any,
) -> World:
    """`second` serves after `first`, with a policy and a monitor."""
    serving = {"networkPolicy": {}, "serviceMonitor": {}} | spec.pop("serving", {})
    models = entry("first", digit, metrics=first), entry("second", "b", metrics=second)
    spec = {"drift": {"onAlarm": "Rollback"}} | spec
    world = World(manifest(*models, serving=serving, **spec), served_kinds=frozenset({"ServiceMonitor"}))
    world.obj["metadata"]["name"] = name
    world.settle()
    world.activate("second")
    world.settle()
    return world


def compared(**changes: Any) -> World:
    """The identification of `second` drifts, and `first` answers the same pictures."""
    world = served_twice(**changes)
    world.identify(WORSE)
    world.settle()
    return world


def verdict(world: World) -> str | None:
    found = world.status.comparison
    return found.verdict if found else None


def message(world: World) -> str:
    return world.condition("Drifting").message


def test_while_the_model_before_is_compared_the_message_counts_the_pictures() -> None:
    world = compared()
    assert (world.deployed, verdict(world)) == ("second", "Running")
    assert "no rollback yet: first 1.0.0 answers the same pictures: 0 pictures so far, at least 50 are" in message(
        world
    )
    world.compare(surer=30, less_sure=19, failed=2)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "Running")
    assert "49 pictures so far, at least 50 are needed; 2 were not answered by it" in message(world)
    world.compare(surer=30, less_sure=30)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "Running")
    assert "surer of 30 of 60 pictures, as each is expected to be; more than half of them" in message(world)
    found = world.status.comparison
    assert found is not None
    assert (found.model.name, found.pairs, found.higher, found.lower) == ("first", 60, 30, 30)
    assert world.is_("Ready")[0] == "True"


def test_a_model_before_that_does_better_serves_again_and_the_history_says_why() -> None:
    world = compared()
    world.compare(surer=60)
    world.settle()
    assert world.deployed == "first"
    assert world.is_("RegistryDiverged") == ("True", "RolledBack")
    newest, rollback = world.status.history[0], world.status.rollback
    assert rollback is not None
    assert (newest.model, newest.reason, newest.why) == ("first", "DriftRollback", rollback.why)
    assert rollback.why == (
        "second 1.0.0 drifted (TopProbability); first 1.0.0 served before and does better on the same pictures: it is "
        "surer of 60 of 60 pictures, as each is expected to be, and its mean probability is 0.000 below its own of 0.9"
    )
    assert (verdict(world), world.candidate, world.comparison_plan) == (None, None, None)
    assert world.reasons.count("DriftRollback") == 1


def test_the_history_names_each_signal_that_was_raised() -> None:
    reference = {"cetaceanScore": [0] * 19 + [100], "topProbability": [0] * 18 + [100, 0]}
    world = served_twice(SURE | {"reference": reference}, SURE | {"reference": reference})
    world.identify(0.9)
    world.settle()
    assert "no rollback" not in message(world), "without an alarm nothing is said about one"
    world.identify(WORSE)
    world.settle()
    world.compare(surer=60)
    world.settle()
    assert world.status.history[0].why.startswith("second 1.0.0 drifted (TopProbability, Distribution); first 1.0.0")


def test_if_the_pictures_are_at_fault_there_is_no_rollback_until_the_alarm_ends() -> None:
    world = compared()
    world.compare(surer=20, less_sure=80, probability=WORSE)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "NoBetter")
    assert (world.candidate, world.comparison_plan, world.status.rollback) == (None, None, None)
    expected = "no rollback (NoBetter): on 100 of the same pictures first 1.0.0 does no better, it is surer of 20 and "
    assert expected + f"less sure of 80: {CALIBRATE}" in message(world)
    # The pods count no pairs any more; the verdict stays while the alarm stands.
    world.wait(hours=5)
    world.pods[0].shadow = None
    world.settle()
    assert (world.deployed, verdict(world), world.candidate) == ("second", "NoBetter", None)
    world.identify(0.9)
    world.settle()
    assert world.is_("Drifting")[0] != "True"
    assert world.status.comparison is None
    # Another alarm begins another comparison.
    world.identify(WORSE)
    world.settle()
    assert (verdict(world), world.candidate is None) == ("Running", False)


@pytest.mark.parametrize("probability", [0.79, 0.81], ids=["it would raise the signal", "it would not end the signal"])
def test_a_model_before_that_is_surer_and_does_not_end_the_signal_does_no_better(probability: float) -> None:
    world = compared()
    world.compare(surer=150, probability=probability)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "Running")
    world.compare(surer=200, probability=probability)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "NoBetter")
    assert (
        "first 1.0.0 does not do enough better, it is surer of 200 and less sure of 0, and it would drift"
        in message(world)
    )
    assert CALIBRATE in message(world)


def test_a_difference_that_does_not_show_in_many_pictures_is_no_reason() -> None:
    world = compared()
    world.compare(surer=1000, less_sure=999)
    world.settle()
    assert verdict(world) == "Running"
    world.compare(surer=1000, less_sure=1000)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "NoBetter")


def test_two_models_with_the_same_answers_are_not_compared_for_ever() -> None:
    world = compared()
    world.compare(surer=0, equal=1999)
    world.settle()
    assert verdict(world) == "Running"
    world.compare(surer=0, equal=2000)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "NoBetter")


def test_each_model_is_compared_with_what_is_expected_of_it() -> None:
    world = served_twice(second=SURER)
    world.identify(WORSE)
    world.settle()
    assert world.comparison_plan is not None
    assert world.comparison_plan["probability_offset"] == 0.05


def test_counts_of_another_comparison_are_not_read() -> None:
    world = compared()
    world.compare(surer=60, run="another")
    world.settle()
    found = world.status.comparison
    assert found is not None
    assert (found.pairs, found.verdict, world.deployed) == (0, "Running", "second")


def test_without_figures_of_the_model_before_nothing_can_be_proved() -> None:
    world = compared(first={})
    assert (world.deployed, world.candidate, verdict(world)) == ("second", None, None)
    assert "no rollback: the registry has no topProbabilityMean of first 1.0.0" in message(world)
    assert "compute its metrics snapshot" in message(world)


@pytest.mark.parametrize(("length", "runs"), [(53, True), (54, False)])
def test_a_name_too_long_for_the_service_of_the_model_before_causes_no_rollback(length: int, runs: bool) -> None:
    world = compared(name="w" * length)
    assert (world.candidate is not None) is runs
    assert ("has more than 53 letters" in message(world)) is not runs


def test_a_model_before_that_never_starts_is_waited_for_and_changes_nothing_for_clients() -> None:
    world = compared()
    failing = FakePod(99, world.candidate["spec"]["template"] if world.candidate else {})
    failing.failures = (ContainerFailure("fetch", "Error", "WeightsNotFound: u: 404", exit_code=1),)
    observed = world.observed

    def with_candidate() -> Any:
        return replace(observed(), candidate_pods=(failing.observed(),))

    world.observed = with_candidate  # type: ignore[method-assign]
    world.wait(hours=2)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "Running")
    assert world.is_("Ready")[0] == "True"
    assert (world.status.replicas, world.status.ready_replicas) == (1, 1)


def test_a_model_before_that_answers_nothing_proves_nothing() -> None:
    world = compared()
    world.compare(surer=0, failed=5000)
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "Running")
    assert "5000 were not answered by it" in message(world)


@pytest.mark.parametrize("surer", [0, 60], ids=["no better", "better"])
def test_an_alarm_that_is_only_held_keeps_the_comparison_and_decides_nothing(surer: int) -> None:
    world = compared()
    world.compare(surer=30, less_sure=10)
    world.settle()
    before, plan = world.status.comparison, world.comparison_plan
    (pod,) = world.pods
    pod.scraped = Scraped.FAILED_LATELY
    world.settle()
    assert world.is_("Drifting")[0] == "True", "the alarm is held"
    assert (world.status.comparison, world.comparison_plan, world.deployed) == (before, plan, "second")
    assert "no rollback yet: first 1.0.0 answers the same pictures: 40 pictures when pods answered last" in message(
        world
    )
    pod.scraped = Scraped.ANSWERED
    world.compare(surer=surer, less_sure=60 - surer)
    world.settle()
    assert world.deployed == ("first" if surer else "second")


def test_pairs_that_pods_report_while_their_figures_are_missing_decide_nothing() -> None:
    """The scrape of the signals fails, that of the pairs does not."""
    world = compared()
    world.compare(surer=60)
    (pod,) = world.pods
    observed = pod.observed
    pod.scraped = Scraped.FAILED_LATELY
    pod.observed = lambda: replace(observed(), shadow=pod.shadow)  # type: ignore[method-assign]
    world.settle()
    assert (world.deployed, verdict(world)) == ("second", "Running")
    assert world.candidate is not None


@pytest.mark.parametrize("digit", ["a", None], ids=["digest", "no digest"])
def test_a_lost_status_resumes_the_comparison(digit: str | None) -> None:
    world = compared(digit=digit)
    world.compare(surer=30, less_sure=20)
    world.settle()
    before, plan = world.status.comparison, world.comparison_plan
    deployment = copy.deepcopy(world.candidate)
    del world.obj["status"]
    world.settle()
    assert (world.status.comparison, world.comparison_plan, world.candidate) == (before, plan, deployment)
    assert before is not None
    world.compare(surer=60)
    world.settle()
    assert world.deployed == "first"


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "{}", '{"shadow": 1}', '{"shadow": {"candidate": []}}', "[" * 100_000], ids=len
)
def test_a_monitoring_file_that_someone_has_changed_is_written_again_if_the_status_is_lost_too(text: str) -> None:
    world = compared(digit=None)
    world.children["ConfigMap", "whales-monitoring"]["data"]["monitoring.json"] = text
    del world.obj["status"]
    world.settle()
    assert world.deployed == "second"
    assert "no other model has served before" in message(world)


@pytest.mark.parametrize("change", [{"drift": {"onAlarm": "Alert"}}, {"registry": {"active": "first"}}], ids=str)
def test_a_change_that_makes_the_comparison_pointless_ends_it(change: dict[str, Any]) -> None:
    world = compared()
    world.edit(**change)
    world.settle()
    assert (world.candidate, world.comparison_plan, world.status.comparison) == (None, None, None)


def test_a_drop_of_the_mean_cetacean_score_alone_never_changes_the_model() -> None:
    world = served_twice()
    world.drift(0.2)
    world.settle()
    assert world.is_("Drifting") == ("True", "ScoreDropped")
    assert (world.deployed, world.candidate, world.status.comparison) == ("second", None, None)
    assert "comes from the anti-fraud gate, which all models share, so no other model would raise it" in message(world)
    assert CALIBRATE in message(world)


def test_onalarm_alert_compares_nothing() -> None:
    world = compared(drift={"onAlarm": "Alert"})
    assert world.is_("Drifting") == ("True", "TopProbabilityDropped")
    assert "rollback" not in message(world).partition("Next:")[0]
    assert (world.candidate, world.status.comparison) == (None, None)


# --- The whole proof ------------------------------------------------------------------------------------------------


TOP = SignalStatus(signal="TopProbability", state="Raised", reason="TopProbabilityDropped")
DRIFTS = DriftVerdict(
    DriftStatus(),
    mean=None,
    alarm=False,
    condition=ConditionState("True", TOP.reason, "it drifts"),
    signals=(SignalVerdict(TOP, from_identification=True),),
)
HELD = replace(DRIFTS, signals=(SignalVerdict(TOP),))
PRECISE = {"identification": SURE["identification"] | {"topProbabilityMean": 0.95126}}


class Case:
    """`second` serves after `first`, and drifts; its metrics have one digit more than an offset."""

    def __init__(self, first: dict[str, Any] = SURE, second: dict[str, Any] = PRECISE, digit: str | None = "a") -> None:
        status = served_twice(first, second, digit=digit).status
        self.first, self.second = model("first", digit, metrics=first), model("second", "b", metrics=second)
        self.history = ServingHistory(status, status.served, (self.first, self.second))
        self.digest = "a" * 64 if digit else DIGEST_IN_POD
        self.spec = parse_spec(manifest()["spec"])
        self.comparison = Comparison(
            candidate=rollout_of(self.first, self.spec.anti_fraud),
            candidate_digest=self.digest,
            served=rollout_of(self.second, self.spec.anti_fraud),
            served_digest="b" * 64,
            share=1.0,
            several_pods=False,
            probability_offset=0.0513,
        )

    def status(self, **counts: Any) -> ComparisonStatus:
        return ComparisonStatus(run=self.comparison.run, model=reference(self.first, self.digest), **counts)

    def prove(
        self, *reports: ShadowReport, drift: DriftVerdict = DRIFTS, last: ComparisonStatus | None = None
    ) -> Proof:
        own = self.comparison.served.id
        pods = tuple(ready_pod(number, shadow=one, rollout_id=own) for number, one in enumerate(reports))
        given = ProofInput("whales", drift, (*pods, ready_pod(9)), last)
        return prove(self.second, spec=self.spec, history=self.history, given=given)

    def report(self, surer: int, less_sure: int, *, failed: int = 0) -> ShadowReport:
        number = surer + less_sure
        pairs = PairCounts(
            pairs=number + 1,
            both_accepted=number,
            probability_other=8750 * number,
            higher=surer,
            lower=less_sure,
        )
        return ShadowReport(run=self.comparison.run, failed=failed, candidate=pairs)


@pytest.mark.parametrize("digit", ["a", None], ids=["digest", "the digest that its pods have found"])
def test_while_the_pictures_prove_nothing_the_comparison_goes_on(digit: str | None) -> None:
    case = Case(digit=digit)
    begun = "no rollback yet: first 1.0.0 answers the same pictures: "
    few = "0 pictures so far, at least 50 are needed"
    assert case.prove() == Proof(begun + few, case.first, case.digest, case.comparison, case.status())
    even = "it is surer of 30 of 60 pictures, as each is expected to be; more than half of them, with certainty, are "
    assert case.prove(case.report(20, 10), case.report(10, 20, failed=3)) == Proof(
        f"{begun}{even}needed; 3 were not answered by it",
        case.first,
        case.digest,
        case.comparison,
        case.status(pairs=62, failed=3, higher=30, lower=30),
    )


def test_a_model_that_is_surer_of_most_pictures_does_better() -> None:
    case = Case()
    proof = case.prove(case.report(60, 0))
    assert proof == Proof(
        "it is surer of 60 of 60 pictures, as each is expected to be, and its mean probability is 0.025 below its own "
        "of 0.9",
        case.first,
        case.digest,
        None,
        case.status(pairs=61, higher=60, verdict="Better"),
    )
    assert proof.is_better


SMALL = "and it would drift too or the difference is too small"


@pytest.mark.parametrize(
    ("higher", "lower", "found"),
    [
        (20, 80, "does no better, it is surer of 20 and less sure of 80"),
        (1000, 1000, "does no better, it is surer of 1000 and less sure of 1000"),
        (1001, 1000, f"does not do enough better, it is surer of 1001 and less sure of 1000, {SMALL}"),
    ],
)
def test_a_verdict_stays_while_the_pods_count_nothing(higher: int, lower: int, found: str) -> None:
    case = Case()
    status = case.status(pairs=higher + lower + 1, higher=higher, lower=lower, verdict="NoBetter")
    refusal = f"no rollback (NoBetter): on {higher + lower + 1} of the same pictures first 1.0.0 {found}: {CALIBRATE}"
    expected = Proof(refusal, case.first, case.digest, None, status)
    assert case.prove(case.report(higher, lower)) == expected
    assert case.prove(last=status) == expected
    other = status.model_copy(update={"run": "another"})
    assert case.prove(last=other).status == case.status(), "that was about another comparison"
    assert not expected.is_better


def test_while_the_alarm_is_only_held_the_last_counts_stay() -> None:
    case = Case()
    begun = "no rollback yet: first 1.0.0 answers the same pictures: "
    last = case.status(pairs=40, higher=30, lower=10, failed=1)
    assert case.prove(case.report(60, 0), drift=HELD, last=last) == Proof(
        f"{begun}40 pictures when pods answered last; 1 were not answered by it",
        case.first,
        case.digest,
        case.comparison,
        last,
    )
    assert case.prove(case.report(60, 0), drift=HELD) == Proof(
        f"{begun}0 pictures when pods answered last", case.first, case.digest, case.comparison, case.status()
    )


def test_without_a_model_before_or_figures_there_is_nothing_to_compare() -> None:
    case = Case()
    given = ProofInput("whales", DRIFTS, (), None)
    alone = replace(case.history, served=case.history.served[1:])
    assert prove(case.second, spec=case.spec, history=alone, given=given) == Proof(
        "no rollback: no other model has served before"
    )
    missing = "no rollback: the registry has no topProbabilityMean of {} 1.0.0, so nothing can prove that first 1.0.0 "
    does = "does better: compute its metrics snapshot"
    assert Case(first={}).prove() == Proof(missing.format("first") + does)
    assert Case(second={}).prove() == Proof(missing.format("second") + does)
    assert Case(first={}, second={}).prove() == Proof(missing.format("second") + does)


def judged(higher: int, lower: int, *, equal: int = 0, mean: float = 0.9, drop: float = 0.1) -> Verdict:
    number = higher + lower + equal
    pairs = PairCounts(both_accepted=number, probability_other=round(UNIT * mean) * number, higher=higher, lower=lower)
    spec = parse_spec(manifest(drift={"signals": {"topProbability": {"maxDrop": drop}}})["spec"])
    return judge_pairs(pairs, 0.9, spec)[0]


@pytest.mark.parametrize(
    ("higher", "equal", "mean", "verdict"),
    [
        (49, 0, 0.9, "Running"),
        (50, 0, 0.9, "Better"),
        # A drop of 0.4 does not end an alarm whose bound is 0.5, a smaller one does.
        (60, 0, 0.5, "Running"),
        (60, 0, 0.5001, "Better"),
        (199, 0, 0.5, "Running"),
        (200, 0, 0.5, "NoBetter"),
        (0, 1999, 0.9, "Running"),
        (0, 2000, 0.9, "NoBetter"),
    ],
)
def test_a_verdict_needs_enough_pictures_and_a_mean_that_ends_the_alarm(
    higher: int, equal: int, mean: float, verdict: Verdict
) -> None:
    assert judged(higher, 0, equal=equal, mean=mean, drop=0.5) == verdict


@pytest.mark.parametrize("bounds", [Bounds(0.5, 1.0), Bounds(0.0, 0.5)], ids=str)
def test_a_bound_of_exactly_one_half_proves_nothing(bounds: Bounds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback_proof, "share_bounds", lambda *_, alpha: bounds)
    assert judged(300, 200) == "Running"


# --- What runs ------------------------------------------------------------------------------------------------------


def matches(selector: dict[str, list[str]], labels: dict[str, str]) -> bool:
    return all(labels.get(name) in values for name, values in selector.items())


def selectors(child: Object) -> dict[str, list[str]]:
    """Return the values of labels by which a child selects pods, or a ServiceMonitor Services."""
    spec = child["spec"]
    found = spec.get("selector") or spec["podSelector"]
    if "matchExpressions" in found:
        return {one["key"]: one["values"] for one in found["matchExpressions"]}
    return {name: [value] for name, value in found.get("matchLabels", found).items()}


def test_no_child_of_the_serving_pods_but_the_monitor_selects_the_model_before_or_its_service() -> None:
    world = compared(serving={"replicas": 2})
    pods = world.children["Deployment", "whales-candidate"]["spec"]["template"]["metadata"]["labels"]
    service = world.children["Service", "whales-candidate"]["metadata"]["labels"]
    serving = world.children["Deployment", "whales"]["spec"]["template"]["metadata"]["labels"]
    kinds = {kind for kind, name in world.children if name == "whales" and kind != "ConfigMap"}
    assert kinds == {"Deployment", "Service", "NetworkPolicy", "ServiceMonitor", "PodDisruptionBudget"}
    monitored = selectors(world.children["ServiceMonitor", "whales"])
    assert matches(monitored, serving)
    assert matches(monitored, service), "its series have a service of their own"
    for kind in kinds - {"ServiceMonitor"}:
        found = selectors(world.children[kind, "whales"])
        assert matches(found, serving)
        assert not matches(found, pods), kind
        assert not matches(found, service), kind
    assert {kind for kind, name in world.children if name == "whales-candidate"} == {
        "Deployment",
        "Service",
        "NetworkPolicy",
    }
    for kind in ("Deployment", "Service", "NetworkPolicy"):
        found = selectors(world.children[kind, "whales-candidate"])
        assert matches(found, pods)
        assert not matches(found, serving), kind


def test_one_pod_runs_the_model_before_and_only_the_serving_pods_and_the_operator_reach_it() -> None:
    world = compared(serving={"replicas": 3})
    child = world.candidate
    assert child is not None
    assert child["spec"]["replicas"] == 1
    assert child["spec"]["template"]["metadata"]["annotations"]["ecomarineai.org/model"] == "first"
    (rule,) = world.children["NetworkPolicy", "whales-candidate"]["spec"]["ingress"]
    own, operator = rule["from"]
    assert own == {"podSelector": {"matchLabels": {"ecomarineai.org/cetaceanmodel": "whales"}}}
    assert "namespaceSelector" in operator


def test_the_pods_that_serve_are_not_replaced_by_a_comparison() -> None:
    world = served_twice()
    assert world.deployment is not None
    template, started = copy.deepcopy(world.deployment["spec"]["template"]), list(world.started)
    world.identify(WORSE)
    world.settle()
    assert world.candidate is not None
    assert world.deployment["spec"]["template"] == template
    assert world.started == started


def test_the_children_of_the_model_before_are_adopted_again_if_their_owner_was_removed() -> None:
    """`kubectl delete --cascade=orphan` does that."""
    world = compared()
    for (_, name), child in world.children.items():
        if name == "whales-candidate":
            child["metadata"]["ownerReferences"] = []
    plan = world.decide()
    assert {child["metadata"]["name"] for child in plan.apply} == {"whales-candidate"}
    world.edit(drift={"onAlarm": "Alert"})
    assert {(one.kind, one.name) for one in world.decide().delete} == {
        (kind, "whales-candidate") for kind in ("Deployment", "Service", "NetworkPolicy")
    }


# --- How often it is wrong ------------------------------------------------------------------------------------------


def judged_picture_by_picture(seed: int, *, surer: float, probability: float, pictures: int) -> tuple[str | None, int]:
    """Compare picture by picture, with a reconcile after every fifth; return the verdict and the number of pictures."""
    chance, world, higher = random.Random(seed), compared(), 0
    for number in range(1, pictures + 1):
        higher += chance.random() < surer
        if number % 5 == 0 and number >= 50:
            world.compare(surer=higher, less_sure=number - higher, probability=probability)
            world.reconcile()
            if world.status.rollback is not None:
                return "Better", number
            if verdict(world) == "NoBetter":
                return "NoBetter", number
    return verdict(world), pictures


@pytest.mark.parametrize("seed", range(20))
def test_a_model_at_fault_is_rolled_back_within_200_pictures(seed: int) -> None:
    found, pictures = judged_picture_by_picture(seed, surer=0.85, probability=0.88, pictures=200)
    assert (found, pictures <= 200) == ("Better", True)


def test_pictures_at_fault_cause_a_rollback_in_at_most_five_percent_of_runs_although_judged_often() -> None:
    """Both models lose the same: each picture is a coin, and the model before is even as sure as it must be."""
    chance, runs, wrong = random.Random(16), 1000, 0
    spec = parse_spec(manifest()["spec"])
    for _ in range(runs):
        higher = 0
        for number in range(1, 1001):
            higher += chance.random() < 0.5
            if number % 5 == 0:
                pairs = PairCounts(
                    number, number, number, probability_other=9000 * number, higher=higher, lower=number - higher
                )
                if judge_pairs(pairs, 0.9, spec)[0] == "Better":
                    wrong += 1
                    break
    assert wrong <= ALPHA * runs
    assert ALPHA <= 0.05
