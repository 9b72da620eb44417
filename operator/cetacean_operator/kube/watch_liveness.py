"""How long ago each watch last carried anything, and what went wrong with it: `/healthz` judges by this."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from cetacean_operator.api.kinds import ResourceType
from cetacean_operator.backoff import exponential
from cetacean_operator.metrics.collectors import Metrics

_LOG = logging.getLogger(__name__)
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
_NOT_SERVED = frozenset({403, 404})
"""Answers for a named namespace that was deleted, or that has lost its RoleBinding."""
# These end a healthy watch as well: they are no warning.
_EXPECTED = frozenset({"Expired", "Silent"})


@dataclass(slots=True)
class WatchState:
    """One watch: of a kind, in one namespace or in all."""

    resource: ResourceType
    namespace: str | None
    metrics: Metrics
    clock: Callable[[], float]
    alive_at: float
    optional: bool = False
    """The operator works without this kind, so a refusal by the whole cluster is no fault either."""
    refused: bool = False
    """The namespace, or for an optional kind the cluster, refuses it, so the watch does not count."""
    failures: int = 0
    """In a row, since the watch last brought an event."""

    @property
    def path(self) -> str:
        """The URL path of list and watch."""
        return self.resource.path(self.namespace)

    @property
    def age(self) -> float:
        """Seconds since the API server last answered or sent anything."""
        return self.clock() - self.alive_at

    def touch(self) -> None:
        """Record that the API server has answered, or has sent something."""
        self.alive_at = self.clock()
        self.refused = False

    def progressed(self) -> None:
        """Record that the watch has brought an event: the next failure is a first one."""
        self.failures = 0

    def failed(self, reason: str, message: str) -> float:
        """Log and count a failure; return the seconds to wait before the watch is opened again."""
        self.metrics.watch_faults.labels(self.resource.plural, reason).inc()
        level = logging.INFO if reason in _EXPECTED else logging.WARNING
        _LOG.log(level, "watch of %s: %s", self.path, message, extra=self._extra(reason))
        return self._pause()

    def rejected(self, status: int, message: str) -> float:
        """Log and count a refusal; return the seconds to wait before the next request.

        A refusal by a named namespace, or of an optional kind, is logged once: it may last, and a new process would
        meet it too.
        """
        if status not in _NOT_SERVED or (self.namespace is None and not self.optional):
            return self.failed("Refused", message)
        self.metrics.watch_faults.labels(self.resource.plural, "Refused").inc()
        if not self.refused:
            self.refused = True
            cause = f"namespace {self.namespace} is gone, or lacks a RoleBinding"
            if self.namespace is None:
                cause = f"the operator may not list and watch {self.resource.plural}, or their CRD is gone"
            text = "watch of %s: %s: %s; it is left out until it answers"
            _LOG.warning(text, self.path, message, cause, extra=self._extra("Refused"))
        return self._pause()

    def _pause(self) -> float:
        self.failures += 1
        return exponential(self.failures - 1, base=_SHORTEST_PAUSE, longest=_LONGEST_PAUSE)

    def _extra(self, reason: str) -> dict[str, str]:
        return {"resource": self.resource.plural, "reason": reason}


class WatchLiveness:
    """All watches by their URL path."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """Feed the metrics; `clock` returns monotonic seconds."""
        self._metrics, self._clock = metrics, clock
        self._watches: dict[str, WatchState] = {}

    def expect(self, resource: ResourceType, namespace: str | None, *, optional: bool = False) -> WatchState:
        """Begin to measure the watch of a kind in one namespace, or in all; `optional`: it may be refused."""
        watch = WatchState(resource, namespace, self._metrics, self._clock, self._clock(), optional)
        self._watches[watch.path] = watch
        self._metrics.watch_age.labels(resource.plural).set_function(lambda: self._oldest_of(resource))
        return watch

    def forget(self, watch: WatchState) -> None:
        """Measure a watch no longer."""
        self._watches.pop(watch.path, None)

    def find(self, path: str) -> WatchState | None:
        """Return the watch whose requests have this URL path, None for other requests."""
        return self._watches.get(path)

    def oldest(self) -> tuple[str, float]:
        """Return the watch that has been silent for longest of all that count, and for how many seconds."""
        counted = [watch for watch in self._watches.values() if not watch.refused]
        if not counted:
            return "", 0.0
        watch = min(counted, key=lambda found: found.alive_at)
        return watch.resource.plural + (f" in {watch.namespace}" if watch.namespace else ""), watch.age

    def _oldest_of(self, resource: ResourceType) -> float:
        ages = (watch.age for watch in self._watches.values() if watch.resource is resource and not watch.refused)
        return max(ages, default=0.0)
