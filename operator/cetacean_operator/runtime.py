"""The whole process: what is started in which order, and what ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import kopf
from prometheus_client import start_http_server

from cetacean_operator import probes
from cetacean_operator.api import names
from cetacean_operator.handlers.cetaceanmodel import registry_for, settings_for, silence_for, taker
from cetacean_operator.handlers.watch_middleware import WatchLiveness, WatchMiddleware
from cetacean_operator.kube.client import ApiClient, ApiError
from cetacean_operator.kube.connection import load_configuration
from cetacean_operator.kube.event_recorder import EventRecorder
from cetacean_operator.kube.lease import AlwaysLeading, KubeLease, LeaderElector
from cetacean_operator.kube.resources import MODELS
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.kube.writer import Writer
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.pods.scraper import PodScraper
from cetacean_operator.reconcile.observe import Observer
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.reconciler import Reconciler, owner_of
from cetacean_operator.reconcile.workers import Resync, work
from cetacean_operator.settings import Settings

_LOG = logging.getLogger(__name__)
_RETRY = 2.0


class _Meter:
    """Tells the queue's doings to the metrics."""

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

    def __init__(self, settings: Settings, kube: ApiClient, metrics: Metrics) -> None:
        """Put the parts together; nothing runs yet."""
        loop = asyncio.get_running_loop()
        self.settings, self.kube, self.metrics = settings, kube, metrics
        self.store = Store(owner_of)
        self.queue: WorkQueue[Key] = WorkQueue(
            loop, backoff_base=settings.backoff_base, backoff_max=settings.backoff_max, observer=_Meter(metrics)
        )
        metrics.bind(depth=lambda: float(len(self.queue)), age=self.queue.oldest)
        self.scraper = PodScraper(
            concurrency=settings.scrape_concurrency,
            timeout=settings.scrape_timeout,
            max_bytes=settings.scrape_max_bytes,
            on_change=self.queue.add,
            count=lambda result: metrics.scrapes.labels(result).inc(),
        )
        self.elector = (
            LeaderElector(
                KubeLease(kube, settings.lease_namespace, settings.lease_name, owner=settings.lease_owner),
                identity=settings.lease_identity,
                duration=settings.lease_duration,
                renew_deadline=settings.lease_renew_deadline,
                retry_period=settings.lease_retry_period,
                clock=loop.time,
                on_change=self._on_lease,
            )
            if settings.leader_election
            else None
        )
        leadership = self.elector or AlwaysLeading()
        self.observer = Observer(self.store, self.scraper.result)
        writer = Writer(kube, self.store, leadership, instance=settings.lease_identity)
        self.announcer = EventRecorder(writer.event, pressed=lambda: self.queue.pressed)
        self.reconciler = Reconciler(
            store=self.store,
            observer=self.observer,
            scraper=self.scraper,
            writer=writer,
            leadership=leadership,
            metrics=metrics,
            runbook_url=settings.runbook_url,
            tell=self.announcer.tell,
            pressed=lambda: self.queue.pressed,
        )
        self.resync = Resync(
            kube=kube,
            store=self.store,
            queue=self.queue,
            metrics=metrics,
            namespaces=settings.namespaces,
            on_service_monitors=self._on_service_monitors,
        )
        self.ages = WatchLiveness(metrics)
        self.streams = WatchMiddleware(
            self.ages,
            metrics,
            silence=silence_for(settings),
            on_event=taker(self.store, self.queue),
            on_gap=self.resync.fill,
        )
        self.listed = False
        self.watching = asyncio.Event()

    def unhealthy(self) -> str | None:
        """Say what the process should be restarted for."""
        if (age := self.queue.oldest()) > self.settings.queue_age_limit:
            return f"the queue is stuck: a resource has waited for {age:.0f} s"
        watch, age = self.ages.oldest()
        if age > self.settings.watch_age_limit:
            return f"the watch of {watch} has been silent for {age:.0f} s"
        return None

    def unready(self) -> str | None:
        """Say what is still to come before this process can do its work."""
        if not self.listed:
            return "waiting for the first listing"
        if not self.watching.is_set():
            return "waiting for the watches"
        return self.unhealthy()

    async def list_first(self) -> None:
        """List everything, however long the API server or the CRD lets one wait."""
        while not self.listed:
            try:
                if await self.kube.serves(MODELS):
                    await self.resync.once()
                    self.listed = True
                    return
                _LOG.warning("waiting for the CRD %s.%s", names.PLURAL, names.GROUP, extra={"reason": "NoCRD"})
            except ApiError as error:
                _LOG.warning("waiting for the API server: %s", error, extra={"reason": "NotListed"})
            await asyncio.sleep(_RETRY)

    async def watch(self, stop: asyncio.Event) -> None:
        """Run kopf until a signal comes or `stop` is set."""
        registry = registry_for(
            kube=self.kube,
            store=self.store,
            queue=self.queue,
            ages=self.ages,
            streams=self.streams,
            namespaces=self.settings.namespaces,
            service_monitors=self.observer.service_monitors,
        )
        # kopf's own guess asks for the user's name, and a container's user has none. Its type is not public.
        identity: Any = self.settings.lease_identity
        await kopf.operator(
            registry=registry,
            identity=identity,
            settings=settings_for(self.settings),
            standalone=True,
            clusterwide=not self.settings.namespaces,
            namespaces=self.settings.namespaces,
            stop_flag=stop,
            ready_flag=self.watching,
        )

    def jobs(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs beside the watches, by name; none of it ends by itself."""
        jobs: dict[str, Coroutine[Any, Any, None]] = {
            f"worker {number}": work(self.queue, self.reconciler, self.metrics, timeout=self.settings.reconcile_timeout)
            for number in range(self.settings.workers)
        }
        jobs["events"] = self.announcer.run()
        jobs["resync"] = self.resync.run(self.settings.resync_interval)
        if self.elector:
            jobs["lease"] = self.elector.run()
        return jobs

    def _on_lease(self, leading: bool) -> None:
        self.metrics.leader.set(float(leading))
        if not leading:
            self.scraper.clear()
        for key in self.store.keys(names.KIND):
            if leading:
                self.queue.add(key)
            else:
                self.metrics.models.forget(*key)

    def _on_service_monitors(self, served: bool) -> None:
        self.observer.service_monitors = served


async def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT; return the process's exit status."""
    metrics = Metrics()
    kube = ApiClient(
        await load_configuration(),
        timeout=settings.request_timeout,
        count=lambda verb, code: metrics.api_requests.labels(verb, code).inc(),
    )
    async with kube:
        operator = Operator(settings, kube, metrics)
        async with operator.scraper, _servers(operator):
            await operator.list_first()
            _tune_gc()
            return await _run_until_stopped(operator)


def _tune_gc() -> None:
    """Keep what stays for good out of the garbage collector's way, and let it look less often.

    Objects read from JSON have no cycles and go by themselves; looking through them takes a fifth of a busy operator's
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _run_until_stopped(operator: Operator) -> int:
    stop, signalled = asyncio.Event(), asyncio.Event()
    watch = asyncio.create_task(operator.watch(stop), name="watches")
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
        await asyncio.gather(*jobs, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(operator.settings.lease_retry_period):
                await operator.announcer.finish()
        if operator.elector is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(operator.settings.lease_retry_period):
                    await operator.elector.release()
        stop.set()
        ended.cancel()
        await asyncio.gather(watch, ended, return_exceptions=True)


async def _signals(watching: asyncio.Event, signalled: asyncio.Event) -> None:
    """Wait for SIGTERM or SIGINT.

    kopf takes the signals for itself as it starts, and would end the watches while writes go on; so they are taken
    back as soon as it runs.
    """
    await watching.wait()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    await signalled.wait()
    _LOG.info("stopping", extra={"reason": "Stopping"})


@contextlib.asynccontextmanager
async def _servers(operator: Operator) -> AsyncIterator[None]:
    settings = operator.settings
    server, thread = start_http_server(settings.metrics_port, settings.probes_host, registry=operator.metrics.registry)
    runner, port = await probes.start(
        settings.probes_host, settings.probes_port, healthz=operator.unhealthy, readyz=operator.unready
    )
    _LOG.info("probes on port %d, metrics on port %d", port, server.server_port, extra={"reason": "Listening"})
    try:
        yield
    finally:
        await runner.cleanup()
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
