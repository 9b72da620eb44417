"""A wall clock that is set forward or back changes what is dated, and nothing that is decided."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.operator_world import BEGIN, SURE, World, entry, manifest
from support.pods import FakePod

from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.failures import PROBE_PATIENCE, seconds_until_failure

MODELS = (
    entry("good", "a", metrics=SURE),
    entry("better", "b", metrics={"tnr": 0.93, "cetaceanScoreMean": 0.93} | SURE),
    entry("broken", "d", metrics={"tnr": 0.94}),
)
STEPS = st.timedeltas(timedelta(days=-400), timedelta(days=400))
ACTS = st.one_of(
    st.tuples(st.just("activate"), st.sampled_from([model["name"] for model in MODELS])),
    st.tuples(st.just("drift"), st.sampled_from([0.5, 0.85, 0.93])),
    st.tuples(st.just("identify"), st.sampled_from([0.5, 0.85, 0.9])),
    st.tuples(st.just("compare"), st.sampled_from([0, 60])),
    st.tuples(st.just("replicas"), st.integers(0, 2)),
)


def behave(pod: FakePod) -> None:
    pod.ready = pod.model != "broken"


def live(acts: list[tuple[tuple[str, Any], timedelta]], *, stepping: bool) -> World:
    """A resource's life; the clock is right again in the end."""
    world = World(manifest(*MODELS, drift={"onAlarm": "Rollback"}), behave=behave)
    world.settle()
    for (act, value), step in acts:
        if stepping:
            world.now = BEGIN + step
        if act == "activate":
            world.activate(value)
        elif act == "drift":
            world.drift(value)
        elif act == "identify":
            world.identify(value)
        elif act == "compare":
            if world.comparison_plan is not None and world.pods:
                world.compare(surer=value, less_sure=60 - value)
        else:
            world.edit(serving={"replicas": value})
        world.settle()
    world.now = BEGIN
    world.settle()
    return world


@settings(max_examples=60)
@given(st.lists(st.tuples(ACTS, STEPS), max_size=6))
def test_a_clock_that_is_set_changes_no_decision_and_no_event(acts: list[tuple[tuple[str, Any], timedelta]]) -> None:
    stepped, steady = live(acts, stepping=True), live(acts, stepping=False)
    for found, expected in zip(stepped.status.conditions, steady.status.conditions, strict=True):
        assert found.model_copy(update={"last_transition_time": ""}) == expected.model_copy(
            update={"last_transition_time": ""}
        )
    undated = [item.model_dump(exclude={"at"}) for item in stepped.status.history]
    assert undated == [item.model_dump(exclude={"at"}) for item in steady.status.history]
    assert stepped.events == steady.events
    assert stepped.started == steady.started
    assert stepped.deployed == steady.deployed


@pytest.mark.parametrize("ahead", [timedelta(seconds=2), timedelta(days=300)])
def test_an_emergency_that_began_in_the_future_is_overdue_in_a_day(ahead: timedelta) -> None:
    world = World(manifest(antiFraud={"threshold": 0.0}), now=BEGIN + ahead)
    world.settle()
    world.now = BEGIN
    plan = world.settle()
    assert world.is_("AntiFraudDisabled") == ("True", "ThresholdZero")
    assert plan.requeue_after == 24 * 3600
    world.wait(hours=24)
    world.settle()
    assert world.is_("AntiFraudDisabled") == ("True", "RecalibrationOverdue")


def test_a_pod_that_began_in_the_future_is_checked_in_time() -> None:
    world = World()
    world.settle()
    (pod,) = world.pods
    pod.ready, pod.started_at = False, timestamp(BEGIN + timedelta(days=1))
    assert seconds_until_failure([pod.observed()], BEGIN) == PROBE_PATIENCE
