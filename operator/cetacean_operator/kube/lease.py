"""Leader election over a coordination.k8s.io Lease, following client-go's leaderelection.

`kubernetes.aio.leaderelection` is not used: it cannot release the lease, measures by the wall clock (a clock step
makes two leaders), and a request that hangs keeps it a leader past its deadline. Here all ages are measured on the
monotonic clock from the moment before the renewing request was sent, and each write is bounded by the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from cetacean_operator.api.kinds import BY_KIND, LEASES
from cetacean_operator.api.observed import Object
from cetacean_operator.kube.client import ApiClient, ApiError

_LOG = logging.getLogger(__name__)


class NotLeadingError(Exception):
    """A write was about to happen without the lease."""


class Leadership(Protocol):
    """Permission to write; asked for before each write."""

    def require(self) -> float:
        """Return for how many seconds writing is safe; raise NotLeadingError if it is not."""


class AlwaysLeading:
    """For a single process without election."""

    def require(self) -> float:
        """Return an hour: longer than any bound on a request."""
        return 3600.0


class LeaseApi(Protocol):
    """Reads and writes the one Lease; raises ApiError (409 on a conflict)."""

    async def get(self) -> Object | None:
        """Return the Lease, None if there is none yet."""

    async def create(self, spec: Object) -> Object:
        """Create the Lease with this spec."""

    async def replace(self, lease: Object) -> Object:
        """Replace the Lease read before."""


class KubeLease:
    """The Lease on the API server."""

    def __init__(self, kube: ApiClient, namespace: str, name: str, *, owner: str | None = None) -> None:
        """Name the Lease, and the Deployment that owns it."""
        self._kube, self._namespace, self._name, self._owner = kube, namespace, name, owner

    async def get(self) -> Object | None:
        """Return the Lease, None if there is none yet."""
        return await self._kube.get(LEASES, self._namespace, self._name)

    async def create(self, spec: Object) -> Object:
        """Create the Lease; an ApiError 404 if its owner is gone: this process is about to be deleted, too."""
        meta: Object = {"namespace": self._namespace, "name": self._name}
        if self._owner and (reference := await self._reference_to(self._owner)):
            meta["ownerReferences"] = [reference]
        return await self._kube.create(LEASES, {"metadata": meta, "spec": spec})

    async def replace(self, lease: Object) -> Object:
        """Replace the Lease read before."""
        return await self._kube.replace(LEASES, lease)

    async def _reference_to(self, owner: str) -> Object | None:
        deployments = BY_KIND["Deployment"]
        try:
            found = await self._kube.get(deployments, self._namespace, owner)
        except ApiError as error:
            if error.code != 403:
                raise
            # Roles that users write may lack this right; a Lease that stays behind is better than no leader.
            _LOG.warning("lease: it will outlast the operator: %s", error, extra={"reason": "LeaseUnowned"})
            return None
        if found is None:
            path = deployments.path(self._namespace, owner)
            raise ApiError("get", path, 404, "NotFound", "the lease's owner is gone")
        return {
            "apiVersion": deployments.api_version,
            "kind": deployments.kind,
            "name": owner,
            "uid": found["metadata"]["uid"],
        }


class LeaderElector:
    """Competes for the lease for as long as `run` runs."""

    def __init__(
        self,
        api: LeaseApi,
        *,
        identity: str,
        duration: float,
        renew_deadline: float,
        retry_period: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_change: Callable[[bool], None] = lambda _leading: None,
    ) -> None:
        """Take durations in seconds; `clock` is monotonic; `on_change` is called for each gain and loss."""
        self._api = api
        self.identity = identity
        self._duration = duration
        self._deadline = renew_deadline
        self._period = retry_period
        self._clock = clock
        self._sleep = sleep
        self._on_change = on_change
        self._leading = False
        self._renewed_at = 0.0
        self._lease: Object | None = None
        self._seen: tuple[object, ...] | None = None
        self._seen_at = 0.0

    @property
    def leading(self) -> bool:
        """True if writing is safe now."""
        return self._leading and self._clock() < self._renewed_at + self._deadline

    def require(self) -> float:
        """Return the seconds until another process may acquire the lease; raise NotLeadingError past the deadline."""
        if not self.leading:
            raise NotLeadingError(f"{self.identity} does not hold the lease")
        return self._renewed_at + self._duration - self._clock()

    async def run(self) -> None:
        """Acquire, renew, and after a loss compete again, until cancelled."""
        while True:
            started = self._clock()
            bound = self._deadline
            if self._leading:
                bound = max(0.0, self._renewed_at + self._deadline - started)
            holds = False
            try:
                async with asyncio.timeout(bound):
                    holds = await self._try(started)
            except (ApiError, TimeoutError) as error:
                _LOG.warning("lease: %s", str(error) or "no answer in time", extra={"reason": "LeaseError"})
                holds = self._leading  # an unanswered renewal is lost only at the deadline
            if self._leading and (not holds or not self.leading):
                self._set(leading=False)
            await self._sleep(self._period * random.uniform(0.9, 1.1))

    async def release(self) -> None:
        """Release the lease, so that another process need not wait until it expires. Call after the last write."""
        if not self._leading or self._lease is None:
            return
        self._set(leading=False)
        spec = self._lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
        # If it fails, the lease expires.
        with contextlib.suppress(ApiError, TimeoutError):
            await self._api.replace({**self._lease, "spec": spec})

    async def _try(self, started: float) -> bool:
        """Try once to acquire or renew the lease; return true if this process holds it."""
        if self._leading and self._lease is not None:
            try:
                # This process wrote it last: renew without reading, as only a conflict can bring news.
                await self._write(self._lease, started)
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
            else:
                return True
        lease = await self._api.get()
        if lease is None:
            try:
                self._won(await self._api.create(self._spec(None)), started)
            except ApiError as error:
                # 404: its owner is gone, and this process is about to be deleted.
                if error.code not in (404, 409):
                    raise
                return False
            return True
        spec = lease.get("spec") or {}
        seen = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        holder = spec.get("holderIdentity")
        if holder and holder != self.identity:
            # Its age by the local clock since the last change, never by the times written in it.
            if self._clock() < self._seen_at + float(spec.get("leaseDurationSeconds") or self._duration):
                return False
            _LOG.info("lease: %s has not renewed, taking over", holder, extra={"reason": "LeaseExpired"})
        try:
            await self._write(lease, started)
        except ApiError as error:
            if error.code != 409:
                raise
            return False
        return True

    async def _write(self, lease: Object, started: float) -> None:
        self._won(await self._api.replace({**lease, "spec": self._spec(lease.get("spec"))}), started)

    def _spec(self, old: Object | None) -> Object:
        old = old or {}
        mine = old.get("holderIdentity") == self.identity
        return old | {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, int(self._duration)),
            "renewTime": _now(),
            "acquireTime": (mine and old.get("acquireTime")) or _now(),
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if mine else 1),
        }

    def _won(self, lease: Object, started: float) -> None:
        self._lease = lease
        self._renewed_at = started
        if not self._leading:
            self._set(leading=True)

    def _set(self, *, leading: bool) -> None:
        self._leading = leading
        verb = "acquired" if leading else "lost"
        _LOG.info("lease: %s %s it", self.identity, verb, extra={"reason": f"Lease{verb.capitalize()}"})
        self._on_change(leading)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
