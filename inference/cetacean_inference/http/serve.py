"""The serving process: listens at once, loads the weights in a thread, and drains before it ends.

Probes, metrics and the identity answer while the weights load, which distinguishes a slow pod from a dead one. If
the weights cannot be loaded, the process ends with the reason and has served nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, NoReturn

import uvicorn

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.http.app import create_app
from cetacean_inference.http.protocol import bounded_protocol
from cetacean_inference.imaging.decoder_pool import DecoderPool
from cetacean_inference.imaging.masks import RemoveBackground
from cetacean_inference.log_setup import configure
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import HttpSettings, Settings
from cetacean_inference.shadow.client import ShadowClient
from cetacean_inference.system.priority import lower_thread_priority
from cetacean_inference.system.start_times import StartTimes
from cetacean_inference.types import Pipeline

logger = logging.getLogger(__name__)

SWITCH_INTERVAL: Final = 0.001
"""Seconds after which a thread must release the GIL to the event loop; a fifth of Python's default."""
EXIT_SECONDS: Final = 2.0
"""After the grace period, until the process ends whatever is in progress."""

Load = Callable[[Settings], Pipeline[Any]]


def run(settings: Settings, *, load: Load | None = None, shadow_client: ShadowClient | None = None) -> int:
    """Serve until a signal; returns 0 if all requests were answered in time, else 1.

    Args:
        settings: all of them.
        load: loads the pipeline; by default `pipeline.load_pipeline`.
        shadow_client: asks other pods; None for one over the network.

    Raises:
        errors.FatalError: the weights cannot be loaded, or the address cannot be bound.
    """
    configure(settings.log)
    sys.setswitchinterval(SWITCH_INTERVAL)
    listeners = [listen(settings.http), *listen_internally(settings.http)]
    service = Service(settings, shadow_client=shadow_client)
    server = _Server(uvicorn_config(service), service)
    loading = _LoadThread(service, load or _load_pipeline, server)
    loading.start()
    with exit_on_signals(server):
        server.run(sockets=listeners)
    if loading.failure is not None:
        raise loading.failure
    remaining = max(0.0, server.deadline - time.monotonic())
    if loading.is_alive() or not service.close(timeout_seconds=remaining):
        _exit_immediately(0 if loading.is_alive() else 1)
    logger.info("ended")
    return 0


def listen(settings: HttpSettings) -> socket.socket:
    """Open the listening socket.

    Raises:
        ConfigInvalid: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    address = (settings.host, settings.port)
    try:
        listener = socket.create_server(
            address, family=family, backlog=2048, dualstack_ipv6=settings.host == "::" and socket.has_dualstack_ipv6()
        )
    except OSError as error:
        raise ConfigInvalid(
            f"http: cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
        ) from error
    # Accepted sockets inherit it. asyncio sets it only for sockets whose protocol is given, and without it the second
    # part of an answer waits 40 ms for the client's acknowledgement of the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    logger.info("listening on %s:%d", *listener.getsockname()[:2])
    return listener


def listen_internally(settings: HttpSettings) -> list[socket.socket]:
    """Open the socket of the internal port; none if there is none, or if a sidecar has taken it."""
    if settings.internal_port == 0:
        return []
    try:
        return [listen(settings.model_copy(update={"port": settings.internal_port}))]
    except ConfigInvalid as error:
        logger.warning("%s; serving without the internal port", error)
        return []


@contextlib.contextmanager
def exit_on_signals(server: uvicorn.Server) -> Iterator[None]:
    """Handle signals that arrive before uvicorn's handlers are set, and those that uvicorn raises again afterwards."""
    signals = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.signal(number, server.handle_exit) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """A uvicorn server that stops being ready before it does anything else about a signal."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self.deadline = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self._service.drain()
            self.deadline = time.monotonic() + self._service.settings.http.grace_period_seconds
            # Python waits for every thread before it ends, however long that takes. A daemon, so not for this one.
            watchdog = threading.Timer(
                self._service.settings.http.grace_period_seconds + EXIT_SECONDS, _exit_immediately, (1,)
            )
            watchdog.daemon = True
            watchdog.start()
            logger.info("%s: answering the requests in progress, then ending", signal.Signals(sig).name)
        super().handle_exit(sig, frame)


class _LoadThread(threading.Thread):
    """Loads the weights; a daemon, because loading cannot be interrupted and the process must be able to end."""

    def __init__(self, service: Service, load: Load, server: uvicorn.Server) -> None:
        super().__init__(name="loading", daemon=True)
        self._service = service
        self._load = load
        self._server = server
        self.failure: Exception | None = None

    def run(self) -> None:
        lower_thread_priority()  # inherited by the threads that compute
        try:
            from cetacean_inference.weights.fetch import load_intact, restore_all  # noqa: PLC0415 - as below

            settings = self._service.settings
            restore_all(settings)
            # First: a missing package shows at once.
            remove_background = load_intact(_load_background_remover, settings)
            decoder = DecoderPool(
                settings.images,
                processes=settings.batching.prepare_threads,
                retry_after=settings.http.retry_after_seconds,
            )
            decoder.start()  # before the weights need memory, and so that a fault shows at once
            try:
                pipeline = load_intact(self._load, settings)
                self._service.start(pipeline, decoder=decoder, remove_background=remove_background)
            except BaseException:
                decoder.close()
                raise
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            self.failure = error
            self._server.should_exit = True


def uvicorn_config(service: Service) -> uvicorn.Config:
    """Return the configuration of the server."""
    settings = service.settings.http
    return uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        http=bounded_protocol(
            head_seconds=settings.head_timeout_seconds,
            send_seconds=settings.send_timeout_seconds,
            max_connections=settings.max_connections,
            on_room_made=service.metrics.connections_closed.inc,
        ),
        loop="asyncio",
        server_header=False,
        lifespan="on",
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.grace_period_seconds,
    )


def _load_pipeline(settings: Settings) -> Pipeline[Any]:
    from cetacean_inference.pipeline import load_pipeline  # noqa: PLC0415 - takes seconds; probes are answered meanwhile

    return load_pipeline(settings, times=StartTimes.of_process())


def _load_background_remover(settings: Settings) -> RemoveBackground | None:
    if not settings.mask.enabled:
        return None
    from cetacean_inference.imaging.background_removal import load_background_remover  # noqa: PLC0415 - as above

    return load_background_remover(settings)


def _exit_immediately(status: int) -> NoReturn:
    """Exit without waiting for threads that cannot be interrupted; a normal shutdown would abort in them."""
    logger.warning("ending with work in progress: the weights were loading, or the grace period is over")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
