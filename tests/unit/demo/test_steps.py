"""The demo's steps against a cluster that is not as it should be: each expectation can fail."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.report import Report
from cetacean_tools.demo.steps import BETTER, GOOD, PERMUTED, REBUILT, Demo

VERSIONS = {GOOD: "1.0.0", BETTER: "1.1.0", REBUILT: "1.0.1"}


@dataclass
class FakeEnvironment:
    """A namespace in which one model serves; a change of the registry is followed if `follows` says so."""

    serving: str = BETTER
    follows: frozenset[str] = frozenset({GOOD, BETTER})
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)
    generation: int = 1
    kubectl: Any = None
    listed: str = ""
    """Output of `cetacean candidate disagreements`."""

    def __post_init__(self) -> None:
        self.models = SimpleNamespace(cetaceans=[Path("a.jpg")], others=[Path("b.jpg")])
        self.registry = SimpleNamespace(model=lambda name: SimpleNamespace(version=VERSIONS[name], sha256=name))
        self.kubectl = self

    def __call__(self, *arguments: str, **_: Any) -> str:
        return f"{arguments[0]} done\n"

    def get(self, *_: str) -> dict[str, Any]:
        return {"metadata": {"generation": self.generation}}

    def run_cetacean(self, *_: str) -> str:
        return self.listed

    def copy_of(self, _: str, *, name: str, version: str) -> SimpleNamespace:
        return SimpleNamespace(version=version, sha256=name)

    def apply(self, manifest: Mapping[str, str]) -> None:
        if manifest["active"] in self.follows:
            self.serving, self.generation = manifest["active"], self.generation + 1

    def manifest(self, _: str, *, active: str, added: object, serving: Mapping[str, Any]) -> dict[str, Any]:
        assert serving["signature"] == {
            "keys": [{"configMapKeyRef": {"name": "model-store-signers", "key": "demo.pub"}}]
        }
        return {"active": active}

    def resource(self, _: str) -> dict[str, Any]:
        serving = {"name": self.serving, "version": VERSIONS.get(self.serving, "?"), "digest": self.serving}
        return {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "serving": serving, "history": []}}

    def pods(self, _: str) -> list[dict[str, Any]]:
        return [{"metadata": {"uid": self.serving}}]

    def service(self, _: str) -> FakeEnvironment:
        return self

    def predict(self, _: Path) -> dict[str, Any]:
        return {"model_version": VERSIONS.get(self.serving, "?")}

    def send(self, pictures: list[Path]) -> list[dict[str, Any]]:
        return [self.predict(picture) for picture in pictures]

    def wait_for_condition(self, _: str, kind: str, status: str, **__: Any) -> dict[str, str]:
        return {"status": status, "reason": "", "message": ""} | self.conditions.get(kind, {})


def unfulfilled(environment: FakeEnvironment, step: str) -> list[str]:
    """Run one step; return the expectations that were not fulfilled."""
    report = Report(Console(file=io.StringIO()))
    getattr(Demo(cast("Environment", environment), report), step)()
    assert report.findings
    return [finding.expected for finding in report.findings if not finding.fulfilled]


REFUSED = {"GatePassed": {"message": "TPR 0.5 is below 0.85"}}
NO_POD = "no pod started for it"
OVER = "the alarm is over, by the first model's figures"


def test_a_refusal_is_as_expected_if_nothing_changes() -> None:
    assert unfulfilled(FakeEnvironment(conditions=REFUSED), "refused_regression") == []


class WithoutPods(FakeEnvironment):
    """The Deployment changes, and its pods take longer to appear than the step does."""

    def pods(self, _: str) -> list[dict[str, Any]]:
        return []

    def predict(self, _: Path) -> dict[str, Any]:
        return {"model_version": VERSIONS[BETTER]}


def test_a_refused_model_in_the_deployment_is_seen_before_its_pods_appear() -> None:
    environment = WithoutPods(conditions=REFUSED, follows=frozenset({"demo_v3"}))
    assert unfulfilled(environment, "refused_regression") == [NO_POD]


def drifting(reason: str, message: str) -> FakeEnvironment:
    return FakeEnvironment(conditions={"Drifting": {"reason": reason, "message": message}})


def test_a_rollback_is_as_expected_if_the_first_models_figures_end_the_alarm() -> None:
    environment = drifting("WithinBounds", "mean cetacean score 0.930 of demo_v1 over 80 samples")
    assert unfulfilled(environment, "rollback") == []


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("WithinBounds", "mean cetacean score 0.930 of demo_v2 over 80 samples"),
        ("NoReports", "no pod has reported its scores"),
    ],
)
def test_an_alarm_that_ends_by_other_figures_or_by_none_is_not_over(reason: str, message: str) -> None:
    assert unfulfilled(drifting(reason, message), "rollback") == [OVER]


def test_a_model_that_goes_on_serving_is_no_rollback() -> None:
    environment = drifting("WithinBounds", "mean cetacean score 0.930 of demo_v1 over 80 samples")
    environment.follows = frozenset()
    missed = unfulfilled(environment, "rollback")
    assert {"Ready, and the pods report demo_v1's digest", "every pod replaced"} <= set(missed)


class Promoted(FakeEnvironment):
    """The rebuilt model serves once its shadow has agreed."""

    def wait_for_condition(self, _: str, kind: str, status: str, **__: Any) -> dict[str, str]:
        if (kind, status) == ("CandidatePassed", "True"):
            self.serving = REBUILT
        return super().wait_for_condition(_, kind, status, **__)


def test_a_candidate_that_agrees_and_serves_is_as_expected() -> None:
    assert unfulfilled(Promoted(serving=GOOD, follows=frozenset()), "shadow_agrees") == []


def test_a_candidate_that_does_not_serve_although_it_agrees_is_seen() -> None:
    missed = unfulfilled(FakeEnvironment(serving=GOOD, follows=frozenset()), "shadow_agrees")
    assert {f"Ready, and the pods report {REBUILT}'s digest", "every pod replaced"} <= set(missed)


STOPPED = {"CandidatePassed": {"message": "same species: 0 of 8 pictures"}}
LISTED = "\n".join(["picture  served  candidate"] * 9)


def test_a_shadow_that_stops_the_wrong_model_is_as_expected() -> None:
    environment = FakeEnvironment(serving=REBUILT, follows=frozenset(), conditions=STOPPED, listed=LISTED)
    assert unfulfilled(environment, "shadow_stops") == []


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"listed": "no differences"}, ["the pictures with both answers are listed"]),
        ({"conditions": {}}, ["the shadow names figure and bound"]),
        ({"follows": frozenset({PERMUTED})}, ["no pod was replaced"]),
    ],
)
def test_a_shadow_that_does_not_stop_it_is_seen(change: dict[str, Any], missed: list[str]) -> None:
    given: dict[str, Any] = {"conditions": STOPPED, "listed": LISTED, "follows": frozenset()} | change
    assert unfulfilled(FakeEnvironment(serving=REBUILT, **given), "shadow_stops") == missed
