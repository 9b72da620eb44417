"""A cluster as decisions see it: plans are applied, a Deployment's controller replaces pods, pods answer scrapes."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.model_approval import Approvals, parse_approvals
from cetacean_operator.api.observed import (
    PROBABILITY_UNIT,
    AnswerCounts,
    CetaceanModel,
    DriftReport,
    Object,
    Observed,
    Pod,
    SpeciesCount,
)
from cetacean_operator.api.shadow import UNIT, PairCounts, ShadowReport, SpeciesPairs
from cetacean_operator.api.spec import Model, parse_spec
from cetacean_operator.api.status import Condition, Status, parse_status
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.plan import EventSpec, Plan, status_as_applied
from cetacean_registry.figures import HISTOGRAM_BINS
from support.pods import FakePod

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
METRICS = {
    "tpr": 0.95,
    "tnr": 0.92,
    "rocAuc": 0.98,
    "cetaceanScoreMean": 0.9,
    "sampleSize": 100,
    "evaluationSet": "test",
}
SURE: dict[str, Any] = {"identification": {"samples": 100, "topProbabilityMean": 0.9}}
"""Metrics of a model whose identification can be seen to drift, and be compared with another model's."""
WORSE, FEWEST_PAIRS = 0.5, 60
"""A top probability that proves a drop, and pairs that prove what each of them shows."""


def entry(name: str, digit: str | None = "a", **changes: Any) -> dict[str, Any]:
    """Return a registry entry whose digest is `digit` 64 times, or null; `metrics` are merged into good ones."""
    metrics = changes.pop("metrics", {})
    return {
        "name": name,
        "version": "1.0.0",
        "architecture": "CetaceanIdentificationModel",
        "weightsUrl": f"https://example.org/{name}.ckpt",
        "sha256": digit * 64 if digit else None,
        "metrics": None if metrics is None else METRICS | metrics,
        **changes,
    }


def model(name: str = "first", digit: str | None = "a", **changes: Any) -> Model:
    """Return the same entry as decisions get it."""
    return Model.model_validate(entry(name, digit, **changes))


def manifest(*models: dict[str, Any], active: str | None = None, **spec: Any) -> Object:
    """Return a CetaceanModel as the API server returns it; by default one replica of the first model."""
    models = models or (entry("first"),)
    serving = {"image": "cetacean-inference:1"} | spec.pop("serving", {})
    registry = {"schemaVersion": "1.0", "active": active or models[0]["name"], "models": list(models)}
    return {
        "apiVersion": "ecomarineai.org/v1alpha1",
        "kind": "CetaceanModel",
        "metadata": {"namespace": "sea", "name": "whales", "uid": "uid-1", "generation": 1, "resourceVersion": "1"},
        "spec": {"registry": registry, "serving": serving, **spec},
    }


Behaviour = Callable[[FakePod], None]


def serves(pod: FakePod) -> None:
    """The pod loads its weights and answers."""
    pod.ready = True


@dataclass
class World:
    """One resource with its children and pods. `behave` is called with each new pod."""

    obj: Object = field(default_factory=manifest)
    behave: Behaviour = serves
    now: datetime = BEGIN
    served_kinds: frozenset[str] = frozenset()
    kubernetes: tuple[int, int] | None = (1, 37)
    approvals: list[Object] = field(default_factory=list)
    """ModelApprovals that name the resource."""
    approvals_unreadable: str | None = None
    candidate_conflict: str | None = None
    """Kind and name of an object of someone else that has the name of a child of the candidate."""
    children: dict[tuple[str, str], Object] = field(default_factory=dict)
    pods: list[FakePod] = field(default_factory=list)
    prefetch_pods: list[Pod] = field(default_factory=list)
    """Pods of Jobs that fetch weights."""
    candidate_pods: list[FakePod] = field(default_factory=list)
    events: list[EventSpec] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    """The model of each pod that was ever created."""
    writes: int = 0
    _runs: set[str | None] = field(default_factory=set)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def rollouts(self) -> set[str | None]:
        """The rollouts of the pods that serve."""
        return {pod.observed().rollout_id for pod in self.pods}

    # --- Actions of people --------------------------------------------------------------------------------------------

    def edit(self, **spec: Any) -> None:
        """Change top-level fields of the spec; dictionaries are merged."""
        for key, value in spec.items():
            old = self.obj["spec"].get(key)
            self.obj["spec"][key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        self.obj["metadata"]["generation"] += 1

    def activate(self, name: str) -> None:
        self.edit(registry={"active": name})

    def models(self, *models: dict[str, Any], active: str | None = None) -> None:
        self.edit(registry={"models": list(models), "active": active or self.obj["spec"]["registry"]["active"]})

    def wait(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def drift(self, mean: float, *, samples: int = 100, requests: float = 0, rejections: float = 0) -> None:
        for pod in self.pods:
            pod.drift = DriftReport(
                samples=samples,
                mean=mean,
                score_avg=mean,
                requests=requests or samples,
                rejections=rejections,
                answers=pod.drift.answers,
            )

    def identify(self, probability: float, *, samples: int = 100) -> None:
        """Let each pod report answers whose likeliest individuals have this probability."""
        place, orcas = min(int(probability * HISTOGRAM_BINS), HISTOGRAM_BINS - 1), round(probability * PROBABILITY_UNIT)
        answers = AnswerCounts(
            answered=samples,
            identified=samples,
            low_confidence=0,
            cetacean_score=(*(0,) * (HISTOGRAM_BINS - 1), samples),
            top_probability=tuple(samples * (number == place) for number in range(HISTOGRAM_BINS)),
            species=(SpeciesCount("orca", samples, orcas * samples),),
        )
        for pod in self.pods:
            pod.drift = replace(pod.drift, answers=answers)

    def compare(
        self,
        *,
        surer: int,
        less_sure: int = 0,
        equal: int = 0,
        probability: float = 0.9,
        failed: int = 0,
        run: str | None = None,
    ) -> None:
        """Let the pods report pairs of answers.

        Args:
            surer: pictures of which the compared model is surer, as each is expected to be.
            less_sure: pictures of which it is less sure.
            equal: pictures of which it is as sure.
            probability: of its likeliest individuals.
            failed: pictures that it did not answer.
            run: the comparison; that of the pods' plan unless given.
        """
        plan, number = self.comparison_plan, surer + less_sure + equal
        assert plan is not None, "the pods have no plan of a comparison"
        pairs = PairCounts(
            pairs=number,
            accepted=number,
            both_accepted=number,
            probability_other=round(probability * UNIT) * number,
            higher=surer,
            lower=less_sure,
        )
        self.pods[0].shadow = ShadowReport(run=run or plan["run"], failed=failed, candidate=pairs)

    def shadow(self, pairs: int, *, failed: int = 0, slower: int = 0, **disagreeing: int) -> None:
        """Let the pods report pairs of answers of which all agree but `accepted`, `species`, `individual` many.

        If there are several pods, two of them have answered a quarter of the pictures, and always agree.
        """
        plan = self.comparison_plan
        assert plan is not None, "the pods have no plan of a comparison"
        accepted, species, individual = (
            pairs - disagreeing.get(name, 0) for name in ("accepted", "species", "individual")
        )
        both = min(accepted, species, individual) if disagreeing.get("accepted") else pairs
        counts = PairCounts(
            pairs=pairs,
            accepted=accepted,
            both_accepted=both,
            species=min(both, species),
            individual=min(both, individual),
            slower=slower,
        )
        alike = pairs // 4 if plan.get("peer_url") else 0
        noise = PairCounts(pairs=alike, accepted=alike, both_accepted=alike, species=alike, individual=alike)
        self.pods[0].shadow = ShadowReport(run=plan["run"], failed=failed, candidate=counts, noise=noise)

    def shadow_species(self, pairs: int, *, lost: str, pictures: int) -> None:
        """Let the pods report pairs that agree, but for the pictures of one species."""
        self.shadow(pairs, species=pictures, individual=pictures)
        report = self.pods[0].shadow
        assert report is not None
        species = {"orca": SpeciesPairs(pairs - pictures, pairs - pictures, pairs - pictures)}
        counts = replace(report.candidate, by_species=species | {lost: SpeciesPairs(pictures, 0, 0)})
        self.pods[0].shadow = replace(report, candidate=counts)

    def answer_clients(self, requests: int, *, candidate_errors: float = 0.0, errors: float = 0.0) -> None:
        """Let all pods that the Service selects answer so many requests each, some of them with 5xx."""
        for pod in self.pods:
            pod.answer(requests, round(errors * requests))
        for pod in self.candidate_pods if self.clients_reach_candidate else ():
            pod.answer(requests, round(candidate_errors * requests))

    def decide_by_person(self, decision: str, *, by: str = "alice", why: str | None = None) -> None:
        """Write what `cetacean candidate promote`, `abort` and `retry` write, about the active model."""
        spec = parse_spec(self.obj["spec"])
        active = spec.registry.active_model
        written = {
            "decision": decision,
            "model": active.name,
            "rollout": rollout_of(active, spec.anti_fraud).id,
            "by": by,
            "at": timestamp(self.now),
            "why": why,
        }
        self.obj["metadata"].setdefault("annotations", {})[names.ANNOTATION_DECISION] = json.dumps(written)

    def fail_identification(self) -> None:
        """Let the model that serves be less sure of its answers, and the one before not, if it is compared."""
        self.identify(WORSE)
        self.settle()
        if self.comparison_plan is not None:
            self.compare(surer=FEWEST_PAIRS)
        self.settle()

    # --- The operator's part ------------------------------------------------------------------------------------------

    def observed(self) -> Observed:
        pods = tuple(pod.observed() for pod in self.pods)
        return Observed(
            copy.deepcopy(self.children),
            pods,
            tuple(pod.observed() for pod in self.candidate_pods),
            prefetch_pods=tuple(self.prefetch_pods),
            served_kinds=self.served_kinds,
            kubernetes=self.kubernetes,
            candidate_conflict=self.candidate_conflict,
            approvals=Approvals(parse_approvals(self.approvals), self.approvals_unreadable),
        )

    def decide(self) -> Plan:
        return decide(CetaceanModel.of(copy.deepcopy(self.obj)), self.observed(), self.now)

    def reconcile(self) -> Plan:
        """One pass as the reconciler does it: apply children, decide again, write the status."""
        plan = self.decide()
        for child in plan.apply:
            self.apply(child)
        for child_ref in plan.delete:
            assert self.children.pop((child_ref.kind, child_ref.name))["metadata"]["uid"] == child_ref.uid
            self.writes += 1
        if plan.apply or plan.delete:
            plan = self.decide()
        self.write_status(plan)
        run = (self.comparison_plan or {}).get("run")
        for pod in self.pods:
            if run is None or (pod.shadow and pod.shadow.run != run and pod.shadow.run in self._runs):
                pod.shadow = None  # it begins at zero when it compares again
        self._runs = {run}
        return plan

    def write_status(self, plan: Plan) -> None:
        applied = status_as_applied(plan.status)
        if applied != self.obj.get("status"):
            self.obj["status"] = copy.deepcopy(applied)
            self.events += plan.events
            self.writes += 1
        drift = {key: v for key, v in self.annotations.items() if key.startswith("ecomarineai.org/drift-")}
        if drift != plan.annotations:
            others = {key: value for key, value in self.annotations.items() if key not in drift}
            self.obj["metadata"]["annotations"] = others | plan.annotations
            self.writes += 1

    def apply(self, child: Object) -> None:
        ref = (child["kind"], child["metadata"]["name"])
        live = copy.deepcopy(child)
        before = self.children.get(ref)
        live["metadata"]["uid"] = before["metadata"]["uid"] if before else f"child-{next(self._numbers)}"
        changed = before is None or before.get("spec") != live.get("spec")
        generation = before["metadata"]["generation"] if before else 0
        live["metadata"]["generation"] = generation + 1 if changed else generation
        live["status"] = copy.deepcopy(before.get("status", {})) if before else {}
        if before and before.get("spec", {}).get("template") != live.get("spec", {}).get("template"):
            live["status"].pop("conditions", None)  # the Deployment's controller begins to count again
        self.children[ref] = live
        self.writes += 1

    # --- The cluster's part -------------------------------------------------------------------------------------------

    @property
    def deployment(self) -> Object | None:
        return self.children.get(("Deployment", self.obj["metadata"]["name"]))

    @property
    def comparison_plan(self) -> dict[str, Any] | None:
        """The part of the monitoring file that is about a comparison."""
        child = self.children.get(("ConfigMap", f"{self.obj['metadata']['name']}-monitoring"))
        plan: dict[str, Any] | None = json.loads(child["data"][names.MONITORING_FILE]).get("shadow") if child else None
        return plan

    @property
    def candidate(self) -> Object | None:
        """The Deployment of the model that is compared."""
        return self.children.get(("Deployment", names.candidate_name(self.obj["metadata"]["name"])))

    @property
    def clients_reach_candidate(self) -> bool:
        """True if the Service N selects the candidate's pods too."""
        service = self.children.get(("Service", self.obj["metadata"]["name"]))
        return service is not None and names.LABEL_MODEL not in service["spec"]["selector"]

    def roll_candidate(self) -> bool:
        """Let the candidate's pods be as its Deployment says."""
        candidate = self.candidate
        template: Object = candidate["spec"]["template"] if candidate else {}
        wanted = int(candidate["spec"]["replicas"]) if candidate else 0
        kept = [pod for pod in self.candidate_pods if pod.template == template][:wanted]
        changed = kept != self.candidate_pods
        while len(kept) < wanted:
            pod = FakePod(next(self._numbers), copy.deepcopy(template))
            self.behave(pod)
            kept.append(pod)
            changed = True
        self.candidate_pods = kept
        return changed

    def roll(self) -> bool:
        """One step of the controllers of both Deployments."""
        return self.roll_candidate() | self.roll_own()

    def roll_own(self) -> bool:
        """One step of the Deployment's controller: surge by one, remove an old pod for each new one that is ready."""
        deployment = self.deployment
        if deployment is None:
            changed, self.pods = bool(self.pods), []
            return changed
        if autoscaler := self.children.get(("HorizontalPodAutoscaler", self.obj["metadata"]["name"])):
            # The autoscaler's controller keeps its minimum also without metrics.
            replicas, fewest = int(deployment["spec"].get("replicas", 1)), int(autoscaler["spec"]["minReplicas"])
            deployment["spec"]["replicas"] = max(fewest, replicas) if replicas else 0
        template, wanted = deployment["spec"]["template"], int(deployment["spec"].get("replicas", 1))
        new = [pod for pod in self.pods if pod.template == template]
        old = [pod for pod in self.pods if pod.template != template]
        before = copy.deepcopy(deployment["status"]), len(self.pods), [pod.ready for pod in self.pods]
        if len(new) > wanted:
            self.pods.remove(new[-1])
        elif len(new) < wanted and len(self.pods) <= wanted:
            pod = FakePod(next(self._numbers), copy.deepcopy(template))
            self.started.append(pod.model)
            self.behave(pod)
            self.pods.append(pod)
        ready = sum(pod.ready for pod in self.pods)
        broken = next((pod for pod in old if not pod.ready), None)
        if broken is not None:
            self.pods.remove(broken)
        elif old and (ready > wanted or wanted == 0):
            self.pods.remove(old[0])
        updated = [pod for pod in self.pods if pod.template == template]
        deployment["status"] |= {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(self.pods),
            "updatedReplicas": len(updated),
        }
        return before != (deployment["status"], len(self.pods), [pod.ready for pod in self.pods])

    def pass_deadline(self, seconds: int = 600) -> bool:
        """Let the deadline of a rollout pass; return false if it is complete, and nothing passes."""
        self.wait(seconds=seconds)
        deployment = self.deployment
        if deployment is None:
            return False
        template, wanted = deployment["spec"]["template"], int(deployment["spec"].get("replicas", 1))
        new = [pod for pod in self.pods if pod.template == template and pod.ready]
        if len(new) >= wanted and len(new) == len(self.pods):
            return False
        reason, message = "ProgressDeadlineExceeded", "ReplicaSet has timed out progressing."
        deployment["status"]["conditions"] = [
            {"type": "Progressing", "status": "False", "reason": reason, "message": message}
        ]
        return True

    def settle(self) -> Plan:
        """Reconcile and roll out until neither changes anything; return the last plan."""
        for _ in range(200):
            before = self.writes
            plan = self.reconcile()
            if not self.roll() and self.writes == before:
                return plan
        raise AssertionError("operator and cluster still change something after 200 passes")

    # --- Results ------------------------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        return parse_status(self.obj.get("status"))

    @property
    def annotations(self) -> dict[str, str]:
        found: dict[str, str] = self.obj["metadata"].get("annotations", {})
        return found

    def condition(self, kind: str) -> Condition:
        found = self.status.condition(kind)
        assert found is not None, f"no condition {kind}"
        return found

    def is_(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        found = self.condition(kind)
        return found.status, found.reason

    @property
    def deployed(self) -> str | None:
        """The name of the model in the Deployment's pod template."""
        if self.deployment is None:
            return None
        annotations: dict[str, str] = self.deployment["spec"]["template"]["metadata"]["annotations"]
        return annotations["ecomarineai.org/model"]

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]
