"""Which models were promoted, which have served, and which entry counts for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import model
from support.pods import NO_ANSWER, ready_pod

from cetacean_operator.api.candidate import PassedStage, PersonDecision
from cetacean_operator.api.observed import Identity, Pod
from cetacean_operator.api.spec import AntiFraud, Model
from cetacean_operator.api.status import HistoryEntry, Release, ServedModel, Status
from cetacean_operator.decisions.identity import definition, rollout_of
from cetacean_operator.decisions.serving_history import ServingHistory, add_promotion, add_served
from cetacean_registry.urls import without_query

AT = "2026-01-01T00:00:00Z"
FIRST, SECOND, THIRD = model("first"), model("second", "b"), model("third", "c")
URL = "https://example.org/moved.ckpt"


def served(one: Model, digit: str | None = None, **changes: Any) -> ServedModel:
    digest = digit * 64 if digit else one.sha256
    assert digest is not None
    return ServedModel(entry=one.model_copy(update=changes), digest=digest, first_served_at=AT)


def promotions(*models: Model) -> tuple[HistoryEntry, ...]:
    """Promotions of these models, the first of them last."""
    history: tuple[HistoryEntry, ...] = ()
    for one in models:
        history = add_promotion(history, one, reason="GatePassed", why="passed", at=AT)
    return history


def history(
    *promoted: Model, served: tuple[ServedModel, ...] = (), known: tuple[Model, ...] = (FIRST, SECOND)
) -> ServingHistory:
    return ServingHistory(Status(history=promotions(*promoted)), served, known)


def test_a_promotion_holds_all_that_names_the_model() -> None:
    (newest, oldest) = promotions(FIRST, model("second", None, version="2.0.0"))
    assert newest == HistoryEntry(
        model="second",
        version="2.0.0",
        digest=None,
        definition=definition(SECOND),
        weights_url="https://example.org/second.ckpt",
        at=AT,
        reason="GatePassed",
        why="passed",
    )
    assert (oldest.model, oldest.digest) == ("first", "a" * 64)


def test_a_promotion_says_who_let_the_model_serve_and_what_it_passed() -> None:
    release = Release(type="Minor", change="Minor")
    stages = (PassedStage(kind="Shadow", digest="0" * 16, at=AT, message="as good"),)
    decision = PersonDecision(decision="Promote", model="first", rollout="r1", by="alice", at=AT)
    (entry,) = add_promotion(
        (), FIRST, reason="GatePassed", why="passed", at=AT, release=release, stages=stages, decision=decision
    )
    assert entry == promotions(FIRST)[0].model_copy(update={"release": release, "stages": stages, "decision": decision})


def test_the_newest_record_of_weights_counts() -> None:
    old, new = served(model("first", None), "d"), served(model("first", None), "e")
    found = history(served=(old, new)).served_record(model("first", None))
    assert found == new
    assert history(served=(old, new)).served_record(SECOND) is None


def test_the_entry_of_the_registry_precedes_the_one_that_served() -> None:
    listed = model("first", weightsUrl=URL)
    assert history(known=(SECOND, listed)).current_entry(served(FIRST)) == listed
    assert history(known=(SECOND,)).current_entry(served(FIRST)) == FIRST


def test_a_deployed_model_is_completed_from_the_registry_or_from_what_served() -> None:
    bare = model("first", metrics=None)
    assert history().full_entry(bare) == FIRST
    assert history(served=(served(FIRST),), known=(SECOND,)).full_entry(bare) == FIRST
    assert history(served=(served(THIRD),), known=(SECOND,)).full_entry(bare) == bare


def test_metrics_are_those_of_the_registry_or_those_it_first_served_with() -> None:
    better = model("first", metrics={"tnr": 0.99})
    bare = model("first", metrics=None)
    assert history(served=(served(FIRST),), known=(better,)).metrics(FIRST) == better.metrics
    assert history(served=(served(FIRST),), known=(bare,)).metrics(bare) == FIRST.metrics
    assert history(served=(served(FIRST),), known=(SECOND,)).metrics(bare) == FIRST.metrics
    assert history(known=(SECOND,)).metrics(better) == better.metrics
    assert history(served=(served(bare),), known=(SECOND,)).metrics(better) == better.metrics
    assert history(known=(SECOND,)).metrics(bare) is None


def test_the_model_before_is_the_last_promoted_one_that_has_served() -> None:
    found = history(FIRST, SECOND, THIRD, served=(served(FIRST), served(SECOND)))
    assert found.last_served() == served(SECOND)
    assert found.last_served(other_than=SECOND) == served(FIRST)
    assert history(FIRST, SECOND, served=(served(SECOND),)).last_served(other_than=SECOND) is None


def test_the_same_weights_under_another_name_are_no_other_model() -> None:
    renamed = SECOND.model_copy(update={"name": "renamed"})
    assert history(SECOND, renamed, served=(served(SECOND), served(renamed))).last_served(other_than=renamed) is None
    found = history(FIRST, SECOND, renamed, served=(served(FIRST), served(SECOND), served(renamed)))
    assert found.last_served(other_than=renamed) == served(FIRST)
    assert history(served=(served(FIRST),)).last_served() is None


@pytest.mark.parametrize("digit", [None, "b"], ids=["its digest is in its record alone", "it has not served yet"])
def test_weights_that_served_under_another_name_are_known_by_their_digest(digit: str | None) -> None:
    renamed = model("renamed", digit)
    records = (served(SECOND), *((served(renamed, "b"),) if digit is None else ()))
    assert history(SECOND, served=records).last_served(other_than=renamed) is None
    assert history(SECOND, served=records).last_served(other_than=FIRST) == served(SECOND)


def test_a_compared_model_is_found_by_its_weights_and_its_definition() -> None:
    def before(compared: Model) -> ServedModel | None:
        return ServingHistory(Status(), (served(FIRST),), (SECOND,), (compared, "a" * 64)).last_served()

    assert before(FIRST) == served(FIRST)
    assert before(model("first", files={"species_map.csv": "1" * 64})) is None


def test_a_served_model_is_available_if_somebody_still_has_its_whole_address() -> None:
    private = model("second", "b", weightsUrl="https://example.org/second.ckpt?signature=x")
    record = served(private, weights_url=without_query(private.weights_url))
    assert history(known=(FIRST, private)).is_available(record), "the registry has the query"
    assert not history(known=(FIRST,)).is_available(record)
    assert history(known=(SECOND,)).is_available(served(FIRST)), "it has no query"


def test_the_last_promoted_model_has_its_entry_from_the_registry_or_from_what_served() -> None:
    assert history().last_promoted() is None
    assert history(FIRST, SECOND).last_promoted() == SECOND
    dropped = history(FIRST, THIRD, served=(served(FIRST), served(THIRD)))
    assert dropped.last_promoted() == THIRD
    assert history(FIRST, THIRD, served=(served(FIRST),)).last_promoted() is None


def test_the_promotion_has_the_digest_that_the_registry_did_not_name_when_the_model_served() -> None:
    now = model("third", "c")
    before = served(model("third", None), "c")
    assert history(now, served=(before,)).last_promoted() == now


def test_the_last_promoted_model_keeps_the_address_and_version_that_the_registry_named_last() -> None:
    moved = model("third", "c", version="1.0.1", weightsUrl=URL)
    assert history(THIRD, served=(served(moved),)).last_promoted() == moved


def test_a_record_has_the_values_that_the_registry_named_last() -> None:
    moved = model("first", version="1.0.1", weightsUrl=URL, signatureUrl=f"{URL}.sig", metrics={"tnr": 0.99})
    (record,) = added(status=Status(served=(served(FIRST),)), known=(moved,))
    assert record == served(moved)
    assert added(status=Status(served=(record,)), known=(SECOND,), deployed=moved) == [record]


def test_a_record_keeps_its_figures_if_the_registry_names_none_any_more() -> None:
    (record,) = added(status=Status(served=(served(FIRST),)), known=(model("first", metrics=None),))
    assert record == served(FIRST)


def test_the_last_promoted_weights_are_recognised() -> None:
    assert history(FIRST, SECOND).is_last_promoted(SECOND)
    assert not history(FIRST, SECOND).is_last_promoted(FIRST)
    assert not history().is_last_promoted(FIRST)


def added(
    *pods: Pod,
    status: Status | None = None,
    known: tuple[Model, ...] = (FIRST, SECOND),
    deployed: Model | None = FIRST,
    compared: tuple[Model, str] | None = None,
) -> list[ServedModel]:
    rollout = rollout_of(deployed, AntiFraud()) if deployed else None
    return list(add_served(status or Status(), ready=pods, known=known, deployed=rollout, compared=compared, at=AT))


def reports(name: str | None, digit: str | None) -> Pod:
    return ready_pod(1, identity=Identity(name=name, version="1.0.0", digest=digit * 64 if digit else None))


@pytest.mark.parametrize(
    "pod",
    [
        reports("other", "a"),
        reports("first", "b"),
        reports("first", None),
        reports(None, "a"),
        ready_pod(1, identity=None),
    ],
    ids=["unknown name", "other digest", "no digest", "no name", "no report"],
)
def test_only_a_model_that_pods_name_with_its_digest_has_served(pod: Pod) -> None:
    assert added(pod) == []
    assert added(pod, reports("second", "b")) == [served(SECOND)], "the next pod counts"


def test_a_model_is_recorded_once_and_without_texts_for_people() -> None:
    listed = model("first", notes="n", displayName="First")
    (record,) = added(reports("first", "a"), reports("first", "a"), known=(listed,))
    assert record == served(FIRST)
    assert added(reports("first", "a"), status=Status(served=(record,))) == [record]


def test_a_model_without_a_digest_is_recorded_with_the_one_that_pods_found() -> None:
    one = model("second", None)
    assert added(reports("second", "d"), known=(FIRST, one)) == [served(one, "d")]


def test_the_deployed_model_has_served_although_the_registry_dropped_it() -> None:
    (record,) = added(reports("first", "a"), known=(SECOND,))
    assert record.entry.name == "first"


def test_a_record_has_no_query_that_may_be_a_signature() -> None:
    listed = model("second", "b", weightsUrl="https://example.org/second.ckpt?signature=x")
    (record,) = added(reports("second", "b"), known=(listed,))
    assert record == served(listed, weights_url=without_query(listed.weights_url))


def test_a_lost_status_gets_back_the_model_that_a_candidate_was_compared_as() -> None:
    compared = THIRD, "c" * 64
    assert added(compared=compared, known=(FIRST,)) == [served(THIRD)]
    assert added(reports("first", "a"), compared=compared, known=(FIRST,)) == [served(THIRD), served(FIRST)]
    kept = Status(served=(served(FIRST),))
    assert added(status=kept, compared=compared, known=(FIRST,)) == [served(FIRST)], "it says what has served"


HISTOGRAMS = {"cetaceanScore": [1] * 20, "topProbability": [1] * 20}
SPECIES = [{"species": "orca", "samples": 10, "speciesAccuracy": 0.9}]


def with_figures(name: str, digit: str, **figures: Any) -> Model:
    return model(name, digit, metrics={"reference": HISTOGRAMS, "bySpecies": SPECIES} | figures)


def test_a_record_keeps_figures_by_species_only_while_a_candidate_may_be_compared_with_the_model() -> None:
    full = with_figures("second", "b")
    compared, other = with_figures("second", "b", reference=None), model("second", "b")
    kept = Status(served=(served(full),))
    assert added(status=kept, known=(full,), deployed=FIRST) == [served(other)]
    assert added(status=kept, known=(full,), deployed=full) == [served(compared)]
    promoted = kept.model_copy(update={"history": promotions(full, FIRST)})
    assert added(status=promoted, known=(full,), deployed=None) == [served(compared)]
    assert added(reports("second", "b"), known=(full,), deployed=None) == [served(other)]


def test_a_record_without_lists_of_figures_stays_as_it_is() -> None:
    bare, only_species = model("first", metrics=None), with_figures("second", "b", reference=None)
    status = Status(served=(served(bare), served(only_species)), history=promotions(SECOND))
    assert added(status=status, known=(bare, only_species)) == [served(bare), served(only_species)]


def test_a_pod_that_cannot_be_reached_serves_what_its_template_says() -> None:
    rollout = rollout_of(FIRST, AntiFraud())
    silent = ready_pod(1, identity=None, silent=NO_ANSWER, rollout_id=rollout.id)
    assert added(silent) == [served(FIRST)]
    assert added(replace(silent, rollout_id="other")) == []
    assert added(replace(silent, silent=None)) == [], "it was not asked yet"


def test_what_nothing_names_any_more_is_dropped() -> None:
    status = Status(served=(served(SECOND), served(THIRD)), history=promotions(THIRD))
    assert added(status=status, known=(FIRST,)) == [served(THIRD)]
    assert added(status=status.model_copy(update={"history": ()}), known=(FIRST,)) == []


def test_the_newest_128_models_are_kept() -> None:
    models = [model(f"m{number}") for number in range(130)]
    status = Status.model_construct(served=tuple(served(one) for one in models), history=())
    found = added(status=status, known=tuple(models))
    assert [item.entry.name for item in found] == [one.name for one in models[-128:]]
