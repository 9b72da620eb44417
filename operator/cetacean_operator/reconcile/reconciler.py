"""Reconciles one CetaceanModel: observe, decide, apply what is missing, observe again, write status, record Events.

Level based: nothing is kept between two reconciles but what cannot be read again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from cetacean_operator.api import names
from cetacean_operator.api.kinds import CRD_CHILD_KINDS
from cetacean_operator.api.objects import annotations_of
from cetacean_operator.api.observed import CetaceanModel, Object, Observed
from cetacean_operator.api.spec import Drift, ServiceLevel, parse_part
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.ownership import Ref, is_owned_by
from cetacean_operator.decisions.plan import EventSpec, Plan, status_as_applied
from cetacean_operator.kube.client import ApiError, NamespaceTerminatingError
from cetacean_operator.kube.lease import Leadership, NotLeadingError
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.kube.writer import NameConflictError, Writer
from cetacean_operator.metrics import status_series
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.pods.scrape import Target
from cetacean_operator.reconcile.apply_order import NON_BLOCKING_KINDS, WORKLOAD_KINDS, apply_order
from cetacean_operator.reconcile.observe import Observer

_LOG = logging.getLogger(__name__)
_ROUNDS = 3
USER_VISIBLE_CODES: Final = frozenset({400, 403, 404, 413, 422})
"""Refusals that the resource's owner must know of: forbidden, invalid, rejected by admission."""
FORBIDDEN_GRACE_SECONDS: Final = 10.0
"""An API server that has just started forbids everything until it has read the roles: shown only if it lasts."""
ASK_SECONDS: Final = 10.0
"""Nothing is decided for so long while a ready pod was not asked yet; a scrape ends within three seconds by default."""


class PodScraperProtocol(Protocol):
    """Asks pods for what they serve, again and again."""

    def sync(self, key: Key, targets: Iterable[Target], interval: float) -> None:
        """Ask exactly these pods of a resource from now on, each every `interval` seconds."""

    def forget(self, key: Key) -> None:
        """Ask no pod of this resource any longer."""


class _WorkloadApplied(Exception):  # noqa: N818 -- it ends a reconcile, and is no error
    """A workload has a new manifest."""


class Reconciler:
    """Brings one resource after the other to the state that its spec asks for."""

    def __init__(  # noqa: PLR0913 -- each part of a reconcile, passed once by the composition root
        self,
        *,
        store: Store,
        observer: Observer,
        scraper: PodScraperProtocol,
        writer: Writer,
        leadership: Leadership,
        metrics: Metrics,
        record: Callable[[CetaceanModel, Iterable[EventSpec]], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        runbook_url: str = names.RUNBOOK,
    ) -> None:
        """Take the parts that a reconcile uses.

        Args:
            store: the cache that watches fill.
            observer: collects what is known of a resource.
            scraper: asks the pods.
            writer: writes to the API server.
            leadership: says whether this process may write.
            metrics: take each resource's status.
            record: records Events, without waiting.
            clock: returns the time with its zone.
            monotonic: returns seconds.
            runbook_url: the address in messages that ask for a person.
        """
        self._store, self._observer, self._scraper = store, observer, scraper
        self._writer, self._leadership, self._metrics, self._record = writer, leadership, metrics, record
        self._clock, self._monotonic, self._runbook_url = clock, monotonic, runbook_url
        self._forbidden_since: dict[Key, float] = {}
        self._unasked_since: dict[Key, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Bring one resource to the state that its spec asks for.

        Returns:
            The seconds after which time alone may have changed something, None if it cannot; 0.0 after a Deployment was
            applied: Services, status and the rest follow in a reconcile of their own. The queue hands it out after the
            resources whose pods nobody has started yet.

        Raises:
            ApiError: the API server refused or did not answer; try again.
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
        objects = tuple(self._store.belonging(key))  # reading them is a tenth of a reconcile's processor time
        self._scraper.sync(key, self._observer.targets(key, objects), float(drift.scrape_interval_seconds))
        observe = partial(self._observer.observe, key, window=drift.window, answers=level.window)
        observed = observe(objects=objects)
        if (wait := self._wait_for_pods(key, observed)) is not None:
            return wait
        try:
            observed, plan, refusal = await self._apply_until_settled(resource, observed, observe)
        except _WorkloadApplied:
            return 0.0
        if refusal is None:
            self._forbidden_since.pop(key, None)
        self._metrics.models.set(*key, status_series.of(plan.status))
        # The scraper queues the resource again as soon as a pod that was not asked yet has answered, or has failed to.
        if not observed.unasked or not resource.status:
            await self._report(resource, plan)
        if refusal is not None:
            raise refusal
        return plan.requeue_after

    def _wait_for_pods(self, key: Key, observed: Observed) -> float | None:
        """Return for how many seconds to wait until all ready pods were asked, None if nothing is to be waited for.

        After a start of the operator nothing is known of what the pods have counted, and nothing may be decided from
        that: no stage has timed out, no comparison has ended, and no model has never served. The scraper queues the
        resource again as soon as a pod has answered, or has failed to.
        """
        if not observed.unasked:
            self._unasked_since.pop(key, None)
            return None
        since = self._unasked_since.setdefault(key, self._monotonic())
        left = since + ASK_SECONDS - self._monotonic()
        return left if left > 0 else None

    async def _apply_until_settled(
        self, resource: CetaceanModel, observed: Observed, observe: Callable[..., Observed]
    ) -> tuple[Observed, Plan, ApiError | None]:
        """Decide and apply until nothing is left to apply; return the last plan, and the refusal that stopped it.

        Args:
            resource: the CetaceanModel.
            observed: its state before the first write.
            observe: returns the state after a write.

        Raises:
            ApiError: a failure that the resource's owner need not know of.
            _WorkloadApplied: the rest comes with the next reconcile.
        """
        plan = self._decide(resource, observed)
        for _ in range(_ROUNDS):
            if taken := await self._find_candidate_conflict(resource, observed, plan):
                observe = partial(observe, candidate_conflict=taken)
                observed = observe()
                plan = self._decide(resource, observed)
            if not plan.apply and not plan.delete:
                break
            conflict, refusal = None, None
            try:
                await self._write(resource, observed, plan)
            except NameConflictError as error:
                conflict = str(error)
                if conflict.endswith(f" {names.candidate_name(resource.name)}"):  # it came just now
                    observe = partial(observe, candidate_conflict=conflict)
                    observed = observe()
                    plan = self._decide(resource, observed)
                    continue
            except NamespaceTerminatingError:
                raise
            except ApiError as error:
                if error.code not in USER_VISIBLE_CODES or self._is_in_grace(resource, error):
                    raise
                refusal = error
            refused = None if refusal is None else f"the API server refused a child: {refusal.message or refusal}"
            observed = observe(name_conflict=conflict, refused=refused)
            plan = self._decide(resource, observed)
            if conflict:
                await self._delete(resource, plan)
            if conflict or refusal:
                return observed, plan, refusal
        return observed, plan, None

    def _decide(self, resource: CetaceanModel, observed: Observed) -> Plan:
        return decide(resource, observed, self._clock(), runbook_url=self._runbook_url)

    async def _write(self, resource: CetaceanModel, observed: Observed, plan: Plan) -> None:
        """Apply children in order, delete stale ones, and report one error.

        Optional kinds and the candidate's children may fail if the resource has its Deployment already: the way back to
        another model stays open, and what serves does not wait for a candidate.

        Raises:
            NameConflictError: an object of someone else has a child's name.
            ApiError: the API server refused a child.
            _WorkloadApplied: pods are on their way; the rest comes with the next reconcile.
        """
        is_deployed = _own_child(resource, observed, ("Deployment", resource.name)) is not None
        optional = NON_BLOCKING_KINDS if is_deployed else frozenset()
        faults: list[ApiError | NameConflictError] = []
        children = plan.apply
        if _has_name_conflict(resource):
            children = await self._without_conflicts(resource, children, optional, faults)
        for group in apply_order(children):
            results = await asyncio.gather(
                *(self._apply(resource, observed, plan, child) for child in group), return_exceptions=True
            )
            fatal: list[BaseException] = []
            applied = []
            for child, result in zip(group, results, strict=True):
                may_fail = child["kind"] in optional or (is_deployed and _is_candidates(resource, child))
                if child["kind"] in CRD_CHILD_KINDS and isinstance(result, ApiError) and result.is_unknown_kind:
                    self._observer.set_served(child["kind"], served=False)  # until a resync asks again
                elif isinstance(result, ApiError | NameConflictError) and may_fail:
                    faults.append(result)
                elif isinstance(result, BaseException):
                    fatal.append(result)
                else:
                    applied.append(child)
            if fatal:
                raise _most_relevant(fatal)
            if any(_is_new_workload(child, _own_child(resource, observed, _ref(child))) for child in applied):
                raise _WorkloadApplied
        await self._delete(resource, plan)
        if faults:
            raise _most_relevant(faults)

    async def _delete(self, resource: CetaceanModel, plan: Plan) -> None:
        for child_ref in plan.delete:
            await self._writer.delete(resource.namespace, child_ref)
            self._log(resource, "Deleted", f"{child_ref.kind}/{child_ref.name}")

    async def _find_candidate_conflict(self, resource: CetaceanModel, observed: Observed, plan: Plan) -> str | None:
        """Return kind and name of an object of someone else that has the name of a child of the candidate.

        This is checked before anything is applied: what serves must neither wait for the candidate nor send pictures
        or clients to such an object.
        """
        for child in plan.apply:
            if not _is_candidates(resource, child) or _own_child(resource, observed, _ref(child)) is not None:
                continue
            try:
                await self._writer.require_free(resource, child)
            except NameConflictError as error:
                return str(error)
            except ApiError:
                continue  # creating the child shows it too
        return None

    async def _without_conflicts(
        self,
        resource: CetaceanModel,
        children: tuple[Object, ...],
        optional: frozenset[str],
        faults: list[ApiError | NameConflictError],
    ) -> tuple[Object, ...]:
        """Return the children whose names are free; a conflict that is known is checked before anything is applied.

        Raises:
            NameConflictError: a child that pods need has a name of someone else.
        """
        free = []
        for child in children:
            try:
                await self._writer.require_free(resource, child)
            except NameConflictError as error:
                if child["kind"] not in optional:
                    raise
                faults.append(error)
            else:
                free.append(child)
        return tuple(free)

    async def _apply(self, resource: CetaceanModel, observed: Observed, plan: Plan, child: Object) -> None:
        ref = _ref(child)
        if (live := _own_child(resource, observed, ref)) is None:
            await self._writer.create(resource, child)
        else:
            await self._writer.child(child, live)
        self._log(resource, "Applied", f"{'/'.join(ref)}: {_reasons(plan, observed, ref)}")

    async def _report(self, resource: CetaceanModel, plan: Plan) -> None:
        """Write annotations and status, and record Events, if they have changed."""
        own = {key: value for key, value in resource.annotations.items() if key.startswith(f"{names.GROUP}/drift-")}
        if own != plan.annotations:
            resource = await self._writer.annotate(resource, plan.annotations)
        applied = status_as_applied(plan.status)
        if applied != resource.status:
            resource = await self._writer.status(resource, applied)
            self._record(resource, plan.events)

    def _is_in_grace(self, resource: CetaceanModel, error: ApiError) -> bool:
        if error.code != 403:
            return False
        since = self._forbidden_since.setdefault((resource.namespace, resource.name), self._monotonic())
        return self._monotonic() - since < FORBIDDEN_GRACE_SECONDS

    def _forget(self, key: Key) -> None:
        self._forbidden_since.pop(key, None)
        self._unasked_since.pop(key, None)
        self._scraper.forget(key)
        self._observer.forget(key)
        self._metrics.models.forget(*key)

    @staticmethod
    def _log(resource: CetaceanModel, reason: str, message: str) -> None:
        extra = {"resource": f"{resource.namespace}/{resource.name}", "reason": reason}
        _LOG.info("%s: %s", reason, message, extra=extra)


def _ref(child: Object) -> Ref:
    return child["kind"], str(child["metadata"]["name"])


def _is_candidates(resource: CetaceanModel, child: Object) -> bool:
    return _ref(child)[1] == names.candidate_name(resource.name)


def _is_new_workload(child: Object, live: Object | None) -> bool:
    """Return true for a manifest that was never applied before; one that others have edited was."""
    if child["kind"] not in WORKLOAD_KINDS:
        return False
    applied = annotations_of(child).get(names.ANNOTATION_APPLIED)
    return live is None or annotations_of(live).get(names.ANNOTATION_APPLIED) != applied


def _own_child(resource: CetaceanModel, observed: Observed, ref: Ref) -> Object | None:
    """Return a live child; an object of someone else with our label is none, so that it is never overwritten."""
    live = observed.children.get(ref)
    return live if live is not None and is_owned_by(live, resource) else None


def _most_relevant(faults: Iterable[BaseException]) -> BaseException:
    """Prefer a name conflict over any other error."""
    return min(faults, key=lambda fault: not isinstance(fault, NameConflictError))


def _has_name_conflict(resource: CetaceanModel) -> bool:
    return any(condition.get("reason") == names.NAME_TAKEN for condition in resource.status.get("conditions", ()))


def _windows(resource: CetaceanModel) -> tuple[Drift, ServiceLevel]:
    return parse_part(Drift, resource.spec, "drift"), parse_part(ServiceLevel, resource.spec, "serviceLevel")


def _reasons(plan: Plan, observed: Observed, ref: tuple[str, str]) -> str:
    if ref not in observed.children:
        return "it did not exist"
    paths = [path for path in plan.differences.get("/".join(ref), ()) if names.ANNOTATION_APPLIED not in path]
    return ", ".join(paths[:5]) or "the applied manifest has changed"
