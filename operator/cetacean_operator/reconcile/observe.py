"""Collects the facts for a decision from the cache and the scraper, and keeps those that outlive a single answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cetacean_operator.api import names
from cetacean_operator.api.feedback import FeedbackReport
from cetacean_operator.api.model_approval import APPROVAL_KIND, Approvals, parse_approvals
from cetacean_operator.api.observed import DriftReport, Identity, Object, Observed, Pod, ServiceReport
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.pods import observed_pods
from cetacean_operator.pods.pod_responses import FEEDBACK_RECEIVED, fraction
from cetacean_operator.pods.scrape import Scrape, Target

_SNAPSHOTS = 32


@dataclass(slots=True)
class _Memory:
    """The facts that are kept of one pod."""

    container: str = ""
    identity: Identity | None = None
    feedback: FeedbackReport = field(default_factory=dict)
    counters: deque[tuple[float, ...]] = field(default_factory=deque)
    durations: deque[tuple[float, ...]] = field(default_factory=deque)
    bounds: tuple[float, ...] = ()


class Observer:
    """Collects what is known of a resource."""

    def __init__(
        self,
        store: Store,
        result: Callable[[str], Scrape | None],
        *,
        operator_namespace: str = "default",
        approvals_unreadable: Callable[[str], str | None] = lambda _namespace: None,
    ) -> None:
        """Take the parts that are read.

        Args:
            store: the cache.
            result: returns a pod's last answers by its uid.
            operator_namespace: the namespace that the operator runs in.
            approvals_unreadable: returns why the ModelApprovals of a namespace are not known, None if they are.
        """
        self._store, self._operator_namespace = store, operator_namespace
        self._approvals_unreadable = approvals_unreadable
        self._result = result
        self._memory: dict[Key, dict[str, _Memory]] = {}
        self.served_kinds: frozenset[str] = frozenset()
        self.kubernetes: tuple[int, int] | None = None

    def observe(
        self,
        key: Key,
        *,
        window: int,
        answers: int,
        objects: Iterable[Object] | None = None,
        name_conflict: str | None = None,
        candidate_conflict: str | None = None,
        refused: str | None = None,
    ) -> Observed:
        """Return the observed state.

        Args:
            key: the resource.
            objects: its children, pods and approvals, if they have been read from the cache just now.
            window: how many of the newest requests the rejection rate is about, at least.
            answers: how many of the newest answers their time is about, at least.
            name_conflict: kind and name of a child whose name an object of someone else has.
            candidate_conflict: the same of a child of the candidate.
            refused: the API server's message, if it refused the last apply.
        """
        children: dict[tuple[str, str], Object] = {}
        found: list[Object] = []
        candidates: list[Object] = []
        fetching: list[Object] = []
        approvals: list[Object] = []
        for obj in self._store.belonging(key) if objects is None else objects:
            if obj["kind"] == "Pod":
                of_prefetch, of_candidate = observed_pods.is_of_prefetch(obj), observed_pods.is_candidate(obj)
                (fetching if of_prefetch else candidates if of_candidate else found).append(obj)
            elif obj["kind"] == APPROVAL_KIND:
                approvals.append(obj)
            else:
                children[obj["kind"], obj["metadata"]["name"]] = obj
        known = self._memory.setdefault(key, {})
        uids = {pod["metadata"]["uid"] for pod in (*found, *candidates)}
        for uid in known.keys() - uids:
            del known[uid]

        def observed(pod: Object) -> Pod:
            scrape = self._result(pod["metadata"]["uid"])
            memory = known.setdefault(pod["metadata"]["uid"], _Memory())
            identity = _remember(memory, pod, scrape)
            drift, service = _drift(memory, scrape, window), _service(memory, scrape, answers)
            return observed_pods.observed_pod(pod, scrape, identity, drift, service, _feedback(memory, scrape))

        return Observed(
            children=children,
            pods=tuple(observed(pod) for pod in found),
            candidate_pods=tuple(observed(pod) for pod in candidates),
            prefetch_pods=tuple(observed_pods.observed_pod(pod, None, None, None) for pod in fetching),
            operator_namespace=self._operator_namespace,
            served_kinds=self.served_kinds,
            kubernetes=self.kubernetes,
            name_conflict=name_conflict,
            candidate_conflict=candidate_conflict,
            refused=refused,
            approvals=Approvals(parse_approvals(approvals), self._approvals_unreadable(key[0])),
        )

    def set_served(self, kind: str, *, served: bool) -> None:
        """Take it that the cluster serves a kind of children, or does not, because its CRD has come or gone."""
        others = self.served_kinds - {kind}
        self.served_kinds = others | {kind} if served else others

    def targets(self, key: Key, objects: Iterable[Object] | None = None) -> Iterable[Target]:
        """Return the pods that can be scraped, the candidate's included.

        Those that serve compare while there is a candidate's Deployment.

        Args:
            key: the resource.
            objects: as in `observe`.
        """
        namespace, name = key
        compares = self._store.version("Deployment", namespace, names.candidate_name(name)) is not None
        for obj in self._store.belonging(key) if objects is None else objects:
            if obj["kind"] != "Pod" or observed_pods.is_of_prefetch(obj):
                continue
            target = observed_pods.target_of(obj, key, compares=compares and not observed_pods.is_candidate(obj))
            if target is not None:
                yield target

    def forget(self, key: Key) -> None:
        """Drop what is kept of a resource that is gone."""
        self._memory.pop(key, None)


def _remember(memory: _Memory, pod: Object, scrape: Scrape | None) -> Identity | None:
    """Return what a pod serves; a scrape that failed does not change what its container has loaded."""
    container = observed_pods.container_id(pod)
    if container != memory.container:
        memory.container, memory.identity, memory.feedback = container, None, {}
        memory.counters.clear()
        memory.durations.clear()
    if scrape is not None and scrape.identity is not None:
        memory.identity = scrape.identity
    return memory.identity


def _feedback(memory: _Memory, scrape: Scrape | None) -> FeedbackReport:
    """Return the counts of a pod's feedback; a scrape that failed does not change them."""
    if scrape is not None and scrape.feedback is not None:
        memory.feedback = scrape.feedback
    elif scrape is not None and scrape.metrics and not scrape.metrics.get(FEEDBACK_RECEIVED):
        memory.feedback = {}  # it has none, and was not asked
    return memory.feedback


def _drift(memory: _Memory, scrape: Scrape | None, window: int) -> DriftReport | None:
    # Without its counters nothing is known: read as 0, they would mean that the process has restarted.
    if scrape is None or scrape.drift_stats is None or not scrape.metrics:
        return None
    stats, metrics = scrape.drift_stats, scrape.metrics
    # Two counters that exclude each other: pictures identified, and pictures rejected for whatever reason.
    answered, rejected = recent_growth(
        memory.counters,
        (
            metrics["predictions_total"] + metrics["rejections_total"],
            scrape.rejections.get(names.SYSTEMIC_REASON, 0.0),
        ),
        window,
    )
    return DriftReport(
        samples=min(stats.samples, window),  # no more than the window holds, whatever the pod says
        mean=stats.score_mean,
        alarms=stats.alarms,
        score_avg=fraction(metrics.get("cetacean_score_avg")),
        requests=answered,
        rejections=rejected,
        answers=stats.answers,
    )


def _service(memory: _Memory, scrape: Scrape | None, window: int) -> ServiceReport | None:
    if scrape is None or not scrape.metrics:
        return None
    bounds = tuple(bound for bound, _ in scrape.durations)
    if bounds != memory.bounds:
        memory.bounds = bounds
        memory.durations.clear()
    durations: tuple[tuple[float, float], ...] = ()
    if bounds:
        # From the last bound on: it holds all answers, and that is what the window counts.
        total, *parts = recent_growth(memory.durations, tuple(count for _, count in reversed(scrape.durations)), window)
        durations = tuple(zip(bounds, (*reversed(parts), total), strict=True))
    percent = scrape.metrics.get("availability_percent")
    requests = scrape.metrics["requests_total"]
    return ServiceReport(
        requests=min(requests, float(names.RECENT_REQUESTS)),
        requests_total=requests,
        errors_total=min(requests, scrape.metrics["errors_total"]),
        availability_percent=percent if percent is not None and 0.0 <= percent <= 100.0 else None,
        durations=durations,
        durations_total=scrape.durations,
    )


def recent_growth(counters: deque[tuple[float, ...]], now: tuple[float, ...], window: int) -> tuple[float, ...]:
    """Return how much counters have grown while the first of them grew by `window`, or by a little more."""
    if counters and any(value < old for value, old in zip(now, counters[-1], strict=True)):
        counters.clear()  # the process has restarted
    if not counters:
        counters.append((0.0,) * len(now) if now[0] <= window else now)
    # Few snapshots are enough: each covers a part of the window.
    if now[0] - counters[-1][0] >= window / (_SNAPSHOTS / 2):
        counters.append(now)
    while len(counters) > 1 and now[0] - counters[1][0] >= window:
        counters.popleft()
    return tuple(max(0.0, value - old) for value, old in zip(now, counters[0], strict=True))
