"""Which weights are downloaded before their model may serve, and the condition WeightsPrefetched.

One Job runs at a time, so that a store is not asked for everything at once. A model is recorded in the status when its
Job has ended well; then the Job is deleted. Without the record the Job runs again, and finds the file in the claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cetacean_operator.api import names
from cetacean_operator.api.objects import find_condition
from cetacean_operator.api.observed import Object, Pod
from cetacean_operator.api.serving import Serving
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.api.status import PrefetchedModel
from cetacean_operator.api.timestamps import seconds_since, timestamp
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.failures import Failure, find_failure
from cetacean_operator.decisions.identity import label, rollout_of
from cetacean_operator.decisions.lineage import same_model
from cetacean_operator.decisions.ownership import Ref
from cetacean_operator.decisions.prefetch_job import prefetch_job
from cetacean_operator.decisions.promotion import Choice
from cetacean_registry.messages import one_line

RETRY_SECONDS: Final = 1800.0
"""A Job that has failed is deleted and made again after so long, or when the spec changes what it does."""
_NEVER_STARTS: Final = frozenset({names.GATE_REFUSED, names.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Prefetch:
    """The Jobs that must exist, and what the status says about them."""

    jobs: Mapping[Ref, Object] = field(default_factory=dict)
    """Manifests without what all children have."""
    shown: tuple[PrefetchedModel, ...] = ()
    condition: ConditionState | None = None
    """WeightsPrefetched; None if the spec asks for no prefetch."""
    requeue_after: float | None = None
    """Seconds until a Job that has failed is made again."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The Job of one model that is not in the claim yet."""

    model: Model
    ref: Ref
    manifest: Object
    failure: Failure | None
    ended: bool
    """True if the Job has failed and starts no more pods."""
    retry_after: float | None
    """Seconds; None unless it has ended."""

    @property
    def is_due(self) -> bool:
        """True if the Job that has failed must go, so that another one can be made."""
        return self.ended and not self.retry_after


def plan_prefetch(
    name: str,
    spec: Spec,
    choice: Choice,
    *,
    children: Mapping[Ref, Object],
    pods: Iterable[Pod],
    last: Sequence[PrefetchedModel],
    now: datetime,
) -> Prefetch:
    """Return the Jobs for the models that are to come, and what is known of them.

    Args:
        name: of the resource.
        spec: its spec.
        choice: the model that serves, and why not the active one.
        children: its live children.
        pods: those of its Jobs.
        last: what the status says.
        now: the time, aware of its zone.
    """
    claim = claim_of(spec.serving)
    if spec.serving.prefetch == "Never" or claim is None:
        return Prefetch()
    of_job = _by_job(pods)
    known = {model.name: model.sha256 for model in spec.registry.models if not model.deprecated}
    done = {item.model: item for item in last if item.claim == claim and known.get(item.model) == item.digest}
    wanted = tuple(wanted_models(spec, choice))
    attempts: list[_Attempt] = []
    jobs: dict[Ref, Object] = {}
    for model in wanted:
        if model.sha256 is None or model.name in done:
            continue
        child, manifest = prefetch_job(name, spec.serving, rollout_of(model, spec.anti_fraud))
        live = children.get(("Job", child))
        if live is not None and _is_fetched(live, of_job.get(child, ())):
            done[model.name] = PrefetchedModel(model=model.name, digest=model.sha256, claim=claim, since=timestamp(now))
            jobs["Job", child] = manifest  # it goes once the status has the record
            continue
        attempts.append(_attempt(model, ("Job", child), manifest, live, of_job.get(child, ()), now))
    kept = [one for one in attempts if one.ended and not one.is_due]
    running = next((one for one in attempts if not one.ended), None)
    waits = [one.retry_after for one in kept if one.retry_after is not None]
    return Prefetch(
        jobs=jobs | {one.ref: one.manifest for one in (*kept, *((running,) if running else ()))},
        shown=tuple(done[model] for model in sorted(done)),
        condition=_condition(wanted, done, attempts, running, claim),
        requeue_after=min(waits, default=None),
    )


def claim_of(serving: Serving) -> str | None:
    """Return the claim that a Job can fill for the pods, None if each pod has a cache of its own."""
    cache = serving.weights_cache
    return cache.persistent_volume_claim.claim_name if cache and cache.persistent_volume_claim else None


def wanted_models(spec: Spec, choice: Choice) -> Iterator[Model]:
    """Yield the models to be fetched: first the active one that waits, then the others, the newest first.

    The pods of the model in the Deployment fetch for themselves. A model that the gate refuses, or that was rolled
    back, does not start without another spec.
    """
    active, target = spec.registry.active_model, choice.target
    waits = target is None or not same_model(active, target)
    if waits and choice.gate.reason not in _NEVER_STARTS:
        yield active
    for model in reversed(spec.registry.models):
        is_marked = spec.serving.prefetch == "All" or bool(model.prefetch)
        is_other = model.name != active.name and not (target and same_model(model, target))
        if is_marked and is_other and not model.deprecated:
            yield model


def _by_job(pods: Iterable[Pod]) -> dict[str, tuple[Pod, ...]]:
    found: dict[str, tuple[Pod, ...]] = {}
    for pod in pods:
        if pod.job is not None:
            found[pod.job] = (*found.get(pod.job, ()), pod)
    return found


def _is_fetched(job: Object, pods: Iterable[Pod]) -> bool:
    """Return true if the container has done its work, also if one that a webhook has added keeps the pod running."""
    return find_condition(job, "Complete").get("status") == "True" or any(pod.fetched for pod in pods)


def _attempt(
    model: Model, ref: Ref, manifest: Object, live: Object | None, pods: Sequence[Pod], now: datetime
) -> _Attempt:
    condition = find_condition(live, "Failed")
    ended = condition.get("status") == "True"
    failure = find_failure([pod for pod in pods if not pod.ready], None, now)
    retry_after = None
    if ended:
        said = one_line(str(condition.get("message") or "it failed"))
        failure = failure or Failure("JobFailed", f"Job {ref[1]}: {said}", final=True)
        waited = seconds_since(condition.get("lastTransitionTime"), now)
        retry_after = max(0.0, RETRY_SECONDS - max(0.0, waited or 0.0))
    return _Attempt(model, ref, manifest, failure, ended, retry_after)


def _condition(
    wanted: Sequence[Model],
    done: Mapping[str, PrefetchedModel],
    attempts: Sequence[_Attempt],
    running: _Attempt | None,
    claim: str,
) -> ConditionState:
    if not wanted:
        return ConditionState("True", "NothingToPrefetch", f"no model waits for its weights in the claim {claim}")
    there = sum(model.name in done for model in wanted)
    text = f"the weights of {there} of {len(wanted)} models that wait are in the claim {claim}"
    unverified = [label(model) for model in wanted if model.sha256 is None]
    if unverified:
        text += f"; the registry names no sha256 of {', '.join(unverified)}: pods share no file that they cannot verify"
    failed = next((one for one in attempts if one.failure), None)
    if failed and failed.failure:
        return ConditionState(
            "False", failed.failure.reason, f"{text}; {label(failed.model)}: {failed.failure.message}"
        )
    if running:
        return ConditionState("Unknown", "Prefetching", f"{text}; Job {running.ref[1]} fetches {label(running.model)}")
    if unverified:
        return ConditionState("Unknown", "NoDigest", text)
    return ConditionState("True", "Prefetched", text)
