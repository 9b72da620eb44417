"""Which alerts fire for states that the operator's decisions lead to, with the series of their status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.operator_world import World, entry, manifest
from support.pods import FakePod

from cetacean_operator.metrics import status_series
from cetacean_operator.metrics.model_series import ModelSeries

from .conftest import CHART, Promtool

RULES = CHART / "rules/operator.yaml"
MINUTES = 120
MODELS = entry("first"), entry("second", "b"), entry("bad", "d", metrics={"tnr": 0.1})
SHADOW = {"shadow": {"share": 1.0, "require": {"pictures": 300}}, "timeoutSeconds": 72 * 3600}


def all_well() -> World:
    world = World(manifest(*MODELS))
    world.settle()
    return world


def no_replica_wanted() -> World:
    world = World(manifest(*MODELS, serving={"replicas": 0}))
    world.settle()
    return world


def no_pod_ready() -> World:
    world = World(manifest(*MODELS), behave=never_ready)
    world.settle()
    world.wait(hours=1)
    world.settle()
    return world


def candidate_in_its_stages() -> World:
    world = World(manifest(*MODELS, rollout={"stages": [SHADOW]}, serving={"networkPolicy": {}}))
    world.settle()
    world.activate("second")
    world.settle()
    assert world.is_("Ready") == ("False", "StagesRunning")
    return world


def pods_lost_while_a_candidate_is_in_its_stages() -> World:
    world = candidate_in_its_stages()
    for pod in world.pods:
        never_ready(pod)
    world.settle()
    return world


def refused_by_the_gate() -> World:
    world = all_well()
    world.activate("bad")
    world.settle()
    return world


def mean_score_dropped() -> World:
    world = all_well()
    world.drift(mean=0.5)
    world.settle()
    return world


def most_pictures_rejected() -> World:
    world = all_well()
    world.drift(mean=0.9, requests=100, rejections=90)
    world.settle()
    return world


def most_pictures_rejected_and_the_mean_dropped() -> World:
    world = all_well()
    world.drift(mean=0.5, requests=100, rejections=90)
    world.settle()
    return world


def gate_disabled_for_two_days() -> World:
    world = all_well()
    world.edit(antiFraud={"threshold": 0.0})
    world.settle()
    world.wait(hours=48)
    world.settle()
    return world


def never_ready(pod: FakePod) -> None:
    pod.ready = False


@pytest.mark.parametrize(
    ("state", "fired"),
    [
        (all_well, set()),
        (no_replica_wanted, set()),
        (no_pod_ready, {"Unavailable", "NotReady"}),
        (candidate_in_its_stages, set()),
        (pods_lost_while_a_candidate_is_in_its_stages, {"Unavailable", "NotReady"}),
        (refused_by_the_gate, {"RegistryDiverged"}),
        (mean_score_dropped, {"Drifting"}),
        (most_pictures_rejected, {"RejectionsSystemic"}),
        (most_pictures_rejected_and_the_mean_dropped, {"RejectionsSystemic", "Drifting"}),
        (gate_disabled_for_two_days, {"AntiFraudDisabled", "RecalibrationOverdue"}),
    ],
)
def test_a_state_fires_its_own_alerts_and_no_other(
    promtool: Promtool, tmp_path: Path, state: Callable[[], World], fired: set[str]
) -> None:
    wanted = [{"labels": f'{{alertname="CetaceanModel{name}"}}', "value": 1} for name in sorted(fired)]
    check = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing",alertname=~"CetaceanModel.+"})',
        "eval_time": f"{MINUTES}m",
        "exp_samples": wanted,
    }
    case = {"interval": "1m", "input_series": series_of(state()), "promql_expr_test": [check]}
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}))
    promtool("test", "rules", file)


def series_of(world: World) -> list[dict[str, str]]:
    """Return the series of a resource that goes on having its state."""
    series = ModelSeries()
    series.set("sea", "whales", status_series.of(world.status))
    return [
        {
            "series": sample.name + "{" + ",".join(f'{key}="{value}"' for key, value in sample.labels.items()) + "}",
            "values": f"{sample.value:g}x{MINUTES}",
        }
        for family in series.collect()
        for sample in family.samples
    ]
