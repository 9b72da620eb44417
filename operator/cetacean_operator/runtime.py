"""The composition root: puts the process together, starts its parts in order, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import kopf

from cetacean_operator import metrics_server, probes
from cetacean_operator.api import names
from cetacean_operator.api.kinds import APPROVALS, CRD_CHILDREN, MODELS, NEED_CRD, ResourceType
from cetacean_operator.api.observed import Object
from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.handlers import cetaceanmodel, login  # noqa: F401 -- their decorators register them with kopf
from cetacean_operator.handlers.context import Context
from cetacean_operator.handlers.settings import kopf_settings
from cetacean_operator.handlers.watch_middleware import WatchMiddleware
from cetacean_operator.kube.client import ApiClient, ApiError
from cetacean_operator.kube.connection import load_configuration
from cetacean_operator.kube.event_recorder import EventRecorder
from cetacean_operator.kube.informer import Informer
from cetacean_operator.kube.informers import Informers
from cetacean_operator.kube.json_reader import UnreadableObject
from cetacean_operator.kube.lease import AlwaysLeading, KubeLease, LeaderElector
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.kube.watch_liveness import WatchLiveness, WatchState
from cetacean_operator.kube.writer import Writer
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.pods.pod_client import PodClient
from cetacean_operator.pods.scraper import PodScraper
from cetacean_operator.reconcile.cache_updater import CacheUpdater
from cetacean_operator.reconcile.observe import Observer
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.reconciler import Reconciler
from cetacean_operator.reconcile.resync import Resync
from cetacean_operator.reconcile.workers import work
from cetacean_operator.settings import Settings

_LOG = logging.getLogger(__name__)
_DISCOVERY_RETRY_SECONDS = 2.0
_WORKERS_PER_OTHER_SLOT = 8
"""An eighth of the workers reconcile resources that are not urgent; more would only wait in the API server."""


class _QueueMetrics:
    """Counts what happens in the queue."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def added(self) -> None:
        self._metrics.queue_adds.inc()

    def retried(self) -> None:
        self._metrics.queue_retries.inc()

    def taken(self, waited: float) -> None:
        self._metrics.queue_wait.observe(waited)


class Operator:
    """Everything that one process holds."""

    def __init__(
        self, settings: Settings, kube: ApiClient, metrics: Metrics, *, lease_client: ApiClient | None = None
    ) -> None:
        """Put the parts together; nothing runs yet.

        With a client of its own a renewal of the lease never waits for a connection behind a hundred reconciles.
        """
        loop = asyncio.get_running_loop()
        self.settings, self.kube, self.metrics = settings, kube, metrics
        self.store = Store(owner_of)
        self.queue: WorkQueue[Key] = WorkQueue(
            loop,
            backoff_base=settings.backoff_base,
            backoff_max=settings.backoff_max,
            other_slots=max(2, settings.workers // _WORKERS_PER_OTHER_SLOT),
            observer=_QueueMetrics(metrics),
        )
        metrics.bind(depth=lambda: float(len(self.queue)), age=self.queue.oldest)
        self.pod_client = PodClient(
            timeout=settings.scrape_timeout,
            max_bytes=settings.scrape_max_bytes,
            count=lambda result: metrics.scrapes.labels(result).inc(),
        )
        self.scraper = PodScraper(
            self.pod_client.scrape, concurrency=settings.scrape_concurrency, on_change=self.queue.add
        )
        self.elector = (
            LeaderElector(
                KubeLease(
                    lease_client or kube, settings.lease_namespace, settings.lease_name, owner=settings.lease_owner
                ),
                identity=settings.lease_identity,
                duration=settings.lease_duration,
                renew_deadline=settings.lease_renew_deadline,
                retry_period=settings.lease_retry_period,
                clock=loop.time,
                on_change=lambda leading: self.on_lease(leading=leading),
            )
            if settings.leader_election
            else None
        )
        leadership = self.elector or AlwaysLeading()
        self.observer = Observer(
            self.store,
            self.scraper.result,
            operator_namespace=settings.pod_namespace,
            approvals_unreadable=lambda namespace: self.informers.unreadable(APPROVALS, namespace),
        )
        writer = Writer(kube, self.store, leadership, instance=settings.lease_identity)
        self.recorder = EventRecorder(writer.event, has_urgent_backlog=lambda: self.queue.has_urgent_backlog)
        self.reconciler = Reconciler(
            store=self.store,
            observer=self.observer,
            scraper=self.scraper,
            writer=writer,
            leadership=leadership,
            metrics=metrics,
            runbook_url=settings.runbook_url,
            record=self.recorder.record,
        )
        self.cache = CacheUpdater(self.store, self.queue, metrics, record=self.recorder.record)
        self.liveness = WatchLiveness(metrics)
        self.informers = Informers(self._informer, self.liveness, settings.namespaces)
        self.resync = Resync(
            api=kube,
            store=self.store,
            queue=self.queue,
            on_served=self._on_served,
            on_version=self._on_version,
        )
        self.models_listed = _Listed(self.cache, settings.namespaces)
        self.middleware = WatchMiddleware(self.liveness, metrics, self.models_listed, silence=settings.watch_silence)
        self.watching = asyncio.Event()

    def unhealthy(self) -> str | None:
        """Return why the process should be restarted, None if it should not."""
        if (age := self.queue.oldest()) > self.settings.queue_age_limit:
            return f"the queue is stuck: a resource has waited for {age:.0f} s"
        watch, age = self.liveness.oldest()
        if age > self.settings.watch_age_limit:
            return f"the watch of {watch} has been silent for {age:.0f} s"
        return None

    def unready(self) -> str | None:
        """Return what is still missing before this process can do its work, None if nothing is."""
        if not self.watching.is_set():
            return "waiting for the first list of pods and children"
        if not self._models_are_listed():
            return "waiting for the first list of CetaceanModels"
        return self.unhealthy()

    def _models_are_listed(self) -> bool:
        states = (self.liveness.find(MODELS.path(namespace)) for namespace in self.models_listed.missing)
        return all(state is not None and state.refused for state in states)

    async def discover(self) -> tuple[ResourceType, ...]:
        """Wait until the API server serves CetaceanModels; return the optional kinds that it serves as well."""
        while True:
            try:
                if await self.kube.serves(MODELS):
                    served = tuple([resource for resource in NEED_CRD if await self.kube.serves(resource)])
                    for resource in CRD_CHILDREN:
                        self.observer.set_served(resource.kind, served=resource in served)
                    self._on_version(await self.kube.server_version())
                    return served
                _LOG.warning("waiting for the CRD %s.%s", names.PLURAL, names.GROUP, extra={"reason": "NoCRD"})
            except ApiError as error:
                _LOG.warning("waiting for the API server: %s", error, extra={"reason": "NotListed"})
            await asyncio.sleep(_DISCOVERY_RETRY_SECONDS)

    async def inform(self) -> None:
        """Keep the cache of pods and children up to date."""
        await self.informers.run(optional=await self.discover())

    async def watch(self, stop: asyncio.Event) -> None:
        """Run kopf until `stop` is set, as soon as pods and children are known."""
        await self.informers.synced()
        _tune_gc()
        for namespace in self.settings.namespaces or (None,):
            self.liveness.expect(MODELS, namespace)
        # kopf would derive it from the user's name, and a container's user has none. Its type is not public.
        identity: Any = self.settings.lease_identity
        await kopf.operator(
            identity=identity,
            settings=kopf_settings(self.settings),
            memo=Context(self.kube, self.cache, self.middleware),
            standalone=True,
            clusterwide=not self.settings.namespaces,
            namespaces=self.settings.namespaces,
            stop_flag=stop,
            ready_flag=self.watching,
        )

    async def lead(self, elector: LeaderElector) -> None:
        """Compete for the lease, as soon as pods and children are known: who leads must be able to act."""
        await self.informers.synced()
        await elector.run()

    async def work(self) -> None:
        """Reconcile what is queued, as soon as pods and children are known."""
        await self.informers.synced()
        async with asyncio.TaskGroup() as group:
            for _ in range(self.settings.workers):
                group.create_task(
                    work(self.queue, self.reconciler, self.metrics, timeout=self.settings.reconcile_timeout)
                )

    def jobs(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return the tasks that run beside kopf, by name; none of them ends by itself."""
        jobs = {
            "informers": self.inform(),
            "workers": self.work(),
            "events": self.recorder.run(),
            "resync": self.resync.run(self.settings.resync_interval),
        }
        if self.elector:
            jobs["lease"] = self.lead(self.elector)
        return jobs

    def _informer(self, state: WatchState) -> Informer:
        return Informer(
            self.kube,
            state,
            self.cache,
            # People write approvals, and need not know our label.
            label_selector="" if state.resource is APPROVALS else names.LABEL_MODEL,
            silence=self.settings.watch_silence,
            server_timeout=self.settings.watch_server_timeout,
        )

    def on_lease(self, *, leading: bool) -> None:
        """Begin to act for every resource, or stop to."""
        self.metrics.leader.set(float(leading))
        if not leading:
            self.scraper.clear()
        for key in self.store.keys(names.KIND):
            if leading:
                self.queue.add(key)
            else:
                self.metrics.models.forget(*key)

    def _on_version(self, version: tuple[int, int] | None) -> None:
        self.observer.kubernetes = version

    def _on_served(self, resource: ResourceType, served: bool) -> None:
        if resource in CRD_CHILDREN:
            self.observer.set_served(resource.kind, served=served)
        self.informers.set_served(resource, served=served)


class _Listed:
    """Passes lists of CetaceanModels on to the cache, and notes which namespaces have been listed."""

    def __init__(self, cache: CacheUpdater, namespaces: tuple[str, ...]) -> None:
        self._cache = cache
        self.missing: set[str | None] = set(namespaces or (None,))

    def store_event(self, resource: ResourceType, event: Object) -> None:
        self._cache.store_event(resource, event)

    def is_known(self, resource: ResourceType, event: Object) -> bool:
        return self._cache.is_known(resource, event)

    def report_unreadable(self, resource: ResourceType, found: UnreadableObject) -> None:
        self._cache.report_unreadable(resource, found)

    def replace(self, resource: ResourceType, namespace: str | None, names: set[tuple[str, str]], version: str) -> None:
        self._cache.replace(resource, namespace, names, version)
        self.missing.discard(namespace)


async def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT; return the process's exit status."""
    metrics = Metrics()
    configuration = await load_configuration()

    def client() -> ApiClient:
        return ApiClient(
            configuration,
            timeout=settings.request_timeout,
            count=lambda verb, code: metrics.api_requests.labels(verb, code).inc(),
        )

    async with client() as kube, client() as lease_client:
        operator = Operator(settings, kube, metrics, lease_client=lease_client)
        async with operator.pod_client, _servers(operator):
            return await _run_until_stopped(operator)


def _tune_gc() -> None:
    """Exempt the objects of now from garbage collection, and collect less often.

    Objects read from JSON have no cycles and are freed without the collector, which took a fifth of the processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _run_until_stopped(operator: Operator) -> int:
    stop, signalled = asyncio.Event(), asyncio.Event()
    watch = asyncio.create_task(operator.watch(stop), name="kopf")
    jobs = [asyncio.create_task(job, name=name) for name, job in operator.jobs().items()]
    ended = asyncio.create_task(_signals(operator.watching, signalled), name="signals")
    if operator.elector is None:
        operator.metrics.leader.set(1.0)
    try:
        done, _ = await asyncio.wait([watch, ended, *jobs], return_when=asyncio.FIRST_COMPLETED)
        fatal = [
            task for task in done if task.cancelled() or task.exception() is not None or task not in (watch, ended)
        ]
        for task in fatal:
            error = None if task.cancelled() else task.exception()
            _LOG.critical("%s ended: %r", task.get_name(), error, extra={"reason": "Fatal"}, exc_info=error)
        return 1 if fatal else 0
    finally:
        # First the writes end, then the lease goes, so that another may begin at once.
        for task in jobs:
            task.cancel()
        operator.scraper.clear()
        await asyncio.gather(*jobs, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(operator.settings.lease_retry_period):
                await operator.recorder.finish()
        if operator.elector is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(operator.settings.lease_retry_period):
                    await operator.elector.release()
        stop.set()
        ended.cancel()
        if not operator.watching.is_set():
            watch.cancel()  # kopf does not run yet, so nothing waits for `stop`
        await asyncio.gather(watch, ended, return_exceptions=True)


async def _signals(watching: asyncio.Event, signalled: asyncio.Event) -> None:
    """Wait for SIGTERM or SIGINT.

    kopf installs handlers of its own as it starts, and would end the watches while writes go on. So these handlers are
    installed once more as soon as it runs.
    """
    loop = asyncio.get_running_loop()

    def install() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, signalled.set)

    async def install_again() -> None:
        await watching.wait()
        install()

    install()
    async with asyncio.TaskGroup() as group:
        again = group.create_task(install_again())
        await signalled.wait()
        again.cancel()
    _LOG.info("stopping", extra={"reason": "Stopping"})


@contextlib.asynccontextmanager
async def _servers(operator: Operator) -> AsyncIterator[None]:
    settings = operator.settings
    async with contextlib.AsyncExitStack() as stack:
        runner, metrics_port = await metrics_server.start(
            settings.probes_host, settings.metrics_port, operator.metrics.registry
        )
        stack.push_async_callback(runner.cleanup)
        runner, port = await probes.start(
            settings.probes_host, settings.probes_port, healthz=operator.unhealthy, readyz=operator.unready
        )
        stack.push_async_callback(runner.cleanup)
        _LOG.info("probes on port %d, metrics on port %d", port, metrics_port, extra={"reason": "Listening"})
        yield
