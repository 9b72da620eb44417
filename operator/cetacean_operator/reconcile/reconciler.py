"""One resource at a time: observe, decide, apply what is missing, look again, tell.

Level-based: nothing is remembered between two reconciles but what cannot be read again. While other resources wait for
what they are to serve, telling what was applied is left to the next look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Object, Observed
from cetacean_operator.api.spec import Drift, InvalidResourceError, ServiceLevel, parse_spec
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.plan import ChildRef, EventSpec, Plan, status_as_applied
from cetacean_operator.kube.client import ApiError, NamespaceTerminatingError
from cetacean_operator.kube.lease import Leadership, NotLeadingError
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.kube.writer import NameConflictError, Writer
from cetacean_operator.metrics import status_series as series
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.pods.scraper import Target
from cetacean_operator.reconcile.apply_order import OPTIONAL_KINDS, PODS, apply_order
from cetacean_operator.reconcile.observe import Observer

_LOG = logging.getLogger(__name__)
_ROUNDS = 3
# Refusals that the resource's owner must know of: forbidden, invalid, and what admission says no to.
_TOLD = frozenset({400, 403, 404, 413, 422})
# An API server that has just begun forbids everything until it has read the roles: told only if it lasts.
FORBIDDEN_GRACE_SECONDS = 10.0


class PodScraperProtocol(Protocol):
    """Keeps asking pods what they serve."""

    def sync(self, key: Key, targets: Iterable[Target], interval: float) -> None:
        """Ask exactly these pods from now on, each every `interval` seconds."""

    def forget(self, key: Key) -> None:
        """Ask no pod of this resource any longer."""


class Reconciler:
    """Brings one resource after the other to what its spec says."""

    def __init__(
        self,
        *,
        store: Store,
        observer: Observer,
        scraper: PodScraperProtocol,
        writer: Writer,
        leadership: Leadership,
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        runbook_url: str = names.RUNBOOK,
        tell: Callable[[CetaceanModel, Iterable[EventSpec]], None],
        pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take everything that is needed.

        Args:
            store: what watches have brought.
            observer: puts together what is known of a resource.
            scraper: asks the pods.
            writer: changes what there is.
            leadership: says whether we may.
            metrics: take each resource's status.
            clock: returns the time with its zone.
            monotonic: returns seconds.
            runbook_url: where messages that ask for a person point to.
            tell: tells of transitions, without waiting.
            pressed: says whether other resources wait for what they are to serve.
        """
        self._runbook_url, self._announce, self._pressed = runbook_url, tell, pressed
        self._store, self._observer, self._scraper = store, observer, scraper
        self._writer, self._leadership, self._metrics, self._clock = writer, leadership, metrics, clock
        self._monotonic = monotonic
        self._forbidden_since: dict[Key, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Bring one resource to what its spec says.

        Returns:
            The seconds after which time alone may have changed something, None where it cannot.

        Raises:
            ApiError: the API server refused or did not answer; to be tried again.
        """
        try:
            self._leadership.require()
        except NotLeadingError:
            self._scraper.forget(key)
            return None
        found = self._store.get(names.KIND, *key)
        if found is None:
            self._forget(key)
            return None
        resource = CetaceanModel.of(found)
        if resource.deleting:
            self._scraper.forget(key)  # the garbage collector does the rest
            return None
        drift, level = _windows(resource)
        self._scraper.sync(key, self._observer.targets(key), float(drift.scrape_interval_seconds))
        observed = self._observer.observe(key, window=drift.window, answers=level.window)
        plan = self._decide(resource, observed)
        plan, refusal, settled = await self._settle(resource, observed, plan, drift, level)
        if refusal is None:
            self._forbidden_since.pop(key, None)
        if not settled:
            return 0.0
        self._metrics.models.set(*key, series.of(plan.status))
        if not observed.unasked or not resource.status:
            # Else the scraper asks for another reconcile as soon as the pod has answered, or has not.
            await self._tell(resource, plan)
        if refusal is not None:
            raise refusal
        return plan.requeue_after

    def _decide(self, resource: CetaceanModel, observed: Observed) -> Plan:
        return decide(resource, observed, self._clock(), runbook_url=self._runbook_url)

    async def _settle(
        self, resource: CetaceanModel, observed: Observed, plan: Plan, drift: Drift, level: ServiceLevel
    ) -> tuple[Plan, ApiError | None, bool]:
        """Apply and look again until nothing is left to apply; say what was refused, and whether that is all.

        Where other resources wait for their pods and this one has them, the rest is left to the next look.
        """
        key = (resource.namespace, resource.name)
        for _ in range(_ROUNDS):
            if not plan.apply and not plan.delete:
                return plan, None, True
            taken, refusal = None, None
            try:
                taken = await self._write(resource, observed, plan)
            except NamespaceTerminatingError:
                raise
            except ApiError as error:
                if error.code not in _TOLD or (error.code == 403 and self._may_pass(key)):
                    raise
                refusal = error
            if not (taken or refusal) and self._pressed() and any(child["kind"] in PODS for child in plan.apply):
                return plan, None, False
            refused = None if refusal is None else f"the API server refused a child: {refusal.message or refusal}"
            observed = self._observer.observe(
                key, window=drift.window, answers=level.window, taken=taken, refused=refused
            )
            plan = self._decide(resource, observed)
            if taken or refusal:
                return plan, refusal, True
        return plan, None, True

    async def _write(self, resource: CetaceanModel, observed: Observed, plan: Plan) -> str | None:
        """Apply and delete children; return what is someone else's.

        Nothing is left of what was created then, unless the pods there are can do without that child.
        """
        created: list[ChildRef] = []
        left: list[Exception] = []
        spared = OPTIONAL_KINDS if _is_rolled_out(resource, observed) else frozenset()
        try:
            children = list(plan.apply)
            for child in plan.apply if _was_taken(resource) else ():
                # Once told, it is looked at before it is tried.
                try:
                    await self._writer.require_free(resource, child)
                except NameConflictError as taken:
                    if child["kind"] not in spared:
                        raise
                    left.append(taken)
                    children.remove(child)
            for number, wave in enumerate(apply_order(children)):
                if number and self._pressed() and not any(child["kind"] in PODS for child in wave):
                    break  # the next look brings what is left: others wait for their pods
                applying = (self._apply(resource, observed, plan, child) for child in wave)
                results = await asyncio.gather(*applying, return_exceptions=True)
                created += [result for result in results if isinstance(result, ChildRef)]
                found = [
                    (child["kind"] in spared, result)
                    for child, result in zip(wave, results, strict=True)
                    if isinstance(result, BaseException)
                ]
                left += [fault for spare, fault in found if spare and isinstance(fault, ApiError | NameConflictError)]
                if faults := [fault for _, fault in found if fault not in left]:
                    raise _worst(faults)
            if left:
                raise _worst(left)
        except NameConflictError as taken:
            if taken not in left:
                for doomed in (*_uncommitted_children(resource, observed), *created):
                    await self._writer.delete(resource.namespace, doomed)
            return str(taken)
        for doomed in plan.delete:
            await self._writer.delete(resource.namespace, doomed)
            self._log(resource, "Deleted", f"{doomed.kind}/{doomed.name}")
        return None

    async def _apply(self, resource: CetaceanModel, observed: Observed, plan: Plan, child: Object) -> ChildRef | None:
        """Apply one child; return what would delete it again, if it was not there."""
        ref = (child["kind"], _name(child))
        created = None
        if (live := observed.children.get(ref)) is None:
            created = await self._writer.create(resource, child)
        else:
            await self._writer.child(child, live)
        self._log(resource, "Applied", f"{'/'.join(ref)}: {_reasons(plan, observed, ref)}")
        return created

    async def _tell(self, resource: CetaceanModel, plan: Plan) -> None:
        """Write annotations, status and events, where they are news."""
        own = {key: value for key, value in resource.annotations.items() if key.startswith(f"{names.GROUP}/drift-")}
        if own != plan.annotations:
            resource = await self._writer.annotate(resource, plan.annotations)
        applied = status_as_applied(plan.status)
        if applied != resource.status:
            resource = await self._writer.status(resource, applied)
            self._announce(resource, plan.events)

    def _may_pass(self, key: Key) -> bool:
        since = self._forbidden_since.setdefault(key, self._monotonic())
        return self._monotonic() - since < FORBIDDEN_GRACE_SECONDS

    def _forget(self, key: Key) -> None:
        self._forbidden_since.pop(key, None)
        self._scraper.forget(key)
        self._observer.forget(key)
        self._metrics.models.forget(*key)

    @staticmethod
    def _log(resource: CetaceanModel, reason: str, message: str) -> None:
        extra = {"resource": f"{resource.namespace}/{resource.name}", "reason": reason}
        _LOG.info("%s: %s", reason, message, extra=extra)


def owner_of(obj: Object) -> str | None:
    """Return the name of the CetaceanModel that an object belongs to: its own, or the one of its label."""
    meta = obj["metadata"]
    if obj["kind"] == names.KIND:
        return str(meta["name"])
    return (meta.get("labels") or {}).get(names.LABEL_MODEL)


def _worst(faults: Iterable[BaseException]) -> BaseException:
    """Whose a name is counts for more than what else went wrong."""
    return min(faults, key=lambda fault: not isinstance(fault, NameConflictError))


def _is_rolled_out(resource: CetaceanModel, observed: Observed) -> bool:
    """Whether the resource has its Deployment, and not from a first creation that a taken name takes back."""
    return ("Deployment", resource.name) in observed.children and not _uncommitted_children(resource, observed)


def _uncommitted_children(resource: CetaceanModel, observed: Observed) -> list[ChildRef]:
    """Return what was created at earlier looks, while other resources waited and nothing could be told.

    A status may be lost as well: what serves stays.
    """
    if resource.status.get("conditions") or any(pod.ready for pod in observed.pods):
        return []
    return [
        ChildRef(kind, name, child["metadata"]["uid"])
        for (kind, name), child in observed.children.items()
        if any(owner["uid"] == resource.uid for owner in child["metadata"].get("ownerReferences", ()))
    ]


def _name(child: Object) -> str:
    return str(child["metadata"]["name"])


def _was_taken(resource: CetaceanModel) -> bool:
    return any(condition.get("reason") == names.NAME_TAKEN for condition in resource.status.get("conditions", ()))


def _windows(resource: CetaceanModel) -> tuple[Drift, ServiceLevel]:
    try:
        spec = parse_spec(resource.spec)
    except InvalidResourceError:
        return Drift(), ServiceLevel()
    return spec.drift, spec.service_level


def _reasons(plan: Plan, observed: Observed, ref: tuple[str, str]) -> str:
    if ref not in observed.children:
        return "it was not there"
    paths = [path for path in plan.differences.get("/".join(ref), ()) if names.ANNOTATION_APPLIED not in path]
    return ", ".join(paths[:5]) or "what is applied has changed"
