"""The steps of the demo: each is printed and checked as it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.report import Report
from cetacean_tools.demo.traffic import BackgroundTraffic
from cetacean_tools.demo.waiting import until

NAME = "whales"
GOOD, BETTER, REGRESSED, PERMUTED, BROKEN = "demo_v1", "demo_v2", "demo_v3", "demo_permuted", "demo_v2_broken"
WRONG_DIGEST = "0" * 64
REBUILT = "demo_v1_rebuilt"
# Two cores share the pods of both models, so their times are no subject here.
_REQUIRE = {
    # Each picture counts once for each pod, and there are 168: bounds that so few can prove.
    "pictures": 60,
    "minAgreement": {"accepted": 0.9, "species": 0.9, "individual": 0.8},
    "maxErrorPercent": 10,
    "maxLatencyRatio": 100,
}
SHADOW: dict[str, Any] = {
    "rollout": {"stages": [{"shadow": {"share": 1.0, "require": _REQUIRE}, "timeoutSeconds": 900}]}
}
SIGNATURE = {"keys": [{"configMapKeyRef": {"name": "model-store-signers", "key": "demo.pub"}}]}
OPEN: dict[str, Any] = {"gates": {"minTPR": 0, "minTNR": 0, "maxRegression": 1}}
"""Gates that refuse no model of the demo."""
_DRIFTED = 220
_CLEAR = 80


@dataclass(slots=True)
class Demo:
    """The main job, step by step."""

    environment: Environment
    report: Report

    def steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield title and action of each step, in their order."""
        yield "1. A CetaceanModel mirrors the registry: first rollout", self.first_rollout
        yield "2. Promotion: `active` goes to the better model", self.promotion
        yield "3. A regressed candidate is refused", self.refused_regression
        yield "4. A candidate that names the wrong whale with confidence is refused", self.refused_confidently_wrong
        yield "5. A model with a wrong sha256 never serves", self.wrong_digest
        yield "6. Drift: the pictures change", self.drift
        yield "7. Rollback: `active` goes back to the first model", self.rollback
        yield (
            "8. A shadow: a new version answers the clients' pictures too, agrees, and is promoted",
            self.shadow_agrees,
        )
        yield "9. The shadow stops a model that names the wrong whale, with all gates open", self.shadow_stops

    def first_rollout(self) -> None:
        """Apply the mirrored registry; pods fetch, verify, load and answer."""
        self._apply(GOOD)
        self._rolled_out()
        self._serves(GOOD)
        message = self.environment.wait_for_condition(NAME, "SignatureVerified", "True")["message"]
        self.report.expect("the demo's key has signed the weights", message, fulfilled="demo.pub" in message)
        picture = self.environment.models.cetaceans[0]
        detection = self.environment.service(NAME).predict(picture)
        self.report.show(f"  {picture.name} → {_short(detection)}")
        self.report.expect(
            "a Detection of an individual whale",
            f"{detection['class_animal']} ({detection['id_animal']}), cetacean_score {detection['cetacean_score']}",
            fulfilled=bool(detection["is_cetacean"] and detection["class_animal"] and not detection["rejected"]),
        )
        other = self.environment.service(NAME).predict(self.environment.models.others[0])
        self.report.expect(
            "a picture without a whale is rejected",
            f"{other['rejection_reason']}, cetacean_score {other['cetacean_score']}",
            fulfilled=other["rejected"] and other["rejection_reason"] == "not_a_marine_mammal",
        )

    def promotion(self) -> None:
        """Change `active`; pods are replaced without a failed request."""
        before = self._pod_uids()
        with self._traffic() as traffic:
            self._apply(BETTER)
            self._rolled_out()
            self._serves(BETTER)
        self._all_replaced(before)
        self._no_failures(traffic)
        history = self._status()["history"]
        self.report.expect(
            "the promotion in the history",
            " ← ".join(entry["model"] for entry in history),
            fulfilled=[entry["model"] for entry in history[:2]] == [BETTER, GOOD],
        )

    def refused_regression(self) -> None:
        """Offer a candidate below the gate's bounds: no pod starts, the condition names the figures."""
        self._refused(REGRESSED, "TPR")

    def refused_confidently_wrong(self) -> None:
        """Offer a candidate whose figures of the anti-fraud gate are the serving model's, and that names all wrong."""
        self._refused(PERMUTED, "minTop1", "confidently wrong")

    def _refused(self, model: str, *named: str) -> None:
        before = self._pod_uids(), self._generation()
        self._apply(model)
        message = self.environment.wait_for_condition(NAME, "GatePassed", "False", mentions=model)["message"]
        self.report.expect("the gate names figure and bound", message, fulfilled=all(one in message for one in named))
        self._answers(BETTER)
        # A pod may take longer to appear than this step; none appears without a change of the Deployment.
        after = self._pod_uids(), self._generation()
        shown = f"{len(after[0] - before[0])} new pods, Deployment changed {after[1] - before[1]} times"
        self.report.expect("no pod started for it", shown, fulfilled=after == before)

    def wrong_digest(self) -> None:
        """Name a digest that the weights do not have: the old pods go on, the status has both digests."""
        before = self._pod_uids()
        broken = self.environment.copy_of(BETTER, name=BROKEN, version="1.3.0", sha256=WRONG_DIGEST)
        with self._traffic() as traffic:
            self._apply(BROKEN, broken)
            found = self.environment.wait_for_condition(NAME, "WeightsVerified", "False", mentions="expected sha256:")
            actual = self.environment.registry.model(BETTER).sha256 or "?"
            self.report.expect(
                "the status has the expected and the actual digest",
                found["message"],
                fulfilled=WRONG_DIGEST in found["message"] and actual in found["message"],
            )
            answering = {pod["metadata"]["uid"] for pod in self.environment.pods(NAME) if _is_ready(pod)}
            self.report.expect(
                "only the old pods answer", f"{len(answering & before)} ready", fulfilled=answering == before
            )
            self._apply(BETTER, broken)
            until("the broken pods to go", lambda: self._pod_uids() == before)
            self._serves(BETTER)
        self._no_failures(traffic)
        self.report.expect(
            "only the good version answered", dict(traffic.versions), fulfilled=len(traffic.versions) == 1
        )

    def drift(self) -> None:
        """Send pictures in fog, at night and out of focus: the mean score drops, and the operator reports it."""
        pictures = list(islice(cycle(self.environment.models.drifted), _DRIFTED))
        self.report.show(f"  sending {len(pictures)} pictures in fog, at night and out of focus")
        self.environment.service(NAME).send(pictures)
        found = self.environment.wait_for_condition(NAME, "Drifting", "True", within=60)
        self.report.show(f"  Drifting: {found['message']}")
        stats = [self.environment.pod_answer(pod, "/v1/drift-stats") for pod in self.environment.pods(NAME)]
        pooled = sum(s["n"] * s["score_mean"] for s in stats) / sum(s["n"] for s in stats)
        alarms = sum(s["alarms_total"] for s in stats)
        self.report.show(f"  pods say: {[(s['n'], round(s['score_mean'], 4), s['alarms_total']) for s in stats]}")
        drift = until("the pods' figures in the status", lambda: self._drift_as(pooled, alarms))
        baseline = self.environment.models.snapshots()[BETTER].cetacean_score_mean
        self.report.expect(
            "status.drift has the pods' figures",
            ", ".join(f"{key} {drift[key]}" for key in ("samples", "mean", "baseline", "drop", "alarms")),
            fulfilled=abs(drift["mean"] - pooled) < 0.01 and abs(drift["baseline"] - (baseline or 0)) < 0.001,
        )
        self.report.expect("an alarm was raised", alarms, fulfilled=alarms >= 1)
        annotations = self.environment.resource(NAME)["metadata"].get("annotations", {})
        shown = {key.partition("/")[2]: value for key, value in sorted(annotations.items()) if "/drift-" in key}
        self.report.expect(
            "the annotations have them too",
            shown,
            fulfilled=abs(float(shown.get("drift-score-mean", -1)) - pooled) < 0.01
            and float(shown.get("drift-alarms-total", -1)) == alarms
            and float(shown.get("drift-score-avg", -1)) > 0,
        )

    def rollback(self) -> None:
        """Change `active` back: pods are replaced again, without a gate."""
        before = self._pod_uids()
        with self._traffic() as traffic:
            self._apply(GOOD)
            self._rolled_out()
            self._serves(GOOD)
        self._all_replaced(before)
        self._no_failures(traffic)
        self.report.show(f"  sending {_CLEAR} clear pictures: fewer samples would be no ground to judge on")
        self.environment.service(NAME).send(list(islice(cycle(self.environment.models.cetaceans), _CLEAR)))
        clear = self.environment.wait_for_condition(NAME, "Drifting", "False", within=60)
        # New pods have empty windows, whichever model serves: only the first model's figures say that it is over.
        over = clear["reason"] == "WithinBounds" and f" of {GOOD} over " in clear["message"]
        self.report.expect("the alarm is over, by the first model's figures", clear["message"], fulfilled=over)
        self.environment.kubectl("get", "cetaceanmodel", NAME)
        self.environment.kubectl("rollout", "history", f"deployment/{NAME}")

    def shadow_agrees(self) -> None:
        """Rebuild the model under a new version: it runs beside what serves, agrees with it, and replaces it."""
        before, rebuilt = self._pod_uids(), self._rebuilt()
        with self._traffic() as traffic:
            self._apply(REBUILT, rebuilt, **SHADOW)
            found = self._candidate("Unknown", "(Shadow)")
            self.report.expect("it runs beside what serves", found["message"], fulfilled=before <= self._pod_uids())
            found = self._candidate("True", REBUILT)
            self.report.expect("it agrees about the clients' pictures", found["message"], fulfilled=True)
            self._rolled_out()
            self._serves(REBUILT)
        self._all_replaced(before)
        self._no_failures(traffic)
        self.environment.kubectl("get", "deployments,pods")

    def shadow_stops(self) -> None:
        """Offer the confidently wrong model without gates: no client gets its answers, the differences are shown."""
        before = self._pod_uids()
        with self._traffic() as traffic:
            self._apply(PERMUTED, self._rebuilt(), **SHADOW, **OPEN)
            message = self._candidate("False", PERMUTED)["message"]
        named = "same species" in message or "same individual" in message
        self.report.expect("the shadow names figure and bound", message, fulfilled=named)
        self._no_failures(traffic)
        self.report.expect("no client got its answers", dict(traffic.versions), fulfilled=len(traffic.versions) == 1)
        self.report.expect("no pod was replaced", f"{len(before)} pods", fulfilled=self._pod_uids() == before)
        listed = self.environment.kubectl.run_cetacean("candidate", "disagreements", NAME)
        count = len(listed.splitlines())
        self.report.expect("the pictures with both answers are listed", f"{count} lines", fulfilled=count > 5)

    def _rebuilt(self) -> ModelEntry:
        return self.environment.copy_of(GOOD, name=REBUILT, version="1.0.1")

    def _entry(self, model: str) -> ModelEntry:
        return self._rebuilt() if model == REBUILT else self.environment.registry.model(model)

    def _candidate(self, status: str, mentions: str) -> Mapping[str, Any]:
        return self.environment.wait_for_condition(NAME, "CandidatePassed", status, mentions=mentions, within=300)

    def _apply(self, active: str, *added: ModelEntry, **spec: Any) -> None:
        self.report.show(f"  registry: active = {active}")
        manifest = self.environment.manifest(NAME, active=active, added=added, serving={"signature": SIGNATURE})
        manifest.setdefault("spec", {}).update(spec)
        self.environment.kubectl.apply(manifest)

    def _rolled_out(self) -> None:
        # The Deployment follows the resource in its own time: ask for it once the operator has seen the change.
        until("the operator to see the change", self._is_observed)
        output = self.environment.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=240s", timeout=300)
        self.report.expect("`kubectl rollout status` returns", output.strip().splitlines()[-1], fulfilled=True)

    def _is_observed(self) -> bool:
        resource = self.environment.resource(NAME)
        return bool(resource.get("status", {}).get("observedGeneration") == resource["metadata"]["generation"])

    def _serves(self, model: str) -> None:
        ready = self.environment.wait_for_condition(NAME, "Ready", "True")
        status = self._status()
        serving = status["serving"]
        self.report.expect(
            f"Ready, and the pods report {model}'s digest",
            f"{ready['message']}: {serving['name']} {serving['version']} sha256:{(serving.get('digest') or '')[:12]}…",
            fulfilled=serving["name"] == model and serving["digest"] == self._entry(model).sha256,
        )
        self._answers(model)

    def _answers(self, model: str) -> None:
        wanted = self._entry(model).version
        answers = self.environment.service(NAME).send(self.environment.models.cetaceans[:8])
        versions = Counter(answer["model_version"] for answer in answers)
        self.report.expect(f"answers carry model_version {wanted}", dict(versions), fulfilled=set(versions) == {wanted})

    def _all_replaced(self, before: set[str]) -> None:
        left = before & self._pod_uids()
        shown = f"{len(left)} of {len(before)} old pods left"
        self.report.expect("every pod replaced", shown, fulfilled=bool(before) and not left)

    def _no_failures(self, traffic: BackgroundTraffic) -> None:
        total = sum(traffic.versions.values())
        self.report.show(f"  requests meanwhile, by model_version: {dict(traffic.versions)}")
        shown = f"{len(traffic.failures)} of {total + len(traffic.failures)} failed" + "".join(
            f"; {failure}" for failure in traffic.failures[:1]
        )
        self.report.expect("no request failed meanwhile", shown, fulfilled=total > 0 and not traffic.failures)

    def _drift_as(self, mean: float, alarms: int) -> dict[str, Any]:
        drift: dict[str, Any] = self._status().get("drift") or {}
        return drift if abs((drift.get("mean") or 0) - mean) < 0.01 and drift.get("alarms") == alarms else {}

    def _traffic(self) -> BackgroundTraffic:
        return BackgroundTraffic(self.environment.service(NAME), self.environment.models.cetaceans)

    def _status(self) -> dict[str, Any]:
        return dict(self.environment.resource(NAME).get("status", {}))

    def _generation(self) -> int:
        return int(self.environment.kubectl.get("deployment", NAME)["metadata"]["generation"])

    def _pod_uids(self) -> set[str]:
        return {pod["metadata"]["uid"] for pod in self.environment.pods(NAME)}


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _short(detection: dict[str, Any]) -> str:
    keys = ("class_animal", "id_animal", "probability", "is_cetacean", "cetacean_score", "model_version")
    return ", ".join(f"{key}={detection[key]}" for key in keys)
